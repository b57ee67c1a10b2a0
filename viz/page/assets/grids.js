// The chart of one adapter's weights: layers downwards, modules to the right, and bars of what the attention did beside
// them. Which weight is chosen, `weighed` in evidence.js knows.

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

function hoverWords({ adapter }, cell) {
  const change = changeAt(adapter, cell);
  if (!change) return `${cellName(cell)}: not touched`;
  const told = FIGURES.filter(([name]) => change[name] !== null).map(([name, title]) => `${title} ${figure(name, change[name])}`);
  return `${cellName(cell)}: ${told.join(", ")}`;
}
