// Evidence: what lies in the adapters' weights, beside what the layers' attention did. Weights are fetched when other
// adapters or another measure are wanted; what the attention did, at every choice.

const weighed = { session: "", names: null, measure: "frobenius", view: null, alike: null, drawings: [], layers: null, cell: null, asked: 0, looked: 0 };

fillsEvidence("weights", (look) => {
  if (look.session !== weighed.session) {
    Object.assign(weighed, { session: look.session, names: null, view: null, alike: null, layers: null, cell: null });
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
  Object.assign(weighed, { view, drawings, names, measure: view.measure, alike: null });
  weighed.cell = keptCell(view);
  showWeights();
  if (view.adapters.length > 1) loadAlike(asked);
}

// Pairs come after the charts: comparing takes as long for each of them.
async function loadAlike(asked) {
  const alike = await fetchEvidence(weightsAddress("alike", weightsQuery()));
  if (asked !== weighed.asked || !alike) return;
  weighed.alike = alike;
  showPairs();
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
  const all = view.adapters.flatMap((adapter) => adapter.changes);
  const largest = (changes) => changes.reduce((most, change) => (most && most.frobenius >= change.frobenius ? most : change), null);
  return all.find(like) || largest(view.adapters[0] ? view.adapters[0].changes : []) || null;
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
  const kinds = view.adapters.length ? ["csv", "png", "svg", "pdf"] : [];
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
    make("p", { class: "lav-hint lav-kinds" }),
  );
}

function fillWeights(target, one) {
  const { view, layers } = weighed;
  const index = view.adapters.findIndex((adapter) => adapter.adapter.name === one.name);
  const adapter = view.adapters[index];
  const change = layers && layers.changes.find((each) => each.adapters.length === 1 && each.adapters[0] === one.name);
  target.style.setProperty("--variant", one.colour);
  setText(target.querySelector(".lav-label"), one.name);
  const touches = (chart) => chart.tower === "text" || adapter.changes.some((each) => each.tower === chart.tower);
  const charts = adapter ? view.charts.map((chart, at) => ({ chart, drawing: weighed.drawings[at] })).filter(({ chart }) => touches(chart)) : [];
  fit(target.children[1], charts.length, buildGrid);
  charts.forEach(({ chart, drawing }, at) => fillGrid(target.children[1].children[at], { chart, drawing, index, adapter, change }));
  const [, , summary, looked, notes, kinds] = target.children;
  setText(summary, unbroken(adapter ? adapter.summary : one.problem));
  summary.classList.toggle("lav-loud", !adapter || adapter.frobenius === 0);
  setText(looked, unbroken(adapter && layers ? lookedWords(one, change) : ""));
  setText(kinds, unbroken(adapter ? kindWords(adapter) : ""));
  setText(notes, [...(adapter ? adapter.notes : []), one.note].filter(Boolean).join(" "));
}

// A number and its sign stay on one line.
function unbroken(sentence) {
  return sentence.replaceAll(" %", "\u00a0%");
}

// Shares of the squared norm, which add up over modules.
function kindWords(adapter) {
  const shares = Object.entries(adapter.share_by_module).map(([kind, share]) => `${kind} ${three(100 * share)} %`);
  return adapter.frobenius ? `Of its change, by kind of module: ${shares.join(", ")}.` : "";
}

function lookedWords(one, change) {
  if (change) return change.summary || change.missing;
  const joined = weighed.layers.changes.some((each) => each.adapters.includes(one.name));
  return joined ? `${one.name} was asked only together with others: ask with it alone to see its attention here.` : `Ask with ${one.name} to see here what it does to the attention.`;
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
