// The stage: keeps what is chosen, asks the server for what to show, and hands it to the parts that draw it.
// A choice is answered by the latest request alone; opacity, cells, lines and tabs are changed here, with no request.

const stage = {
  sessions: [],
  active: 0,
  look: null,
  first: null,
  wanted: null,
  busy: false,
  anchor: 0,
  view: { opacity: 85, smooth: "cells", lines: false, peak: true, tab: "layers" },
};
let drawn = [];

function currentPicture() {
  const entry = stage.sessions[stage.active];
  const picture = entry.pictures[stage.look.choice.image];
  return picture ? { ...picture, address: address(entry.id, `picture/${stage.look.choice.image}`) } : null;
}

function address(session, rest) {
  return new URL(`session/${encodeURIComponent(session)}/${rest}`, document.baseURI).href;
}

function fileAddress(name, look, extra) {
  const query = new URLSearchParams({ choice: JSON.stringify(look.choice), opacity: String(stage.view.opacity / 100), ...extra });
  if (stage.view.smooth === "smooth") query.set("smooth", "1");
  return address(look.session, name === "session.zip" ? name : `${name}?${query}`);
}

// Takes what Python sent: one session, or two of the same question about two pictures, the last one in front.
async function open(sent) {
  const before = stage.look && stage.sessions[0] ? { id: stage.sessions[0].id, choice: stage.look.choice } : null;
  const sessions = sent ? sent.sessions : [];
  show(part("empty"), !sessions.length);
  setText(part("notice"), sent ? sent.notice : "");
  show(part("notice"), Boolean(sent && sent.notice));
  if (!sessions.length) return;
  const first = await fetchLook(sessions[0].id, null);
  if (!first) return;
  const kept = before && (sent.again || before.id === sessions[0].id) ? keptChoice(before.choice, first) : first.choice;
  const look = sessions.length > 1 || sent.again ? await fetchLook(sessions[sessions.length - 1].id, kept) : first;
  if (!look) return;
  if (sent.again) keepBox(look);
  Object.assign(stage, { sessions, active: sessions.length - 1, first: first.choice, wanted: null, anchor: look.choice.token });
  if (rooms.open === "dataset") openRoom("look");
  show(part("full"), true);
  showSessions();
  await apply(look);
  if (sent.scroll && window.innerWidth <= 900) root.scrollIntoView({ block: "start" });
}

// What was chosen, in a session that may have fewer tokens.
function keptChoice(choice, first) {
  const last = first.token_count - 1;
  return { ...choice, image: 0, token: Math.min(choice.token, last), token_to: Math.min(choice.token_to, last) };
}

function showSessions() {
  const tabs = part("sessions");
  show(tabs, stage.sessions.length > 1);
  fit(tabs, stage.sessions.length, (index) =>
    make("button", { type: "button", role: "tab", "data-session": index }, make("b"), make("span")),
  );
  stage.sessions.forEach((entry, index) => {
    const tab = tabs.children[index];
    setText(tab.firstChild, entry.title);
    setText(tab.lastChild, entry.answers.map(({ variant, answer }) => `${variant}: ${answer}`).join(" \u00b7 "));
    setAttribute(tab, "aria-selected", index === stage.active);
    setAttribute(tab, "tabindex", index === stage.active ? 0 : -1);
  });
}

async function openSession(index) {
  if (index === stage.active) return;
  const look = await fetchLook(stage.sessions[index].id, { ...stage.look.choice, image: 0 });
  if (!look) return;
  stage.active = index;
  showSessions();
  await apply(look);
}

// Shows a look once all of its pictures are decoded, so that nothing flickers or stands half changed.
async function apply(look) {
  const drawings = await Promise.all(
    look.panels.map(async (panel) => ({
      map: await decoded(panel.map),
      chart: await decoded(panel.chart.png),
      layers: await decoded(panel.layers.png),
      heads: await decoded(panel.heads.png),
      sequence: await decoded(panel.sequence.png),
    })),
  );
  stage.look = look;
  drawn = drawings;
  showWords(look);
  markTokens(look.choice);
  showTitle(look);
  showMaps(look, drawings);
  applyView();
  showCharts(look, drawings);
  showTiles(look, drawings);
  showDials(look);
  showNotes(look);
  showFiles(look);
  showOpenRoom(look);
  tell(look);
}

