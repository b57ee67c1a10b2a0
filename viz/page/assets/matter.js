// Does it matter?: the model is asked once more without a part of the picture. Beside every map in Look: whether the
// chosen token depends on the picture at all.

const matter = { asked: {} };

fillsEvidence("matter", showMatter);
fillsRoom("look", showPictured);

function showMatter(look) {
  showPictured(look);
  showKnockOut(look);
  showDependence(look);
}

// Whether a token was predicted, so that it can depend on something.
function isAnswered(look) {
  const answer = rangeOf("answer");
  return Boolean(answer) && look.choice.token_to >= answer.token && Boolean(currentPicture());
}

function askPictured() {
  inquire("pictured", { choice: stage.look.choice });
}

function showPictured(look) {
  const answered = isAnswered(look);
  const view = finding("pictured");
  const rows = view && view.token >= look.choice.token && view.token <= look.choice.token_to ? view.rows : [];
  setText(part("matter-token"), part("token").textContent);
  setText(part("pictured-hint"), answered ? "" : currentPicture() ? "Choose a token of the answer above: the others were given to the model, not predicted." : "There is no picture.");
  for (const button of root.querySelectorAll('[data-act="pictured"]')) setOff(button, !answered);
  show(part("look-pictured"), answered);
  fit(part("pictured"), rows.length, () => make("li", {}, make("span", { class: "lav-dot" }), make("b"), make("span")));
  rows.forEach((row, index) => {
    const line = part("pictured").children[index];
    line.style.setProperty("--variant", row.colour);
    setText(line.children[1], row.variant);
    setText(line.children[2], row.sentence);
  });
  for (const panel of part("panels").children) {
    const row = rows.find((each) => each.variant === panel.dataset.variant);
    setText(panel.querySelector(".lav-depends"), row ? row.sentence : "");
  }
}

function setOff(button, off) {
  button.dataset.off = off ? "1" : "";
  button.disabled = off || Boolean(inquiries.running);
}

function knockoutField(name) {
  return root.querySelector(`[data-knockout="${name}"]`);
}

// Only the box can be painted over, and nobody sees what was painted over.
function knockoutOptions(look) {
  const way = knockoutField("way").value;
  const asked = { choice: look.choice, box: boxed.box, way, draws: knockoutField("draws").valueAsNumber };
  if (way !== "block") return asked;
  return {
    ...asked,
    targets: ["box", "rest", "whole"].filter((target) => knockoutField(target).checked),
    who: knockoutField("who").value,
    heads: knockoutField("heads").value,
    top: knockoutField("top").valueAsNumber,
    b: knockoutField("b").value,
  };
}

function showKnockOut(look) {
  const picture = currentPicture();
  const box = boxOn(look);
  const view = finding("knockout");
  show(part("matter-picture").parentElement, Boolean(picture));
  if (picture) layOver(part("matter-picture"), { drawing: null, alt: "", rows: look.rows, cols: look.cols, picture });
  placeMark(part("matter-box"), box && picture ? [box[0] / picture.width, box[1] / picture.height, box[2] / picture.width, box[3] / picture.height] : []);
  placeMark(part("matter-blocked"), view ? view.inset : []);
  fillBox(box || []);
  fillChanged(look);
  tellPlan("knockout", knockoutOptions(look));
  show(part("knockout"), Boolean(view));
  if (!view) return;
  fillKnockOut(view);
  setText(part("knockout-moved"), hasMoved(view, box, look) ? "The box was moved since: what stands here is of the solid one." : "");
}

// Whether the box as it is now touches other cells than those that were blocked for it.
function hasMoved(view, box, look) {
  if (!view.inset.length) return false;
  if (!box) return true;
  const { width, height } = currentPicture();
  const hair = 1e-3; // cells that are touched by less do not count
  const touched = [
    Math.floor((box[0] / width) * look.cols + hair) / look.cols,
    Math.floor((box[1] / height) * look.rows + hair) / look.rows,
    Math.ceil((box[2] / width) * look.cols - hair) / look.cols,
    Math.ceil((box[3] / height) * look.rows - hair) / look.rows,
  ];
  return touched.some((side, number) => Math.abs(side - view.inset[number]) > hair);
}

// Whose heads, where those that changed most are blocked: the variant chosen in Compare, or the first adapter.
function fillChanged(look) {
  const select = knockoutField("b");
  const labels = look.variants.filter((label) => label !== "base");
  const before = select.value || compare.pair.b;
  fit(select, labels.length, () => make("option"));
  labels.forEach((label, index) => {
    select.children[index].value = label;
    setText(select.children[index], label);
  });
  if (labels.includes(before)) select.value = before;
  setOption("changed", labels.length > 0);
  const blocks = knockoutField("way").value === "block";
  for (const name of ["targets", "who", "heads"]) show(part(`knockout-${name}`), blocks);
  show(part("knockout-changed"), blocks && knockoutField("heads").value === "changed");
}

