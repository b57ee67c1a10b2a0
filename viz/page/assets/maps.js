// The maps: each variant's picture with its map laid over it, its shares, and what can be downloaded.

const SHARES = ["picture", "question", "first token", "rest"];

function showMaps(look, drawings) {
  const panels = part("panels");
  fit(panels, look.panels.length, buildPanel);
  panels.style.setProperty("--count", look.panels.length);
  look.panels.forEach((panel, index) => fillPanel(panels.children[index], panel, look, drawings[index]));
  drawScale(part("map-scale"), look.map_scale);
  show(part("map-scale"), look.panels.some((panel) => panel.map));
}

function buildPanel() {
  return make(
    "article",
    { class: "lav-panel" },
    make(
      "header",
      { class: "lav-panel-head" },
      make("span", { class: "lav-dot" }),
      make("h3", { class: "lav-label" }),
      make("strong", { class: "lav-answered" }),
      make("span", { class: "lav-saves" }, make("a", { text: "PNG", download: true }), make("a", { text: "SVG", download: true })),
    ),
    make(
      "div",
      { class: "lav-frame" },
      make(
        "div",
        { class: "lav-picture" },
        make("img", { class: "lav-photo" }),
        make("canvas", { class: "lav-map", role: "img" }),
        make("div", { class: "lav-lines", "aria-hidden": "true" }),
        make("div", { class: "lav-peak", "aria-hidden": "true" }),
      ),
      make("p", { class: "lav-missing" }),
    ),
    make("div", { class: "lav-shares", role: "img" }, ...SHARES.map((_, index) => make("span", { class: `lav-share lav-share-${index}` }))),
    make("p", { class: "lav-shares-text" }),
    make("p", { class: "lav-summary" }),
    make("p", { class: "lav-depends" }),
  );
}

function fillPanel(target, panel, look, drawing) {
  const picture = currentPicture();
  target.dataset.variant = panel.variant;
  target.style.setProperty("--variant", panel.colour);
  setText(target.querySelector(".lav-label"), panel.variant);
  setText(target.querySelector(".lav-answered"), panel.answer || "(no answer)");
  setAttribute(target.querySelector(".lav-answered"), "title", panel.answer);
  fillPicture(target.querySelector(".lav-picture"), panel, look, drawing, picture);
  setText(target.querySelector(".lav-missing"), panel.missing);
  show(target.querySelector(".lav-missing"), Boolean(panel.missing));
  target.querySelector(".lav-frame").classList.toggle("lav-without", Boolean(panel.missing));
  fillShares(target, panel.shares);
  // With one picture the line of shares says the same.
  setText(target.querySelector(".lav-summary"), panel.summary);
  show(target.querySelector(".lav-summary"), look.image_count > 1 && panel.summary !== "");
  const saves = target.querySelector(".lav-saves");
  show(saves, Boolean(panel.map));
  for (const link of saves.querySelectorAll("a")) {
    link.href = fileAddress(`map.${link.textContent.toLowerCase()}`, look, { variant: panel.variant });
    setAttribute(link, "aria-label", `Download the map of ${panel.variant} as ${link.textContent}`);
  }
}

function fillPicture(target, panel, look, drawing, picture) {
  show(target, Boolean(picture));
  if (!picture) return;
  layOver(target, { drawing: drawing.map, alt: panel.alt || panel.missing, rows: look.rows, cols: look.cols, picture });
  placeMark(target.querySelector(".lav-peak"), panel.peak);
}

// The picture with a map of one pixel a cell over it; without a map the picture alone.
function layOver(target, { drawing, alt, rows, cols, picture }) {
  const photo = target.querySelector(".lav-photo");
  target.style.setProperty("--ratio", picture.width / picture.height);
  setAttribute(photo, "src", picture.address);
  setAttribute(photo, "alt", `The picture: ${picture.name}, ${picture.width} by ${picture.height} pixels`);
  const map = target.querySelector(".lav-map");
  drawTile(map, drawing, { rows, cols }, 0);
  setAttribute(map, "aria-label", alt);
  show(map, Boolean(drawing));
  target.style.setProperty("--rows", rows);
  target.style.setProperty("--cols", cols);
}

// Puts a frame where it belongs: left, top, right, bottom in fractions of the picture; hides it without them.
function placeMark(mark, place) {
  show(mark, place.length === 4);
  if (place.length !== 4) return;
  const [left, top, right, bottom] = place.map((share) => 100 * share);
  mark.style.inset = `${top}% ${100 - right}% ${100 - bottom}% ${left}%`;
}

function fillShares(target, shares) {
  const bar = target.querySelector(".lav-shares");
  const words = SHARES.map((name, index) => `${name} ${percent(shares[index] ?? 0)}`);
  show(bar, shares.length > 0);
  SHARES.forEach((_, index) => {
    bar.children[index].style.flexGrow = shares[index] ?? 0;
  });
  setAttribute(bar, "aria-label", `Where its attention went: ${words.join(", ")}`);
  const text = target.querySelector(".lav-shares-text");
  fit(text, SHARES.length, (index) => make("span", { class: `lav-key lav-key-${index}` }));
  show(text, shares.length > 0);
  words.forEach((word, index) => setText(text.children[index], word));
}

function percent(share) {
  const value = 100 * share;
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} %`;
}

// Opacity, smooth or cells, grid lines and marks need no request: they are styles.
function applyView() {
  const view = stage.view;
  for (const panels of root.querySelectorAll(".lav-panels")) {
    panels.style.setProperty("--opacity", view.opacity / 100);
    panels.classList.toggle("lav-smooth", view.smooth === "smooth");
    panels.classList.toggle("lav-with-lines", view.lines);
    panels.classList.toggle("lav-with-peak", view.peak);
  }
  setText(part("opacity-name"), `${view.opacity} %`);
}

function showFiles(look) {
  const files = part("files");
  const figures = [["figure.png", "Figure PNG"], ["figure.svg", "Figure SVG"], ["figure.pdf", "Figure PDF"]];
  const kinds = [...(look.panels.some((panel) => panel.map) ? figures : []), ["chart.png", "Chart PNG"], ["chart.svg", "Chart SVG"],
    ["session.zip", "Session"]];
  fit(files, kinds.length, () => make("a", { class: "lav-small", download: true }));
  kinds.forEach(([name, title], index) => {
    setText(files.children[index], title);
    setAttribute(files.children[index], "aria-label", `Download ${title.toLowerCase()}`);
    files.children[index].href = fileAddress(name, look, {});
  });
}