function showTitle(look) {
  const texts = look.panels.map((panel) => panel.token_text.trim() || (panel.token_text ? SPACE : "")).filter(Boolean);
  setText(part("token"), [...new Set(texts)].join(" / "));
  const picture = currentPicture();
  const seen = picture ? `Picture as the model saw it: ${[`${picture.width} \u00d7 ${picture.height} px`, ...picture.notes].join(", ")}.` : "";
  setText(part("where"), `${whereWords(look.choice)}. ${seen}`);
  setText(part("reason"), look.reason);
  show(part("reason"), Boolean(look.reason));
}

function whereWords({ layer, head }) {
  if (layer === null) return head === null ? "Mean over all layers and heads" : `Head ${head}, mean over all layers`;
  return head === null ? `Layer ${layer}, mean over its heads` : `Layer ${layer}, head ${head}`;
}

function showDials(look) {
  for (const [name, count] of [["layer", look.layer_count], ["head", look.head_count]]) {
    const dial = root.querySelector(`[data-dial="${name}"]`);
    dial.max = count - 1;
    if (document.activeElement !== dial || !stage.busy) dial.value = look.choice[name] ?? -1;
    nameDial(name, look.choice[name]);
  }
  const colours = root.querySelector('[data-set="colormap"]');
  colours.value = look.choice.colormap;
  for (const within of root.querySelectorAll('[data-set="within"]')) within.value = String(look.choice.within);
  const images = root.querySelector('[data-set="image"]');
  show(part("image-pick"), look.image_count > 1);
  fit(images, look.image_count, (index) => make("option", { value: index, text: String(index + 1) }));
  images.value = String(look.choice.image);
}

function nameDial(name, number) {
  const text = number === null ? "mean of all" : String(number);
  setText(part(`${name}-name`), text);
  setAttribute(root.querySelector(`[data-dial="${name}"]`), "aria-valuetext", text);
}

function showNotes(look) {
  const [first, ...more] = look.notes;
  setText(part("note"), first || "");
  show(part("notes-box"), Boolean(first));
  part("notes-box").classList.toggle("lav-alone", more.length === 0);
  fit(part("notes"), more.length, () => make("li"));
  more.forEach((note, index) => setText(part("notes").children[index], note));
}

// What changed, for tests and for people who hear the page.
function tell(look) {
  const { token, token_to, layer, head, colormap } = look.choice;
  Object.assign(root.dataset, { session: look.session, token, tokenTo: token_to, layer: layer ?? "all", head: head ?? "all", colormap });
  root.dataset.count = Number(root.dataset.count) + 1;
  setText(part("said"), `${whereWords(look.choice)}. ${look.panels.map((panel) => `${panel.variant}: ${[panel.missing, panel.summary].filter(Boolean).join(" ")}`).join(" ")}`);
}

// Asks for another choice. While one request is under way only the last wish is kept.
function choose(change) {
  if (!stage.look) return;
  const wish = { ...(stage.wanted || stage.look.choice), ...change };
  if (!("token_to" in change) && "token" in change) wish.token_to = wish.token;
  stage.wanted = wish;
  markTokens(wish);
  if (!stage.busy) ask();
}

async function ask() {
  stage.busy = true;
  while (stage.wanted) {
    const wish = stage.wanted;
    askAheadOfRoom(stage.sessions[stage.active].id, wish);
    const look = await fetchLook(stage.sessions[stage.active].id, wish);
    if (look && stage.wanted === wish) await apply(look);
    if (!look) markTokens(stage.look.choice);
    if (stage.wanted === wish) stage.wanted = null;
  }
  stage.busy = false;
}

// The look for a choice, or for the first one (null); null if the server refused, which is then said.
function fetchLook(session, choice) {
  const query = choice ? `?${new URLSearchParams({ choice: JSON.stringify(choice) })}` : "";
  return fetchJson(address(session, `look${query}`));
}

async function fetchJson(place) {
  setText(part("wrong"), "");
  try {
    const answer = await fetch(place);
    const found = await answer.json();
    if (answer.ok) return found;
    setText(part("wrong"), found.error);
  } catch {
    setText(part("wrong"), "The page got no answer from its server: check the connection and choose again.");
  }
  return null;
}

function toggleVariant(label, shown) {
  const hidden = stage.look.choice.hidden.filter((each) => each !== label);
  if (!shown) hidden.push(label);
  if (hidden.length === stage.look.variants.length) {
    setText(part("wrong"), "One variant has to stay: tick another one first.");
    showWords(stage.look);
    return;
  }
  choose({ hidden });
}
