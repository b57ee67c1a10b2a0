// Small helpers for building elements. All text goes in as text, never as HTML.

const part = (name) => root.querySelector(`[data-part="${name}"]`);

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function setAttribute(target, name, value) {
  if (value === null) target.removeAttribute(name);
  else if (target.getAttribute(name) !== String(value)) target.setAttribute(name, String(value));
}

function show(target, shown) {
  target.hidden = !shown;
}

// A picture of the given address, decoded; null for an empty address.
async function decoded(address) {
  if (!address) return null;
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

// Draws tile `index` of a sprite at one canvas pixel a cell; the style sheet enlarges it.
function drawTile(canvas, image, sprite, index) {
  if (canvas.width !== sprite.cols || canvas.height !== sprite.rows) {
    canvas.width = sprite.cols;
    canvas.height = sprite.rows;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (image) context.drawImage(image, 0, index * sprite.rows, sprite.cols, sprite.rows, 0, 0, sprite.cols, sprite.rows);
}

// A number with three sensible digits: 0, 0.034, 3.4, 34.
function short(number) {
  if (number === 0) return "0";
  return Math.abs(number) >= 100 ? number.toFixed(0) : String(Number(number.toPrecision(2)));
}

// Fills a colour bar with its two ends and its unit.
function drawScale(target, scale) {
  if (!target.firstChild) {
    target.append(
      make("span", { class: "lav-scale-unit" }),
      make("span", { class: "lav-scale-low" }),
      make("img", { class: "lav-scale-bar", alt: "colour scale" }),
      make("span", { class: "lav-scale-high" }),
    );
  }
  const [unit, low, bar, high] = target.children;
  setText(unit, scale.unit);
  setText(low, short(scale.low));
  setText(high, short(scale.high));
  setAttribute(bar, "src", scale.bar);
  setAttribute(bar, "alt", `Colour scale from ${short(scale.low)} to ${short(scale.high)} ${scale.unit}`);
}

// Makes `target` hold exactly `count` children, adding with `build(index)` and removing from the end.
function fit(target, count, build) {
  while (target.children.length > count) target.lastChild.remove();
  while (target.children.length < count) target.append(build(target.children.length));
}
