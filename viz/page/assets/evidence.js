// Evidence: what lies in the adapters' weights, beside what the layers' attention did. Weights are fetched when other
// adapters or another measure are wanted; what the attention did, at every choice.

const weighed = { session: "", names: null, measure: "frobenius", view: null, drawings: [], layers: null, cell: null, asked: 0, looked: 0 };

const FIGURES = [
  ["frobenius", "norm", "Frobenius norm: size of all that is added"],
  ["ratio", "of the base", "Frobenius norm over that of the base's weight"],
  ["spectral", "spectral", "Spectral norm: most that is added to an input of length 1"],
  ["effective_rank", "effective rank", "How many directions carry the change"],
  ["rank", "rank", "How many directions there is room for"],
  ["share", "of its change", "Share of the squared norm of all that the adapter adds"],
];
const MOST_VALUES = 64;
const MOST_UNFOLDED = 3;

fillsRoom("evidence", (look) => {
  if (look.session !== weighed.session) {
    Object.assign(weighed, { session: look.session, names: null, view: null, layers: null, cell: null });
    loadWeights();
  }
  loadLayers(look);
});

function weightsAddress(path, query) {
  return address(weighed.session, `${path}?${query}`);
}

function weightsQuery() {
  return new URLSearchParams([...(weighed.names || []).map((name) => ["adapter", name]), ["measure", weighed.measure]]);
}

// What is wanted, or the sentence that says why not; an answer that comes too late is dropped.
async function loadWeights() {
  const asked = (weighed.asked += 1);
  setAttribute(part("weights"), "aria-busy", true);
  const view = await fetchEvidence(weightsAddress("weights", weightsQuery()));
  if (asked !== weighed.asked) return;
  setAttribute(part("weights"), "aria-busy", false);
  if (!view) {
    if (weighed.view) showChoices(weighed.view);
    return;
  }
  const drawings = await Promise.all(view.charts.map((chart) => decoded(chart.png)));
  if (asked !== weighed.asked) return;
  const names = view.listed.filter((one) => one.chosen).map((one) => one.name);
  Object.assign(weighed, { view, drawings, names, measure: view.measure });
  weighed.cell = keptCell(view);
  showWeights();
}

async function loadLayers(look) {
  const looked = (weighed.looked += 1);
  const layers = await fetchEvidence(address(look.session, `layers?${new URLSearchParams({ choice: JSON.stringify(look.choice) })}`));
  if (looked !== weighed.looked || !layers) return;
  weighed.layers = layers;
  if (weighed.view) showWeights();
}

async function fetchEvidence(from) {
  setText(part("weights-wrong"), "");
  try {
    const answer = await fetch(from);
    const found = await answer.json();
    if (answer.ok) return found;
    setText(part("weights-wrong"), found.error);
  } catch {
    setText(part("weights-wrong"), "The page got no answer from its server: check the connection and choose again.");
  }
  return null;
}

// The cell chosen before, if there still is one like it; else the one that the first adapter changes most.
function keptCell(view) {
  const like = (change) => weighed.cell && ["tower", "layer", "module"].every((name) => change[name] === weighed.cell[name]);
  const all = view.figures.adapters.flatMap((adapter) => adapter.changes);
  const largest = (changes) => changes.reduce((most, change) => (most && most.frobenius >= change.frobenius ? most : change), null);
  return all.find(like) || largest(view.figures.adapters[0] ? view.figures.adapters[0].changes : []) || null;
}

function changeAt(adapter, { tower, layer, module }) {
  return adapter.changes.find((change) => change.tower === tower && change.layer === layer && change.module === module);
}

function showWeights() {
  const { view } = weighed;
  drawScale(part("weights-scale"), view.scale);
  show(part("weights-scale"), view.charts.length > 0);
  showChoices(view);
  const measure = view.measures.find((each) => each.measure === view.measure);
  setText(part("weights-how"), `A cell is a weight: ${measure.meaning}. Hatched: not touched; 0: touched, but nothing changed. ${barWords()}`);
  setText(part("weights-base"), view.base_note);
  showWeightFiles(view);
  showUnusable(view);
  const panels = part("weights-panels");
  const chosen = view.listed.filter((one) => one.chosen);
  fit(panels, chosen.length, buildWeights);
  chosen.forEach((one, index) => fillWeights(panels.children[index], one));
  showCell();
  showPairs();
  tellWeights();
}

