// What the answer depends on: a window moved over the picture, for each variant a map in nats beside that of attention.

const depended = { drawings: new Map() };

function dependenceField(name) {
  return root.querySelector(`[data-dependence="${name}"]`);
}

function dependenceOptions(look) {
  const size = dependenceField("size").value;
  return {
    choice: look.choice,
    way: dependenceField("way").value,
    who: dependenceField("who").value,
    words: dependenceField("words").value,
    ...(size ? { size: Number(size) } : {}),
  };
}

async function showDependence(look) {
  show(part("dependence-who"), dependenceField("way").value === "block");
  const view = finding("dependence");
  show(part("dependence"), Boolean(view));
  const plan = await tellPlan("dependence", dependenceOptions(look));
  if (plan && plan.sizes) fillSizes(plan.sizes);
  if (view) fillDependence(view, await drawingsOf(view));
}

// The sizes that suit the picture's grid, the one to begin with first.
function fillSizes(sizes) {
  const select = dependenceField("size");
  const before = Number(select.value);
  fit(select, sizes.length, () => make("option"));
  sizes.forEach((size, index) => {
    select.children[index].value = size;
    setText(select.children[index], `${size} x ${size} cells${index ? "" : " (suits it)"}`);
  });
  select.value = sizes.includes(before) ? before : sizes[0];
}

// The decoded maps of a view, kept as long as the view is.
async function drawingsOf(view) {
  if (depended.view !== view) {
    depended.view = view;
    depended.drawings = Promise.all(view.panels.map(async (panel) => ({ map: await decoded(panel.png), looked: await decoded(panel.looked) })));
  }
  return depended.drawings;
}

function fillDependence(view, drawings) {
  if (view !== finding("dependence")) return;
  setText(part("dependence-how"), `${view.how} ${view.window}`);
  setText(part("dependence-notes"), [view.valued, ...view.notes, view.told].join(" "));
  drawScale(part("dependence-scale"), view.scale);
  drawScale(part("dependence-looked-scale"), view.looked_scale);
  show(part("dependence-looked-scale"), view.panels.some((panel) => panel.looked));
  const panels = part("dependence-panels");
  fit(panels, view.panels.length, buildDepended);
  panels.style.setProperty("--count", view.panels.length);
  view.panels.forEach((panel, index) => fillDepended(panels.children[index], { panel, view, drawing: drawings[index] }));
  // The same for all, it is told once.
  const told = new Set(view.panels.map((panel) => panel.pointing_told));
  panels.classList.toggle("lav-of-one-mind", told.size === 1);
  setText(part("dependence-pointing"), told.size === 1 ? view.panels[0].pointing_told : "");
  applyView();
}

function buildDepended() {
  const picture = () => make("div", { class: "lav-picture" }, make("img", { class: "lav-photo" }), make("canvas", { class: "lav-map", role: "img" }), make("div", { class: "lav-box", "aria-hidden": "true" }));
  const figure = () => make("figure", {}, make("div", { class: "lav-frame" }, picture()), make("figcaption", { class: "lav-hint" }));
  return make(
    "article",
    { class: "lav-panel" },
    make("header", { class: "lav-panel-head" }, make("span", { class: "lav-dot" }), make("h3", { class: "lav-label" })),
    make("div", { class: "lav-twofold" }, figure(), figure()),
    make("p", { class: "lav-summary" }),
    make("p", { class: "lav-summary lav-pointing" }),
  );
}

function fillDepended(target, { panel, view, drawing }) {
  const picture = currentPicture();
  const [, figures, sentence, pointing] = target.children;
  const [looked, lost] = figures.children;
  target.style.setProperty("--variant", panel.colour);
  setText(target.querySelector(".lav-label"), panel.variant);
  const lay = (figure, map, mark, told) => {
    layOver(figure.querySelector(".lav-picture"), { drawing: map, alt: told, rows: view.rows, cols: view.cols, picture });
    placeMark(figure.querySelector(".lav-box"), mark);
    setText(figure.lastChild, told);
  };
  lay(looked, drawing.looked, [], panel.looked_told);
  lay(lost, drawing.map, panel.inset, panel.inset.length ? "Nats lost. Framed: the costliest window." : "Nats lost.");
  setText(sentence, panel.sentence);
  setText(pointing, panel.pointing_told);
  pointing.classList.toggle("lav-apart", panel.pointing === "different places");
  pointing.classList.toggle("lav-weak", ["not calibrated", "nothing found"].includes(panel.pointing));
}

root.addEventListener("change", ({ target }) => {
  if (target.dataset.dependence) showDependence(stage.look);
});
