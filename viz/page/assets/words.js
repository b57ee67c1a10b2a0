// The strips of tokens: one row a variant, each token a choice; thinking is folded away.

const SPACE = "\u00b7";
const BREAK = "\u21b5";

function showWords(look) {
  const strips = part("strips");
  const labels = look.variants;
  fit(strips, labels.length, buildRow);
  const darkest = Math.max(0.0001, ...look.panels.flatMap((panel) => panel.tokens.map((token) => token.shade)));
  setText(part("darkest"), ` (darkest ${Math.round(100 * darkest)} %)`);
  labels.forEach((label, index) => {
    const panel = look.panels.find((each) => each.variant === label);
    fillRow(strips.children[index], label, look.colours[index], panel, darkest);
  });
}

function buildRow() {
  const box = make("input", { type: "checkbox", checked: true });
  const row = make(
    "div",
    { class: "lav-row" },
    make("label", { class: "lav-name" }, box, make("span", { class: "lav-dot" }), make("span", { class: "lav-label" })),
    make("div", { class: "lav-said-words" }, strip(), thinkingBox(), strip()),
    make("span", { class: "lav-chance" }),
  );
  box.addEventListener("change", () => toggleVariant(row.dataset.variant, box.checked));
  return row;
}

function strip() {
  return make("div", { class: "lav-strip", role: "listbox", "aria-multiselectable": "true" });
}

function thinkingBox() {
  return make("details", { class: "lav-thinking" }, make("summary", { text: "thinking" }), make("p"), strip());
}

function fillRow(row, label, colour, panel, darkest) {
  row.dataset.variant = label;
  row.style.setProperty("--variant", colour);
  setText(row.querySelector(".lav-label"), label);
  const box = row.querySelector("input");
  box.checked = Boolean(panel);
  setAttribute(box, "aria-label", `show ${label}`);
  row.classList.toggle("lav-off", !panel);
  const [lead, thinking, answer] = row.querySelector(".lav-said-words").children;
  const tokens = panel ? panel.tokens : [];
  const of = (...parts) => tokens.filter((token) => parts.includes(token.part));
  fillStrip(lead, of("prompt", "question"), darkest, `Question, as ${label} read it`);
  fillStrip(answer, of("answer"), darkest, `Answer of ${label}`);
  answer.classList.add("lav-answer");
  show(thinking, Boolean(panel && panel.thinking) || of("thinking").length > 0);
  setText(thinking.querySelector("p"), of("thinking").length ? "" : (panel ? panel.thinking : ""));
  fillStrip(thinking.querySelector(".lav-strip"), of("thinking"), darkest, `Thinking of ${label}`);
  setText(row.querySelector(".lav-chance"), panel ? panel.probability : "not shown");
}

function fillStrip(target, tokens, darkest, label) {
  show(target, tokens.length > 0);
  setAttribute(target, "aria-label", label);
  fit(target, tokens.length, () => make("span", { role: "option", class: "lav-token" }));
  tokens.forEach((token, index) => fillToken(target.children[index], token, darkest));
}

function fillToken(target, token, darkest) {
  if (target.dataset.text !== token.text) writeToken(target, token.text);
  target.dataset.index = token.index;
  target.style.setProperty("--shade", (token.shade / darkest).toFixed(3));
  setAttribute(target, "title", token.title);
  setAttribute(target, "aria-label", `token ${token.index}: ${token.text.trim() || "white space"}. ${token.title}`);
}

// The token's text, with white space that can be seen.
function writeToken(target, text) {
  target.dataset.text = text;
  const pieces = text.split(/( |\n|\t)/).filter((piece) => piece !== "");
  target.replaceChildren(
    ...pieces.map((piece) =>
      piece === " " || piece === "\n" || piece === "\t"
        ? make("span", { class: "lav-space", text: piece === " " ? SPACE : piece === "\n" ? BREAK : "\u21e5" })
        : document.createTextNode(piece),
    ),
  );
}

// Marks the chosen range; one token of each strip can be reached with Tab.
function markTokens(choice) {
  for (const each of root.querySelectorAll(".lav-strip")) {
    let reachable = null;
    for (const token of each.children) {
      const index = Number(token.dataset.index);
      const chosen = index >= choice.token && index <= choice.token_to;
      setAttribute(token, "aria-selected", chosen);
      setAttribute(token, "tabindex", -1);
      if (chosen && !reachable) reachable = token;
    }
    setAttribute(reachable || each.firstChild || each, "tabindex", 0);
  }
}

// First and last index of the tokens of one part, over all variants shown; null if there are none.
function rangeOf(...parts) {
  const indexes = stage.look.panels
    .flatMap((panel) => panel.tokens)
    .filter((token) => parts.includes(token.part))
    .map((token) => token.index);
  return indexes.length ? { token: Math.min(...indexes), token_to: Math.max(...indexes) } : null;
}
