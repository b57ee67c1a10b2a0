// The Data set room: opens a report of many pictures and steps through it. The report is sent once, what came back stays
// in this tab; no session and no model is used. Tables and charts are drawn in study.js.

const study = { file: null, view: null, set: "data", leaf: "pictures", shown: [], at: 0, asked: 0 };

const STUDY_PLACES = { order: (one) => one.order, drifted: (one) => -one.drifted, line: (one) => one.line };

async function sendReport(file, path) {
  setText(part("study-wrong"), "");
  const most = props.report_mb || 20;
  if (file.size > most * 1e6) {
    setText(part("study-wrong"), `Expected a report of at most ${most} MB, got ${(file.size / 1e6).toFixed(0)} MB: open its report.html instead, or make it of fewer pictures.`);
    return null;
  }
  try {
    const answer = await fetch(new URL(path, document.baseURI), { method: "POST", headers: { "Content-Type": "application/json" }, body: file });
    if (answer.ok) return answer;
    setText(part("study-wrong"), (await answer.json()).error);
  } catch {
    setText(part("study-wrong"), "The page got no answer from its server: check the connection and open the report again.");
  }
  return null;
}

async function openReport(file) {
  const asked = (study.asked += 1);
  setAttribute(part("dataset"), "aria-busy", true);
  const answer = await sendReport(file, "dataset");
  const view = answer && (await answer.json());
  if (asked !== study.asked) return;
  setAttribute(part("dataset"), "aria-busy", false);
  if (!view) return;
  Object.assign(study, { file, view, set: "data" });
  show(part("study-door"), false);
  show(part("study"), true);
  showReport();
  part("study-list").querySelector("button")?.focus({ preventScroll: true });
}

