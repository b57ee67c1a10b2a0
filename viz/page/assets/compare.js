// Compare: from variant A to variant B at the chosen token, layer and head; everything from the stored session.

const compare = { pair: {}, found: null, turn: 0, asked: {} };

fillsRoom("compare", showCompare, askChange);

function changeQuery(choice, session) {
  const pair = JSON.stringify({ ...compare.pair, box: boxed.box });
  return new URLSearchParams({ choice: JSON.stringify(choice), pair, ...aidsOf(session) });
}

function askChange(session, choice) {
  const place = address(session, `change?${changeQuery(choice, session)}`);
  if (compare.asked.place !== place) compare.asked = { place, answer: fetchJson(place) };
  return compare.asked.answer;
}

async function showCompare(look) {
  const turn = ++compare.turn;
  forgetStrangers(look);
  const answer = askChange(look.session, look.choice);
  compare.asked = {};
  const found = await answer;
  if (turn !== compare.turn) return;
  if (!found) {
    if (forgetAids(look.session)) showCompare(look);
    return;
  }
  const drawings = {
    cell: await Promise.all(found.cell.map((each) => decoded(each.png))),
    columns: await Promise.all(found.columns.map((column) => decoded(column.chart.png))),
    box: await Promise.all((found.box ? found.box.variants : []).map((each) => decoded(each.chart.png))),
    ranked: await decoded(found.ranked_maps.png),
  };
  compare.found = found;
  showPair(found);
  showPartings(found);
  showChances(found);
  showOverlaid(found, look, drawings.cell);
  showBox(found, look, drawings.box);
  showChanges(found, look, drawings);
  showAids(found, look);
  root.dataset.compared = Number(root.dataset.compared || 0) + 1;
  if (found.cell.length) showMoved(look, turn);
}

// A pair or a box of another session or picture is dropped.
function forgetStrangers(look) {
  boxOn(look);
  for (const side of ["a", "b"]) if (!look.variants.includes(compare.pair[side])) delete compare.pair[side];
}

async function showMoved(look, turn) {
  const moved = await fetchJson(address(look.session, `moved?${changeQuery(look.choice, look.session)}`));
  if (turn === compare.turn) setText(part("moved"), moved ? moved.told : "");
}

function showPair(found) {
  for (const side of ["a", "b"]) {
    const select = root.querySelector(`[data-pair="${side}"]`);
    fit(select, found.variants.length, () => make("option"));
    found.variants.forEach((label, index) => {
      setText(select.children[index], label);
      select.children[index].value = label;
    });
    select.value = found.pair[side];
  }
  root.querySelector('[data-pair="measure"]').value = found.pair.measure;
  setText(part("mode"), `${found.words[0].toUpperCase()}${found.words.slice(1)}.`);
  show(root.querySelector('[data-act="same"]'), !found.same_words);
}

// Says where the answers part, and marks the token in the strips.
function showPartings(found) {
  const told = found.partings.find((each) => each.variant === found.pair.b);
  setText(part("parting"), told ? told.told : "");
  show(part("parting"), Boolean(told));
  for (const token of root.querySelectorAll(".lav-parting")) token.classList.remove("lav-parting");
  for (const row of part("strips").children) {
    const mine = row.dataset.variant === found.pair.a ? told : found.partings.find((each) => each.variant === row.dataset.variant);
    const token = mine && row.querySelector(`[role=option][data-index="${mine.index}"]`);
    if (token) token.classList.add("lav-parting");
  }
}

function showChances(found) {
  const rows = found.chances.flatMap((place) => place.chances);
  show(part("chances"), rows.length > 0);
  show(part("no-chances"), rows.length === 0);
  part("chances").classList.toggle("lav-no-divergence", rows.every((row) => row.divergence === ""));
  fillTable(part("chances").tBodies[0], rows, (row) => [row.text, row.variant, row.probability, row.divergence, row.runners_up]);
}

function fillTable(body, rows, cells) {
  fit(body, rows.length, () => make("tr"));
  rows.forEach((row, index) => {
    const target = body.children[index];
    const texts = cells(row);
    fit(target, texts.length, () => make("td"));
    texts.forEach((text, column) => setText(target.children[column], text));
    target.style.setProperty("--variant", row.colour);
    for (const cell of target.children) cell.classList.toggle("lav-of", cell.textContent === row.variant);
  });
}