function setOption(value, there) {
  const option = knockoutField("heads").querySelector(`[value="${value}"]`);
  option.disabled = !there;
}

// Says how many runs it would take, or why it cannot be asked; null for what was told before or comes too late.
async function tellPlan(kind, options) {
  const query = new URLSearchParams({ options: JSON.stringify(options) });
  const place = address(stage.look.session, `plan/${kind}?${query}`);
  if (matter.asked[kind] === place) return null;
  matter.asked[kind] = place;
  const plan = await fetchQuietly(place);
  if (matter.asked[kind] !== place) return null;
  const problem = plan.problem || plan.error || "";
  setText(part(`${kind}-runs`), problem || `${plan.runs} runs.`);
  setOff(root.querySelector(`[data-act="${kind}"]`), Boolean(problem));
  return plan;
}

// An answer whose problem is told beside the button that it belongs to.
async function fetchQuietly(place) {
  try {
    return await (await fetch(place)).json();
  } catch {
    return { problem: "The page got no answer from its server." };
  }
}

function fillKnockOut(view) {
  setText(part("knockout-how"), view.how);
  setText(part("knockout-axis"), `${short(view.low)} to ${short(view.high)}`);
  setText(part("knockout-legend"), legendOf(view));
  setText(part("knockout-notes"), [...view.notes, view.told].join(" "));
  const body = part("knockout-rows");
  fit(body, view.rows.length, buildDrop);
  view.rows.forEach((row, index) => fillDrop(body.children[index], row, view));
}

function legendOf(view) {
  const told = ["Coloured: the fall; dashed: half a nat, below which no dependence is found."];
  if (view.rows.some((row) => row.chance.length)) told.push("Grey: from the least to the most of the random picks, with their median.");
  if (view.rows.some((row) => row.words.length > 1)) told.push("By word: how far each fell.");
  if (view.inset.length) told.push("On the picture: dashed, the box as drawn; solid, all cells that it touches.");
  return told.join(" ");
}

function buildDrop() {
  const bar = make("div", { class: "lav-drop", role: "img" }, make("i"), make("i"), make("i"), make("i"), make("i"));
  const says = make("td", {}, make("p"), make("div", { class: "lav-strip" }));
  return make("tr", {}, make("td", { class: "lav-of" }), make("td"), make("td"), make("td", {}, bar), says);
}

function fillDrop(target, row, view) {
  const [variant, without, drop, chart, says] = target.children;
  target.style.setProperty("--variant", row.colour);
  setText(variant, row.variant);
  setText(without, row.target);
  setText(drop, row.drop);
  fillBar(chart.firstChild, row, view);
  setText(says.firstChild, row.sentence);
  says.firstChild.classList.toggle("lav-weak", !row.found);
  const strip = says.lastChild;
  show(strip, row.words.length > 1); // of a single word the row has told it
  fit(strip, row.words.length, () => make("span", { class: "lav-fallen" }, make("span"), make("b")));
  row.words.forEach((word, index) => {
    const each = strip.children[index];
    each.style.setProperty("--shade", word.shade.toFixed(3));
    setText(each.firstChild, word.text.trim() || SPACE);
    setText(each.lastChild, word.drop);
  });
}

// Chance from least to most, its median, zero, half a nat, and the fall itself.
function fillBar(bar, row, view) {
  const [chance, median, zero, threshold, fall] = bar.children;
  const [least, middle, most] = row.chance;
  const place = (mark, from, to) => {
    mark.style.left = `${100 * Math.min(from, to)}%`;
    mark.style.width = `${100 * Math.abs(to - from)}%`;
  };
  show(chance, row.chance.length > 0);
  show(median, row.chance.length > 0);
  if (row.chance.length) {
    place(chance, least, most);
    place(median, middle, middle);
  }
  place(zero, view.zero, view.zero);
  place(threshold, view.threshold, view.threshold);
  place(fall, view.zero, row.at);
  setAttribute(bar, "aria-label", `Fell by ${row.drop} nats${row.chance_told ? `; random picks ${row.chance_told}` : ""}`);
  setAttribute(bar, "title", bar.getAttribute("aria-label"));
}

root.addEventListener("change", ({ target }) => {
  if (target.dataset.knockout) showKnockOut(stage.look);
});
part("matter-picture").addEventListener("click", setCorner);