// Those that cannot be chosen, each with its reason.
function showUnusable(view) {
  const unusable = view.listed.filter((one) => one.problem && !one.chosen);
  fit(part("weights-unusable"), unusable.length, () => make("li"));
  unusable.forEach((one, index) => setText(part("weights-unusable").children[index], `${one.name}: ${one.problem}`));
}

function barWords() {
  const { layers } = weighed;
  if (!layers) return "";
  const full = layers.highest > 0 ? `, ${points(layers.highest)} at full length` : "";
  return `Beside it what the attention of ${layers.token} did in each layer: change of its share on the picture against the base, mean over heads${full}.`;
}

function points(share) {
  return `${three(100 * share)} points`;
}

function three(number) {
  return String(Number(number.toPrecision(3)));
}

// Which adapters there are; the last one ticked stays, and no more than fit.
function showChoices(view) {
  const names = part("weights-names");
  setText(part("weights-most"), `(at most ${view.most})`);
  fit(names, view.listed.length, () => {
    const box = make("input", { type: "checkbox" });
    box.addEventListener("change", () => toggleWeights(box));
    return make("label", { class: "lav-tick" }, box, make("span", { class: "lav-dot" }), make("span"));
  });
  const here = (one) => one.chosen || !one.problem;
  const count = view.listed.filter((one) => one.chosen).length;
  view.listed.forEach((one, index) => {
    const label = names.children[index];
    const [box, , text] = label.children;
    label.style.setProperty("--variant", one.colour);
    setText(text, one.name);
    box.value = one.name;
    box.checked = one.chosen;
    box.disabled = !here(one) || (one.chosen ? count === 1 : count >= view.most);
  });
  const select = root.querySelector('[data-weights="measure"]');
  fit(select, view.measures.length, () => make("option"));
  view.measures.forEach((measure, index) => {
    select.children[index].value = measure.measure;
    setText(select.children[index], measure.title);
  });
  select.value = view.measure;
}

function toggleWeights(box) {
  const wanted = (name) => (name === box.value ? box.checked : weighed.names.includes(name));
  weighed.names = weighed.view.listed.map((one) => one.name).filter(wanted);
  loadWeights();
}

function showWeightFiles(view) {
  const files = part("weights-files");
  const kinds = view.figures.adapters.length ? ["csv", "png", "svg", "pdf"] : [];
  fit(files, kinds.length, () => make("a", { class: "lav-small", download: true }));
  kinds.forEach((kind, index) => {
    setText(files.children[index], kind === "csv" ? "Table CSV" : `Chart ${kind.toUpperCase()}`);
    files.children[index].href = weightsAddress(`weights.${kind}`, weightsQuery());
  });
}

function buildWeights() {
  return make(
    "article",
    { class: "lav-weigh" },
    make("h3", {}, make("span", { class: "lav-dot" }), make("span", { class: "lav-label" })),
    make("div", { class: "lav-weigh-charts" }),
    make("p", { class: "lav-summary" }),
    make("p", { class: "lav-summary lav-looked" }),
    make("p", { class: "lav-hint" }),
  );
}