function showOverlaid(found, look, drawings) {
  setText(part("change-where"), `${whereWords(look.choice)}. Red: B gives more; blue: less.`);
  setText(part("change-told"), found.cell_told);
  setText(part("moved"), "");
  const panels = part("overlaid");
  fit(panels, found.cell.length, buildOverlaid);
  panels.style.setProperty("--count", Math.max(1, found.cell.length));
  found.cell.forEach((each, index) => {
    const panel = panels.children[index];
    panel.style.setProperty("--variant", each.colour);
    setText(panel.querySelector(".lav-label"), each.label);
    const alt = `${each.label}: ${each.told}`;
    layOver(panel.querySelector(".lav-picture"), { drawing: drawings[index], alt, rows: found.rows, cols: found.cols, picture: currentPicture() });
    placeMark(panel.querySelector(".lav-box"), found.box ? found.box.inset : []);
    setText(panel.querySelector(".lav-summary"), `${each.told}.`);
  });
  applyView();
  drawScale(part("pair-scale"), found.map_scale);
  drawScale(part("difference-scale"), found.difference_scale);
  for (const scale of ["pair-scale", "difference-scale"]) show(part(scale), found.cell.length > 0);
}

function buildOverlaid() {
  const picture = make(
    "div",
    { class: "lav-picture lav-boxable" },
    make("img", { class: "lav-photo" }),
    make("canvas", { class: "lav-map", role: "img" }),
    make("div", { class: "lav-lines", "aria-hidden": "true" }),
    make("div", { class: "lav-sinks", "aria-hidden": "true" }),
    make("div", { class: "lav-box", "aria-hidden": "true" }),
  );
  picture.addEventListener("click", (event) => setCorner(event));
  return make(
    "article",
    { class: "lav-panel lav-overlaid" },
    make("header", { class: "lav-panel-head" }, make("span", { class: "lav-dot" }), make("h3", { class: "lav-label" })),
    make("div", { class: "lav-frame" }, picture),
    make("p", { class: "lav-summary" }),
  );
}

function showBox(found, look, drawings) {
  fillBox(found.box ? found.box.box : []);
  show(part("box"), Boolean(found.box));
  if (!found.box) return;
  fillTable(part("box-rows"), found.box.variants, (each) => [each.variant, each.share, each.within, each.lift, each.hit]);
  const columns = found.box.variants.map((each, index) => ({ ...each, drawing: drawings[index] }));
  fillCharts(part("box-charts"), columns, look, "share of attention in the box");
  drawScale(part("box-scale"), found.box.scale);
}

function showChanges(found, look, drawings) {
  setText(part("formula"), found.formula);
  const columns = found.columns.map((column, index) => ({ ...column, drawing: drawings.columns[index] }));
  fillCharts(part("changes"), columns, look, `${found.measure_name} against ${found.pair.a}`);
  found.columns.forEach((column, index) => setText(part("changes").children[index + 1].querySelector(".lav-axis"), column.missing || `heads 0 to ${look.head_count - 1}`));
  drawScale(part("change-scale"), found.chart_scale);
  const alike = found.agreement.join("; ");
  setText(part("agreement"), alike && `Do they change the same heads? Rank correlation (1: the same order, 0: unrelated): ${alike}.`);
  showRanked(found, look, drawings.ranked);
}

function showRanked(found, look, drawing) {
  setText(part("ranked-hint"), found.missing || `Heads that ${found.pair.b} changed most, and their maps' difference. Click one to choose it.`);
  drawScale(part("ranked-scale"), found.ranked_scale);
  show(part("ranked-scale"), found.ranked.length > 0);
  const list = part("ranked");
  fit(list, found.ranked.length, () => {
    const button = make("button", { type: "button" }, make("canvas", { "aria-hidden": "true" }), make("span", {}, make("span"), make("small")), make("b"));
    button.addEventListener("click", () => choose({ layer: Number(button.dataset.layer), head: Number(button.dataset.head) }));
    return make("li", {}, button);
  });
  list.style.setProperty("--ratio", found.rows ? found.cols / found.rows : 1);
  found.ranked.forEach((one, index) => {
    const button = list.children[index].firstChild;
    const [canvas, name, value] = button.children;
    drawTile(canvas, drawing, found.ranked_maps, index);
    Object.assign(button.dataset, { layer: one.layer, head: one.head });
    button.classList.toggle("lav-blank", found.ranked_maps.blank.includes(index));
    setText(name.firstChild, `layer ${one.layer}, head ${one.head}`);
    setText(name.lastChild, one.times);
    button.classList.toggle("lav-under", one.under);
    setText(value, one.value);
    setAttribute(button, "aria-pressed", look.choice.layer === one.layer && look.choice.head === one.head);
  });
}

// Another pair or measure: the look stays, so only the change is asked for.
function choosePair(change) {
  compare.pair = { ...compare.pair, ...change };
  showCompare(stage.look);
}

root.addEventListener("change", ({ target }) => {
  if (target.dataset.pair) choosePair({ [target.dataset.pair]: target.type === "checkbox" ? target.checked : target.value });
});
