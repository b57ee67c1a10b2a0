// Where to look: the layer x head charts, and the small maps of layers, heads and tokens.

const TILE_HINTS = {
  layers: (choice) => `Each layer, ${choice.head === null ? "mean of its heads" : `head ${choice.head}`}. Click one to choose that layer.`,
  heads: (choice) => `Each head, ${choice.layer === null ? "mean over all layers" : `layer ${choice.layer}`}. Click one to choose that head.`,
  sequence: (choice) => `Each token in turn, ${whereWords(choice).toLowerCase()}. Click one to choose that token.`,
};
const TILE_SCALES = { layers: "small_scale", heads: "heads_scale", sequence: "sequence_scale" };

function showCharts(look, drawings) {
  const columns = look.panels.map((panel, index) => ({ ...panel, drawing: drawings[index].chart }));
  fillCharts(part("charts"), columns, look, "share of attention on the picture");
  drawScale(part("chart-scale"), look.chart_scale);
}

// Layer x head charts side by side, one for each of `columns` (variant, colour, drawing); a click chooses a cell.
function fillCharts(charts, columns, look, what) {
  if (!charts.firstChild) charts.append(make("div", { class: "lav-layer-names", role: "group", "aria-label": "Layers" }));
  fit(charts, columns.length + 1, buildChart);
  charts.style.setProperty("--layers", look.layer_count);
  charts.style.setProperty("--heads", look.head_count);
  charts.style.setProperty("--count", columns.length);
  nameLayers(charts.firstChild, look);
  columns.forEach((column, index) => fillChart(charts.children[index + 1], column, look, what));
}

// Row names stand once, beside the first chart; where there are many layers every second or fourth has a number.
function nameLayers(target, look) {
  const step = look.layer_count > 24 ? 4 : look.layer_count > 12 ? 2 : 1;
  fit(target, look.layer_count, (index) => make("button", { type: "button", class: "lav-layer", "data-layer": index }));
  [...target.children].forEach((button, index) => {
    setText(button, index % step === 0 ? String(index) : "\u00b7");
    setAttribute(button, "aria-label", `Layer ${index}, mean of its heads`);
    setAttribute(button, "aria-pressed", look.choice.layer === index && look.choice.head === null);
    setAttribute(button, "tabindex", index === (look.choice.layer ?? 0) ? 0 : -1);
  });
}

function buildChart() {
  const chart = make(
    "figure",
    { class: "lav-chart" },
    make("figcaption", {}, make("span", { class: "lav-dot" }), make("span", { class: "lav-label" })),
    make("div", { class: "lav-chart-box" }, make("canvas", { role: "img" }), make("div", { class: "lav-chosen", "aria-hidden": "true" })),
    make("p", { class: "lav-axis" }),
  );
  chart.querySelector("canvas").addEventListener("click", (event) => chooseCell(event));
  return chart;
}

function fillChart(target, { variant, colour, drawing }, look, what) {
  target.dataset.variant = variant;
  target.style.setProperty("--variant", colour);
  setText(target.querySelector(".lav-label"), variant);
  const canvas = target.querySelector("canvas");
  drawTile(canvas, drawing, { rows: look.layer_count, cols: look.head_count }, 0);
  setAttribute(canvas, "aria-label", `${variant}: ${what}, ${look.layer_count} layers downwards, ${look.head_count} heads to the right`);
  setText(target.querySelector(".lav-axis"), `heads 0 to ${look.head_count - 1}`);
  const { layer, head } = look.choice;
  const chosen = target.querySelector(".lav-chosen");
  const across = head === null ? [0, 100] : [(100 * head) / look.head_count, (100 * (head + 1)) / look.head_count];
  const down = layer === null ? [0, 100] : [(100 * layer) / look.layer_count, (100 * (layer + 1)) / look.layer_count];
  chosen.style.inset = `${down[0]}% ${100 - across[1]}% ${100 - down[1]}% ${across[0]}%`;
}

// The cell under the pointer, whatever the size on the screen.
function chooseCell(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  choose({
    layer: at((event.clientY - box.top) / box.height, stage.look.layer_count),
    head: at((event.clientX - box.left) / box.width, stage.look.head_count),
  });
}