function fillWeights(target, one) {
  const { view, layers } = weighed;
  const index = view.figures.adapters.findIndex((adapter) => adapter.adapter.name === one.name);
  const adapter = view.figures.adapters[index];
  const change = layers && layers.changes.find((each) => each.adapters.length === 1 && each.adapters[0] === one.name);
  target.style.setProperty("--variant", one.colour);
  setText(target.querySelector(".lav-label"), one.name);
  const touches = (chart) => chart.tower === "text" || adapter.changes.some((each) => each.tower === chart.tower);
  const charts = adapter ? view.charts.map((chart, at) => ({ chart, drawing: weighed.drawings[at] })).filter(({ chart }) => touches(chart)) : [];
  fit(target.children[1], charts.length, buildGrid);
  charts.forEach(({ chart, drawing }, at) => fillGrid(target.children[1].children[at], { chart, drawing, index, adapter, change }));
  const [, , summary, looked, notes] = target.children;
  setText(summary, unbroken(adapter ? adapter.summary : one.problem));
  summary.classList.toggle("lav-loud", !adapter || adapter.frobenius === 0);
  setText(looked, unbroken(adapter && layers ? lookedWords(one, change) : ""));
  setText(notes, [...(adapter ? adapter.notes : []), one.note].filter(Boolean).join(" "));
}

// A number and its sign stay on one line.
function unbroken(sentence) {
  return sentence.replaceAll(" %", "\u00a0%");
}

function lookedWords(one, change) {
  if (change) return change.summary || change.missing;
  const joined = weighed.layers.changes.some((each) => each.adapters.includes(one.name));
  return joined ? `${one.name} was asked only together with others: ask with it alone to see its attention here.` : `Ask with ${one.name} to see here what it does to the attention.`;
}

// Rows are layers, columns modules; the bars beside the rows of the text tower are the attention's.
function buildGrid() {
  const grid = make(
    "div",
    { class: "lav-grid" },
    make("p", { class: "lav-axis" }),
    make("p", { class: "lav-axis" }),
    make("div", { class: "lav-grid-layers", "aria-hidden": "true" }),
    make("div", { class: "lav-grid-box" }, make("canvas", { role: "img" }), make("div", { class: "lav-grid-zeros", "aria-hidden": "true" }), make("div", { class: "lav-chosen", "aria-hidden": "true" })),
    make("div", { class: "lav-grid-bars", role: "img" }),
    make("div", { class: "lav-grid-modules", "aria-hidden": "true" }),
  );
  const canvas = grid.querySelector("canvas");
  canvas.addEventListener("click", (event) => chooseWeight(cellUnder(event, grid.chart)));
  canvas.addEventListener("pointermove", (event) => setAttribute(canvas, "title", hoverWords(grid, cellUnder(event, grid.chart))));
  return grid;
}

function fillGrid(target, { chart, drawing, index, adapter, change }) {
  const { layers: rows, modules } = chart;
  Object.assign(target, { chart, adapter });
  target.style.setProperty("--rows", rows.length);
  target.style.setProperty("--cols", modules.length);
  const [tower, beside, names, box, bars, below] = target.children;
  const [canvas, zeros, chosen] = box.children;
  const step = rows.length > 24 ? 4 : rows.length > 12 ? 2 : 1;
  fit(names, rows.length, () => make("span"));
  rows.forEach((layer, row) => setText(names.children[row], layer === null ? "none" : row % step === 0 ? String(layer) : "\u00b7"));
  fit(below, modules.length, () => make("span"));
  modules.forEach((module, col) => {
    setText(below.children[col], module);
    setAttribute(below.children[col], "title", module);
  });
  drawTile(canvas, drawing, { rows: rows.length, cols: modules.length }, index);
  const where = chart.tower === "text" ? "layers" : "vision blocks";
  setAttribute(canvas, "aria-label", `${adapter.adapter.name}: ${rows.length} ${where} downwards, ${modules.join(", ")} to the right. ${adapter.summary}`);
  const nothing = adapter.changes.filter((one) => one.tower === chart.tower && one.frobenius === 0);
  fit(zeros, nothing.length, () => make("span", { text: "0" }));
  nothing.forEach((one, at) => place(zeros.children[at], chart, one));
  const here = weighed.cell && weighed.cell.tower === chart.tower && modules.includes(weighed.cell.module) && rows.includes(weighed.cell.layer);
  show(chosen, Boolean(here));
  if (here) place(chosen, chart, weighed.cell);
  fillBars(bars, rows, chart.tower === "text" ? change : null);
  setText(tower, chart.tower === "text" ? "text layers" : "vision blocks and mergers");
  setText(beside, chart.tower === "text" && change && change.values.length ? "attention" : "");
}

