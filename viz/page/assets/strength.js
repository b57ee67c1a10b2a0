// Strength: one adapter swept over its scale. The sweep is a session of its own; its curves and maps are fetched once for
// each choice, and the slider moves through them with no request.

const USUAL_SCALES = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5];
const strength = { view: null, drawings: null, step: null, of: "", asked: "" };

fillsEvidence("strength", showStrength);

function strengthField(name) {
  return root.querySelector(`[data-strength="${name}"]`);
}

function showStrength(look) {
  const box = boxOn(look);
  fillBox(box || []);
  fillAdapters(look);
  if (!strengthField("scales").value) setScales(USUAL_SCALES);
  planStrength();
  const found = finding("strength");
  show(part("strength"), Boolean(found && strength.view));
  if (found) loadStrength(look, found, box);
}

// Every adapter that takes part in a variant of the session, by name.
function fillAdapters(look) {
  const select = strengthField("adapter");
  const names = look.variants.filter((label) => label !== "base").flatMap((label) => label.split("+")).map((label) => label.replace(/@[^@]*$/, ""));
  const before = select.value;
  fillOptions(select, [...new Set(names)]);
  if (names.includes(before)) select.value = before;
}

function fillOptions(select, names) {
  fit(select, names.length, () => make("option"));
  names.forEach((name, index) => {
    select.children[index].value = name;
    setText(select.children[index], name);
  });
}

function setScales(scales) {
  strengthField("scales").value = scales.join(", ");
}

function chooseScales(scales) {
  setScales(scales);
  planStrength();
}

function strengthOptions() {
  const scales = strengthField("scales").value.split(/[,;\s]+/).filter(Boolean).map(Number);
  return { adapter: strengthField("adapter").value, scales: scales.map((scale) => (Number.isFinite(scale) ? scale : null)) };
}

async function planStrength() {
  if (strengthField("adapter").value) return tellPlan("strength", strengthOptions());
  setText(part("strength-runs"), "Ask with an adapter ticked first.");
  setOff(root.querySelector('[data-act="strength"]'), true);
  return null;
}

function strengthQuery(look, found, box) {
  return new URLSearchParams({ options: JSON.stringify({ choice: look.choice, box, colour: found.colour }) });
}

async function loadStrength(look, found, box) {
  const query = strengthQuery(look, found, box);
  const place = address(found.sweep, `strength?${query}`);
  if (strength.asked === place) return;
  strength.asked = place;
  const view = await fetchJson(place);
  if (strength.asked !== place) return;
  if (!view) {
    strength.asked = "";
    return;
  }
  const drawings = await Promise.all([view.maps, view.differences].map((all) => Promise.all(all.map(decoded))));
  if (strength.asked !== place) return;
  const usual = view.scales.includes(1) ? view.scales.indexOf(1) : view.scales.length - 1;
  if (strength.of !== found.sweep) strength.step = usual;
  Object.assign(strength, { view, drawings, of: found.sweep });
  setText(part("strength-note"), found.note);
  drawStrength(look);
  showStrengthFiles(found.sweep, query);
}

function drawStrength(look) {
  const { view } = strength;
  show(part("strength"), true);
  setText(part("strength-told"), view.sentences.join(" "));
  setText(part("strength-where"), `Curves and maps of ${view.token}: ${view.where}. Click the plot, or move the slider; no model is run.`);
  const slider = strengthField("step");
  slider.max = view.scales.length - 1;
  slider.value = strength.step;
  setText(part("strength-missing"), view.missing);
  drawScale(part("strength-map-scale"), view.map_scale);
  drawScale(part("strength-difference-scale"), view.difference_scale);
  for (const scale of ["strength-map-scale", "strength-difference-scale"]) show(part(scale), !view.missing);
  fit(part("strength-panels"), view.missing ? 0 : 3, buildOverlaid);
  part("strength-panels").style.setProperty("--count", 3);
  showStep(look);
}

