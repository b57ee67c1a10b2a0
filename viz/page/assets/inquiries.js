// The parts of the room Evidence, one open at a time, and the inquiries that they make: the model is asked once more, and
// what came out is fetched and kept here while the page is open. One inquiry runs at a time.

const inquiries = { open: "weights", show: {}, kept: new Map(), running: null, asked: "", wrong: "" };

// `showPart(look)` is called when the part is opened, after every choice that is made while it is open, and when an
// inquiry began, ended or found something meanwhile.
function fillsEvidence(name, showPart) {
  inquiries.show[name] = showPart;
}

// Starts an inquiry of one kind into the session that is open.
function inquire(kind, options) {
  if (inquiries.running) return;
  inquiries.asked = kind;
  tellInquiry({ text: "Waiting." });
  trigger("evidence", { session: stage.look.session, kind, options });
}

// What the last inquiry of that kind into the open session found; null before.
function finding(kind) {
  return inquiries.kept.get(`${stage.look.session} ${kind}`) || null;
}

fillsRoom("evidence", showEvidence);

function showEvidence(look) {
  const showPart = inquiries.show[inquiries.open];
  if (showPart) showPart(look);
  showRunning();
}

function openSub(name) {
  inquiries.open = name;
  for (const tab of root.querySelectorAll("[data-sub]")) {
    const chosen = tab.dataset.sub === name;
    setAttribute(tab, "aria-selected", chosen);
    setAttribute(tab, "tabindex", chosen ? 0 : -1);
    show(part(`sub-${tab.dataset.sub}`), chosen);
  }
  showEvidence(stage.look);
}

function tellInquiry(running, wrong = "") {
  Object.assign(inquiries, { running, wrong });
  for (const name of ["inquiry-wrong", "wrong"]) setText(part(name), (name === "wrong") === (rooms.open === "evidence") ? "" : wrong);
  showRunning();
}

// Buttons marked `data-inquire` start inquiries; while one is under way there is no other, and what is marked
// `data-running` tells how far it is; `data-refused` names the kind of which it tells what was wrong.
function showRunning() {
  const { running } = inquiries;
  for (const button of root.querySelectorAll("[data-inquire]")) button.disabled = Boolean(running) || button.dataset.off === "1";
  for (const told of root.querySelectorAll("[data-running]")) {
    show(told, Boolean(running));
    setText(told.firstElementChild, running ? running.text : "");
  }
  for (const told of root.querySelectorAll("[data-refused]")) setText(told, told.dataset.refused === inquiries.asked ? inquiries.wrong : "");
  show(part("inquiry"), Boolean(running));
  if (!running) return;
  setText(part("inquiry-text"), running.text);
  const progress = part("inquiry-progress");
  progress.max = running.total || 1;
  if (running.total) progress.value = running.done;
  else progress.removeAttribute("value");
}

async function hearInquiry(told) {
  if (told.state === "work") return tellInquiry(told);
  if (told.state === "done") {
    const view = await fetchJson(address(told.session, `evidence/${told.key}`));
    if (view) inquiries.kept.set(`${told.session} ${told.kind}`, view);
    root.dataset.found = Number(root.dataset.found || 0) + 1;
  }
  tellInquiry(null, told.state === "wrong" ? told.text : "");
  if (stage.look) showOpenRoom(stage.look);
}

document.addEventListener("lav-told", (event) => hearInquiry(event.detail));