function showTiles(look, drawings) {
  const tab = stage.view.tab;
  const tiles = part("tiles");
  for (const each of root.querySelectorAll("[data-tab]")) {
    const chosen = each.dataset.tab === tab;
    setAttribute(each, "aria-selected", chosen);
    setAttribute(each, "tabindex", chosen ? 0 : -1);
  }
  setAttribute(tiles, "aria-labelledby", `lav-tab-${tab}`);
  drawScale(part("tile-scale"), look[TILE_SCALES[tab]]);
  const shown = look.panels.filter((panel) => panel[tab].titles.length > 0);
  setText(part("tile-hint"), tileHint(look, tab, shown));
  show(part("tile-scale"), shown.some((panel) => panel[tab].blank.length < panel[tab].titles.length));
  fit(tiles, shown.length, buildTiles);
  tiles.style.setProperty("--ratio", look.rows ? look.cols / look.rows : 1);
  shown.forEach((panel, index) => fillTiles(tiles.children[index], panel, tab, look, drawings[look.panels.indexOf(panel)][tab]));
}

// How to read the small maps, or why there are none.
function tileHint(look, tab, shown) {
  if (!shown.length) return look.panels.map((panel) => panel.missing).find(Boolean) || "";
  const words = [TILE_HINTS[tab](look.choice)];
  if (shown.some((panel) => panel[tab].blank.length)) words.push("Crossed out: not kept.");
  if (tab === "sequence") words.push(stretchWords(look, shown));
  return words.join(" ");
}

// Which tokens have a small map, where there are too many for all of them.
function stretchWords(look, shown) {
  if (shown.every((panel) => panel.sequence.titles.length === panel.tokens.length)) return "";
  const last = (panel) => panel.stretch + panel.sequence.titles.length - 1;
  const from = Math.min(...shown.map((panel) => panel.tokens[panel.stretch].index));
  const to = Math.max(...shown.map((panel) => panel.tokens[last(panel)].index));
  return `Tokens ${from} to ${to} of ${look.token_count}: choose a word above to see those around it.`;
}

function buildTiles() {
  return make("div", { class: "lav-tile-row" }, make("span", { class: "lav-label" }), make("div", { class: "lav-tile-strip" }));
}

function fillTiles(target, panel, tab, look, drawing) {
  const sprite = panel[tab];
  target.style.setProperty("--variant", panel.colour);
  setText(target.querySelector(".lav-label"), panel.variant);
  const strip = target.querySelector(".lav-tile-strip");
  strip.dataset.tab = tab;
  fit(strip, sprite.titles.length, () =>
    make("button", { type: "button", class: "lav-tile" }, make("canvas", { "aria-hidden": "true" }), make("span", { class: "lav-tile-name" })),
  );
  strip.style.setProperty("--count", sprite.titles.length);
  sprite.titles.forEach((title, index) => fillTile(strip.children[index], { title, index, panel, tab, look, sprite, drawing }));
  if (!strip.querySelector('[tabindex="0"]') && strip.firstChild) setAttribute(strip.firstChild, "tabindex", 0);
}

function fillTile(target, { title, index, panel, tab, look, sprite, drawing }) {
  drawTile(target.firstChild, drawing, sprite, index);
  const token = panel.tokens[panel.stretch + index];
  const number = tab === "sequence" ? token.index : index;
  const chosen =
    tab === "sequence" ? number >= look.choice.token && number <= look.choice.token_to : look.choice[tab === "layers" ? "layer" : "head"] === index;
  target.dataset.number = number;
  target.classList.toggle("lav-blank", sprite.blank.includes(index));
  setText(target.lastChild, tab === "sequence" ? token.text.trim() || SPACE : String(index));
  setAttribute(target, "title", title);
  setAttribute(target, "aria-label", `${panel.variant}, ${title}`);
  setAttribute(target, "aria-pressed", chosen);
  setAttribute(target, "tabindex", chosen ? 0 : -1);
}

function chooseTile(target) {
  const number = Number(target.dataset.number);
  const tab = target.parentElement.dataset.tab;
  if (tab === "sequence") choose({ token: number, token_to: number });
  else choose({ [tab === "layers" ? "layer" : "head"]: number });
}
