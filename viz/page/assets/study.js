// What a report says over all pictures: the table of figures, the charts of heads, and how it was made. All texts and
// places come ready from the server.

function showFigures(view, found) {
  part("study-heading").replaceChildren(make("tr", {}, make("th"), ...view.variants.map((name, index) => ofVariant("th", name, view.colours[index]))));
  const rows = [];
  found.rows.forEach((row, index) => {
    if (!index || found.rows[index - 1].group !== row.group) {
      rows.push(make("tr", { class: "lav-figures-group" }, make("th", { colspan: view.variants.length + 1, text: row.group })));
    }
    const name = make("th", { scope: "row" }, make("span", { text: row.name }), make("small", { text: `${row.how} Bar: ${row.track}.` }));
    rows.push(make("tr", {}, name, ...row.cells.map((cell, at) => make("td", {}, ...figureCell(cell, view.colours[at])))));
  });
  part("study-rows").replaceChildren(...rows);
  fillList("study-missing", study.set === "data" && view.no_general ? [...found.missing, view.no_general] : found.missing);
}

function ofVariant(tag, name, colour) {
  const made = make(tag, { class: "lav-of", text: name });
  made.style.setProperty("--variant", colour);
  return made;
}

function figureCell(cell, colour) {
  if (!cell.told) return [make("span", { class: "lav-hint", text: "\u2013", title: "not measured of this one" })];
  const interval = cell.interval ? `${cell.interval}, n\u00a0${cell.n}` : `n\u00a0${cell.n}, too few for an interval`;
  const parts = [make("b", { text: cell.told }), trackBar(cell, colour), make("small", { text: interval })];
  return cell.note ? [...parts, make("small", { text: cell.note })] : parts;
}

function trackBar({ span: [low, mean, high], marks }, colour) {
  const band = make("i", { class: "lav-track-band" });
  Object.assign(band.style, { left: `${100 * low}%`, width: `${100 * (high - low)}%` });
  const point = make("i", { class: "lav-track-mean" });
  point.style.left = `${100 * mean}%`;
  const beside = marks.map(([place, title]) => {
    const mark = make("i", { class: "lav-track-mark", title });
    mark.style.left = `${100 * place}%`;
    return mark;
  });
  const bar = make("span", { class: "lav-track", "aria-hidden": "true" }, band, ...beside, point);
  bar.style.setProperty("--variant", colour);
  return bar;
}

function showTests(found) {
  drawScale(part("study-heads-scale"), found.heads_scale);
  part("study-tests").replaceChildren(...(found.heads.length ? found.heads.map(headsTest) : [make("p", { text: "No adapter was asked, so no head changed." })]));
}

function headsTest(one) {
  const title = ofVariant("h3", one.variant, one.colour);
  if (one.missing) return make("article", {}, title, make("p", { class: "lav-hint", text: one.missing }));
  const heading = ["layer, head", `change, ${one.track}`, "p", "corrected p"].map((text) => make("th", { text }));
  const rows = one.top.map((row) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", text: `${row.layer}, ${row.head}` }),
      make("td", {}, ...figureCell(row.change, one.colour)),
      make("td", { text: row.p }),
      make("td", {}, make(row.sure ? "b" : "span", { text: row.corrected })),
    ),
  );
  const table = make("table", { class: "lav-table lav-figures" }, make("thead", {}, make("tr", {}, ...heading)), make("tbody", {}, ...rows));
  return make("article", {}, title, make("p", { text: one.told }), headsMap(one), make("div", { class: "lav-wide" }, table));
}

// Layers downwards, heads to the right; a frame marks a head that changed by more than chance.
function headsMap(one) {
  const numbers = (count, name) => {
    const step = Math.max(1, Math.ceil(count / 12));
    return make("div", { class: name, "aria-hidden": "true" }, ...Array.from({ length: count }, (_, at) => make("span", { text: at % step ? "" : at })));
  };
  const box = make("div", { class: "lav-heads-box" }, make("img", { src: one.png, alt: `${one.variant}: ${one.told}` }));
  for (const [layer, head] of one.sure) {
    const frame = make("i", { "aria-hidden": "true" });
    frame.style.inset = `${(100 * layer) / one.layers}% ${100 - (100 * (head + 1)) / one.heads}% ${100 - (100 * (layer + 1)) / one.layers}% ${(100 * head) / one.heads}%`;
    box.append(frame);
  }
  const chart = make("div", { class: "lav-heads" }, numbers(one.layers, "lav-heads-layers"), box, numbers(one.heads, "lav-heads-heads"));
  chart.style.setProperty("--rows", one.layers);
  chart.style.setProperty("--cols", one.heads);
  return chart;
}

function showAbout(view, found) {
  part("study-help").replaceChildren(...view.help.map(([heading, text]) => make("div", {}, make("dt", { text: heading }), make("dd", { text }))));
  part("study-asked").replaceChildren(...view.asked.map(([name, value]) => make("tr", {}, make("th", { scope: "row", text: name }), make("td", { text: value }))));
  fillList("study-methods", [...view.methods, ...view.notes]);
  fillList("study-skipped", found.skipped.length ? found.skipped : ["None."]);
}

function fillList(name, texts) {
  part(name).replaceChildren(...texts.map((text) => make("li", { text })));
}