function place(target, { layers: rows, modules }, { layer, module }) {
  const [row, col] = [rows.indexOf(layer), modules.indexOf(module)];
  const [high, wide] = [100 / rows.length, 100 / modules.length];
  target.style.inset = `${row * high}% ${100 - (col + 1) * wide}% ${100 - (row + 1) * high}% ${col * wide}%`;
}

// To the right of the middle the picture got more, to the left less.
function fillBars(target, rows, change) {
  const values = change ? change.values : [];
  show(target, values.length > 0);
  fit(target, values.length ? rows.length : 0, () => make("span", {}, make("i")));
  if (!values.length) return;
  const highest = weighed.layers.highest || 1;
  setAttribute(target, "aria-label", `${change.variant}: ${change.summary}`);
  rows.forEach((layer, row) => {
    const value = layer === null ? 0 : values[layer] ?? 0;
    const line = target.children[row];
    setAttribute(line, "title", layer === null || layer >= values.length ? "" : `layer ${layer}: ${value > 0 ? "+" : ""}${points(value)} of the attention of ${weighed.layers.token} on the picture`);
    line.firstChild.style.width = `${(50 * Math.abs(value)) / highest}%`;
    line.firstChild.style.marginLeft = `${value < 0 ? 50 - (50 * Math.abs(value)) / highest : 50}%`;
  });
}

function cellUnder(event, { tower, layers: rows, modules }) {
  const box = event.currentTarget.getBoundingClientRect();
  const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  const row = at((event.clientY - box.top) / box.height, rows.length);
  return { tower, layer: rows[row], module: modules[at((event.clientX - box.left) / box.width, modules.length)] };
}

function cellName({ tower, layer, module }) {
  const level = tower === "text" ? "layer" : module.startsWith("deepstack.") ? "DeepStack merger" : "vision block";
  return layer === null ? module : `${level} ${layer}, ${module}`;
}

function hoverWords({ adapter }, cell) {
  const change = changeAt(adapter, cell);
  if (!change) return `${cellName(cell)}: not touched`;
  const told = FIGURES.filter(([name]) => change[name] !== null).map(([name, title]) => `${title} ${figure(name, change[name])}`);
  return `${cellName(cell)}: ${told.join(", ")}`;
}

function figure(name, value) {
  if (value === null || value === undefined) return "\u2013";
  return name === "ratio" || name === "share" ? percent(value) : three(value);
}

function chooseWeight(cell) {
  weighed.cell = cell;
  showWeights();
}

// The chosen weight in numbers, an adapter a row.
function showCell() {
  const { view, cell } = weighed;
  const adapters = view.figures.adapters;
  show(part("weights-chosen"), Boolean(cell));
  if (!cell) return;
  const chart = view.charts.find((each) => each.tower === cell.tower);
  const places = view.charts.flatMap((each) => each.layers.map((layer) => ({ tower: each.tower, layer })));
  fillSelect("layer", places.map((at) => [JSON.stringify(at), at.layer === null ? `${at.tower}, no layer` : at.tower === "text" ? String(at.layer) : `vision ${at.layer}`]), JSON.stringify({ tower: cell.tower, layer: cell.layer }));
  fillSelect("module", chart.modules.map((module) => [module, module]), cell.module);
  const figures = FIGURES.filter(([name]) => name !== "ratio" || view.measure === "ratio");
  part("weights-heads").replaceChildren(
    make("tr", {}, make("th", { text: "adapter" }), ...figures.map(([, title, meaning]) => make("th", { text: title, title: meaning })), make("th", { text: "singular values" })),
  );
  const highest = Math.max(0, ...adapters.map((adapter) => (changeAt(adapter, cell) || { spectral: 0 }).spectral));
  part("weights-rows").replaceChildren(...adapters.map((adapter) => cellRow(adapter, changeAt(adapter, cell), figures, highest)));
}