async function saveReport() {
  const answer = await sendReport(study.file, "dataset/report.html");
  if (!answer) return;
  const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: "report.html" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function studyPart() {
  return study.view[study.set];
}

function showReport() {
  const { view } = study;
  setText(part("study-title"), view.title);
  setText(part("study-count"), `${view.data.name}: ${view.data.count}. ${view.model}, ${view.created.slice(0, 10)}.`);
  part("study-short").replaceChildren(
    ...view.short.map((sentence, index) => {
      const item = make("li", {}, make("span", { class: "lav-dot" }), make("span", { text: sentence }));
      item.style.setProperty("--variant", view.colours[index]);
      return item;
    }),
  );
  show(part("study-set"), Boolean(view.general));
  const sets = root.querySelector('[data-study="set"]');
  setText(sets.children[0], view.data.name);
  setText(sets.children[1], view.general ? view.general.name : "");
  showSet("data");
}

function showSet(name) {
  study.set = name;
  root.querySelector('[data-study="set"]').value = name;
  drawScale(part("study-map-scale"), studyPart().map_scale);
  drawScale(part("study-difference-scale"), studyPart().difference_scale);
  showFigures(study.view, studyPart());
  showTests(studyPart());
  showAbout(study.view, studyPart());
  arrangePictures();
}

function openLeaf(name) {
  study.leaf = name;
  for (const tab of root.querySelectorAll("[data-leaf]")) {
    const chosen = tab.dataset.leaf === name;
    setAttribute(tab, "aria-selected", chosen);
    setAttribute(tab, "tabindex", chosen ? 0 : -1);
    show(part(`study-${tab.dataset.leaf}`), chosen);
  }
}

// The list in the chosen order; the picture that was open stays open where it is still listed.
function arrangePictures() {
  const [place, kind] = ["sort", "kind"].map((name) => root.querySelector(`[data-study="${name}"]`).value);
  const before = study.shown[study.at];
  study.shown = studyPart()
    .pictures.filter((one) => !kind || one.kinds.includes(kind))
    .sort((a, b) => STUDY_PLACES[place](a) - STUDY_PLACES[place](b) || a.order - b.order);
  part("study-list").replaceChildren(...study.shown.map(listed));
  const total = studyPart().pictures.length;
  setText(part("study-none"), study.shown.length ? "" : total ? `None of the ${total} pictures is of this kind.` : "No picture was asked about.");
  show(part("study-none"), !study.shown.length);
  show(part("study-one").parentElement, study.shown.length > 0);
  if (study.shown.length) stepTo(Math.max(0, study.shown.indexOf(before)));
}

function listed(one, index) {
  const answers = make("span", { class: "lav-listed-answers" }, ...one.looks.flatMap((look, at) => [at ? "\u00a0\u00b7 " : "", spoken(look)]));
  const photo = one.address ? make("img", { src: one.address, alt: "", loading: "lazy" }) : make("i");
  const button = make("button", { type: "button" }, photo, make("span", { class: "lav-listed-question", text: one.question }), answers, make("small", { text: one.change }));
  button.addEventListener("click", () => stepTo(index));
  return make("li", {}, button);
}

function spoken(look) {
  const sign = { right: " \u2713", wrong: " \u2717" }[look.mark] || "";
  return make("span", { class: look.mark ? `lav-said-${look.mark}` : undefined, text: `${look.answer || "(no answer)"}${sign}`, title: look.variant });
}

function stepTo(index) {
  const at = Math.min(study.shown.length - 1, Math.max(0, index));
  study.at = at;
  const buttons = [...part("study-list").querySelectorAll("button")];
  buttons.forEach((button, place) => setAttribute(button, "aria-current", place === at));
  const list = part("study-list");
  const row = buttons[at].parentElement;
  if (row.offsetTop < list.scrollTop) list.scrollTop = row.offsetTop;
  if (row.offsetTop + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = row.offsetTop + row.offsetHeight - list.clientHeight;
  if (list.contains(document.activeElement)) buttons[at].focus({ preventScroll: true });
  root.querySelector('[data-study="previous"]').disabled = at === 0;
  root.querySelector('[data-study="next"]').disabled = at === study.shown.length - 1;
  showOne(study.shown[at]);
  root.dataset.line = study.shown[at].line;
}

function showOne(one) {
  setText(part("study-question"), one.question);
  const told = [`${study.at + 1} of ${study.shown.length}`, `line ${one.line}`, one.name, one.expected && `expected: ${one.expected}`, `all said: ${one.words}`, one.change];
  setText(part("study-told"), told.filter(Boolean).join(" \u00b7 "));
  const looks = part("study-looks");
  looks.style.setProperty("--count", one.looks.length);
  looks.replaceChildren(...one.looks.map((look) => oneLook(look, one)));
}

function oneLook(look, one) {
  const mark = look.mark ? make("span", { class: `lav-mark lav-mark-${look.mark}`, text: look.mark }) : "";
  const told = make(
    "article",
    { class: "lav-study-look" },
    make("header", { class: "lav-panel-head" }, make("span", { class: "lav-dot" }), make("h4", { class: "lav-label", text: look.variant }), mark),
    make("p", { class: look.parted ? "lav-study-answer lav-study-parted" : "lav-study-answer", text: look.answer || "(no answer)" }),
    overlaid(one, look.map, look.map_told),
    look.difference ? overlaid(one, look.difference, `${look.variant} less base: ${look.difference_told}`) : overlaid(one, "", "the picture"),
    make("ul", { class: "lav-study-facts" }, ...look.facts.map((text) => make("li", { text }))),
  );
  told.style.setProperty("--variant", look.colour);
  return told;
}

function overlaid(one, map, told) {
  const box = make("div", { class: "lav-box", "aria-hidden": "true" });
  const picture = make("div", { class: "lav-picture", role: "img", "aria-label": `${one.name}: ${told}` });
  if (one.address) picture.append(make("img", { class: "lav-photo", src: one.address, alt: "" }));
  if (map) picture.append(make("img", { class: "lav-map", src: map, alt: "" }));
  picture.append(box);
  picture.style.setProperty("--ratio", one.width / one.height);
  const [left, top, width, height] = one.box;
  placeMark(box, one.box.length ? [left / one.width, top / one.height, (left + width) / one.width, (top + height) / one.height] : []);
  return make("figure", {}, picture, make("figcaption", { text: told }));
}

root.addEventListener("change", ({ target }) => {
  const name = target.dataset.study;
  if (name === "file" && target.files.length) {
    openReport(target.files[0]);
    target.value = "";
  } else if (name === "set") showSet(target.value);
  else if (name === "sort" || name === "kind") arrangePictures();
});

part("dataset").addEventListener("click", ({ target }) => {
  const { study: act, leaf } = target.dataset;
  if (leaf) openLeaf(leaf);
  else if (act === "previous") stepTo(study.at - 1);
  else if (act === "next") stepTo(study.at + 1);
  else if (act === "save") saveReport();
});

// The arrows that move tokens and layers elsewhere step through pictures here.
part("dataset").addEventListener("keydown", (event) => {
  if (event.target.matches("[role=tab]")) return;
  event.stopPropagation();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !part("study-list").contains(event.target)) return;
  event.preventDefault();
  stepTo(study.at + step);
});

// A file may also be dropped anywhere in the room.
part("dataset").addEventListener("dragover", (event) => event.preventDefault());
part("dataset").addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) openReport(event.dataTransfer.files[0]);
});
