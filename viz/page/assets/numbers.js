// The chosen weight in numbers: an adapter a row, and every pair of adapters. What is shown, `weighed` in evidence.js knows.

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

function cellName({ tower, layer, module }) {
  const level = tower === "text" ? "layer" : module.startsWith("deepstack.") ? "DeepStack merger" : "vision block";
  return layer === null ? module : `${level} ${layer}, ${module}`;
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
  const adapters = view.adapters;
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
  const { overlaps, note, problems } = weighed.alike || { overlaps: [], note: "", problems: [] };
  const told = [...overlaps.map((pair) => pair.summary), ...problems];
  show(part("weights-pairs"), told.length > 0);
  const folded = part("weights-alike").parentElement;
  if (told.length !== part("weights-alike").children.length) folded.open = told.length <= MOST_UNFOLDED;
  setText(folded.firstElementChild, told.length === 1 ? "In a sentence" : `In ${told.length} sentences`);
  fit(part("weights-alike"), told.length, () => make("li"));
  told.forEach((sentence, index) => setText(part("weights-alike").children[index], sentence));
  setText(part("weights-note"), note);
  const rows = weighed.cell ? overlaps.map((pair) => [pair, changeAt({ changes: pair.modules }, weighed.cell)]).filter(([, at]) => at) : [];
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