function cellRow(adapter, change, figures, highest) {
  const name = make("td", { class: "lav-of", text: adapter.adapter.name });
  name.style.setProperty("--variant", colourOf(adapter.adapter.name));
  if (!change) return make("tr", {}, name, make("td", { colspan: figures.length + 1, text: "not touched" }));
  return make("tr", {}, name, ...figures.map(([key]) => make("td", { text: figure(key, change[key]) })), make("td", {}, spectrum(adapter.adapter.name, change, highest)));
}

function colourOf(name) {
  return weighed.view.listed.find((one) => one.name === name).colour;
}

function spectrum(name, { singular_values: values }, highest) {
  const shown = values.slice(0, MOST_VALUES);
  const words = `${shown.map(three).join(", ")}${values.length > shown.length ? ` \u2026 (${values.length} in all)` : ""}`;
  const bars = make("span", { class: "lav-spectrum", role: "img", "aria-label": `Singular values: ${words}`, title: words });
  bars.style.setProperty("--variant", colourOf(name));
  bars.append(
    ...shown.map((value) => {
      const bar = make("i");
      bar.style.height = `${highest ? (100 * value) / highest : 0}%`;
      return bar;
    }),
  );
  return bars;
}

function fillSelect(name, options, value) {
  const select = root.querySelector(`[data-weights="${name}"]`);
  fit(select, options.length, () => make("option"));
  options.forEach(([each, text], index) => {
    select.children[index].value = each;
    setText(select.children[index], text);
  });
  select.value = value;
}

function showPairs() {
  const { figures, problems } = weighed.view;
  const told = [...figures.overlaps.map((pair) => pair.summary), ...problems];
  show(part("weights-pairs"), told.length > 0);
  const folded = part("weights-alike").parentElement;
  if (told.length !== part("weights-alike").children.length) folded.open = told.length <= MOST_UNFOLDED;
  setText(folded.firstElementChild, told.length === 1 ? "In a sentence" : `In ${told.length} sentences`);
  fit(part("weights-alike"), told.length, () => make("li"));
  told.forEach((sentence, index) => setText(part("weights-alike").children[index], sentence));
  setText(part("weights-note"), figures.overlap_note);
  const rows = weighed.cell ? figures.overlaps.map((pair) => [pair, changeAt({ changes: pair.modules }, weighed.cell)]).filter(([, at]) => at) : [];
  part("weights-overlaps").replaceChildren(...rows.map(([pair, at]) => overlapRow(pair, at)));
  show(part("weights-overlaps").parentElement, rows.length > 0);
  if (weighed.cell) setText(part("weights-where"), `in ${cellName(weighed.cell)}`);
}

function overlapRow(pair, { outputs, inputs, alignment }) {
  const alike = ({ similarity, chance }) => (similarity === null ? "\u2013" : `${similarity.toFixed(2)} (chance ${chance.toFixed(2)})`);
  return make(
    "tr",
    {},
    make("td", { text: `${pair.first} and ${pair.second}` }),
    make("td", { text: alike(outputs) }),
    make("td", { text: alike(inputs) }),
    make("td", { text: outputs.similarity === null ? "\u2013" : alignment.toFixed(2) }),
  );
}

// What is shown, for tests and for people who hear the page.
function tellWeights() {
  const { view, cell, layers } = weighed;
  Object.assign(part("weights-panels").dataset, {
    names: weighed.names.join(" "),
    measure: view.measure,
    cell: cell ? cellName(cell) : "",
    token: layers ? layers.token : "",
  });
}

root.addEventListener("change", (event) => {
  const name = event.target.dataset.weights;
  if (name === "measure") {
    weighed.measure = event.target.value;
    loadWeights();
  } else if (name === "module") {
    chooseWeight({ ...weighed.cell, module: event.target.value });
  } else if (name === "layer") {
    const { tower, layer } = JSON.parse(event.target.value);
    const { modules } = weighed.view.charts.find((each) => each.tower === tower);
    chooseWeight({ tower, layer, module: modules.includes(weighed.cell.module) ? weighed.cell.module : modules[0] });
  }
});