function showStep(look) {
  const { view, drawings, step } = strength;
  setText(part("strength-scale"), String(view.scales[step]));
  setAttribute(strengthField("step"), "aria-valuetext", `scale ${view.scales[step]}`);
  drawCurves(part("strength-curves"), view, step);
  const keys = part("strength-keys");
  fit(keys, view.lines.length, () => make("li", {}, dashed(), make("span"), make("b")));
  view.lines.forEach((line, index) => {
    const [sample, name, told] = keys.children[index].children;
    setAttribute(sample.firstChild, "stroke", line.colour);
    setAttribute(sample.firstChild, "stroke-dasharray", line.dash || null);
    setText(name, line.name);
    setAttribute(keys.children[index], "title", line.meaning);
    setText(told, line.told[step] || "\u2013");
  });
  if (view.missing) return;
  const zero = view.labels.indexOf("base");
  const shown = [["base", zero, 0], [`${view.adapter} at scale ${view.scales[step]}`, step, 0], ["what it has more", step, 1]];
  shown.forEach(([label, at, which], index) => {
    const panel = part("strength-panels").children[index];
    panel.style.setProperty("--variant", index ? view.lines[1]?.colour || "" : view.lines[0]?.colour || "");
    setText(panel.querySelector(".lav-label"), label);
    layOver(panel.querySelector(".lav-picture"), { drawing: drawings[which][at], alt: `${label}, ${view.token}, ${view.where}`, rows: view.rows, cols: view.cols, picture: currentPicture() });
    placeMark(panel.querySelector(".lav-box"), view.inset);
  });
  applyView();
  Object.assign(part("strength").dataset, { step, scale: view.scales[step] });
}

function drawing(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== "" && value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function dashed() {
  const sample = drawing("svg", { width: 26, height: 8, "aria-hidden": "true" });
  sample.append(drawing("line", { x1: 0, x2: 26, y1: 4, y2: 4, "stroke-width": 2.5 }));
  return sample;
}

// All curves over the scale, in the pixels that there are, so that letters keep their size on a phone.
function drawCurves(target, view, step) {
  const width = Math.max(260, target.clientWidth || 640);
  const [left, right, top, high] = [44, 14, 10, 190];
  const [first, last] = [view.scales[0], view.scales[view.scales.length - 1]];
  const x = (scale) => left + ((width - left - right) * (scale - first)) / (last - first || 1);
  const y = (value) => top + high * (1 - value);
  const words = (at, down, text, anchor) => {
    const label = drawing("text", { x: at, y: down, "text-anchor": anchor });
    label.textContent = text;
    return label;
  };
  const chart = drawing("svg", { width, height: top + high + 42, role: "img", "aria-label": `${view.sentences.join(" ")} ${view.lines.map((line) => `${line.name}: ${line.told.map((told, index) => `${told} at ${view.scales[index]}`).join(", ")}`).join(". ")}` });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    chart.append(drawing("line", { class: "lav-rule", x1: left, x2: width - right, y1: y(share), y2: y(share) }), words(left - 6, y(share) + 4, `${100 * share} %`, "end"));
  }
  chart.append(drawing("line", { class: "lav-cursor", x1: x(view.scales[step]), x2: x(view.scales[step]), y1: top, y2: top + high }));
  const every = Math.ceil(view.scales.length / Math.floor((width - left) / 42));
  view.scales.forEach((scale, index) => {
    if (index % every === 0) chart.append(words(x(scale), top + high + 16, String(scale), "middle"));
  });
  chart.append(words((left + width - right) / 2, top + high + 36, `scale of ${view.adapter} (0: base, 1: as trained)`, "middle"));
  for (const line of view.lines) {
    const points = line.values.map((value, index) => (value === null ? null : [x(view.scales[index]), y(value)])).filter(Boolean);
    chart.append(drawing("polyline", { points: points.join(" "), stroke: line.colour, "stroke-dasharray": line.dash, fill: "none", "stroke-width": line.dash ? 2 : 2.5 }));
    for (const [at, down] of points) chart.append(drawing("circle", { cx: at, cy: down, r: 3, fill: line.colour }));
  }
  chart.addEventListener("click", (event) => {
    const at = event.clientX - chart.getBoundingClientRect().left;
    const near = view.scales.map((scale) => Math.abs(x(scale) - at));
    moveStep(near.indexOf(Math.min(...near)));
  });
  target.replaceChildren(chart);
}

function moveStep(step) {
  strength.step = step;
  strengthField("step").value = step;
  showStep(stage.look);
}

function showStrengthFiles(sweep, query) {
  const files = part("strength-files");
  const kinds = [["strength.png", "Plot PNG"], ["strength.svg", "Plot SVG"], ["strength.pdf", "Plot PDF"], ["strength.csv", "Table CSV"], ["session.zip", "Session"]];
  fit(files, kinds.length, () => make("a", { class: "lav-small", download: true }));
  kinds.forEach(([name, title], index) => {
    setText(files.children[index], title);
    files.children[index].href = address(sweep, name === "session.zip" ? name : `${name}?${query}`);
  });
}

root.addEventListener("change", ({ target }) => {
  if (target.matches('[data-strength="adapter"], [data-strength="scales"]')) planStrength();
});
root.addEventListener("input", ({ target }) => {
  if (target.matches('[data-strength="step"]')) moveStep(Number(target.value));
});
new ResizeObserver(() => {
  if (strength.view && part("strength-curves").clientWidth) drawCurves(part("strength-curves"), strength.view, strength.step);
}).observe(part("strength-curves"));
