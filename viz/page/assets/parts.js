// Parts: which parts of an adapter carry its change, through which layers it goes, and why a head moved.

fillsEvidence("parts", showParts);

function partsField(name) {
  return root.querySelector(`[data-parts="${name}"]`);
}

function partsOptions() {
  return { choice: stage.look.choice, variant: partsField("variant").value, words: partsField("words").value, donor: partsField("donor").value };
}

function showParts(look) {
  const labels = look.variants.filter((label) => label !== "base");
  const select = partsField("variant");
  const before = select.value || compare.pair.b;
  fillOptions(select, labels);
  if (labels.includes(before)) select.value = before;
  planParts();
  for (const kind of ["parts", "exchange", "heads"]) {
    const view = finding(kind);
    show(part(kind), Boolean(view));
    if (view) fillPartBars(part(kind), view);
  }
  setText(part("reason-where"), `${whereWords(look.choice)}, from ${part("token").textContent || "no token"}.`);
  const view = finding("reason");
  show(part("why"), Boolean(view));
  if (view) fillReason(view);
}

function planParts() {
  const there = Boolean(partsField("variant").value);
  for (const kind of ["parts", "exchange", "reason"]) {
    if (there) tellPlan(kind, partsOptions());
    else {
      setText(part(`${kind}-runs`), "Ask with an adapter ticked first.");
      setOff(root.querySelector(`[data-act="${kind}"]`), true);
    }
  }
}

// A row for each part, a bar in each column; the columns of one unit have one axis.
function fillPartBars(target, view) {
  target.replaceChildren(
    make("h3", { text: view.title }),
    make("p", { class: "lav-reason", text: view.sentences.join(" ") }),
    make("div", { class: "lav-wide" }, make("table", { class: "lav-table lav-bars" }, barsHead(view), make("tbody", {}, ...view.rows.map((row, index) => barsRow(row, view, index))))),
    make("p", { class: "lav-hint", text: [...view.columns.map((column) => `${column.title}: ${column.meaning}.`), "Bold: half of the change or more.", ...view.notes, view.cost].join(" ") }),
  );
}

function barsHead(view) {
  const ends = (column) => `${short(column.low)} to ${short(column.high)} ${column.unit}`;
  return make("thead", {}, make("tr", {}, make("th", { text: "part" }), ...view.columns.map((column) => make("th", { title: column.meaning }, make("span", { text: column.title }), make("span", { class: "lav-axis-ends", text: ` ${ends(column)}` })))));
}

function barsRow(row, view, index) {
  const name = make("td", { class: "lav-of", text: row.name });
  if (row.layer !== null) {
    const button = make("button", { type: "button", class: "lav-small", "data-inquire": true, text: "its heads", title: `Exchange the heads of layer ${row.layer} one by one` });
    button.addEventListener("click", () => inquire("heads", { ...partsOptions(), layer: row.layer }));
    name.append(" ", button);
  }
  const begins = index > 0 && view.rows[index - 1].group !== row.group;
  return make("tr", { class: begins ? "lav-begins" : undefined }, name, ...row.bars.map((bar, at) => barCell(bar, view.columns[at], letters(view, at))));
}

// How wide the numbers of a column are, in letters, so that its bars are equally long.
function letters(view, at) {
  return Math.max(...view.rows.map((row) => row.bars[at].told.length));
}

function barCell(bar, column, wide) {
  if (bar.value === null) return make("td");
  const place = (value) => (100 * (value - column.low)) / (column.high - column.low);
  const [from, to] = [place(Math.min(0, bar.value)), place(Math.max(0, bar.value))];
  const zero = make("i", { class: "lav-bars-zero" });
  zero.style.left = `${place(0)}%`;
  const filled = make("i", { class: "lav-bars-fill" });
  Object.assign(filled.style, { left: `${from}%`, width: `${to - from}%`, background: column.colour });
  const cell = make("div", { class: "lav-bars-cell" }, make("span", { class: "lav-bars-track" }, filled, zero), make(bar.strong ? "b" : "span", { class: "lav-bars-told", text: bar.told }));
  cell.style.setProperty("--told", `${wide}ch`);
  return make("td", { "data-title": column.title }, cell);
}

// Four shares as one bar: to the right of the line at 0 what turned the head this way, to the left what turned it back.
function fillReason(view) {
  setText(part("why-title"), view.title);
  setText(part("why-told"), view.sentence);
  const bar = part("why-bar");
  show(bar, view.slices.length > 0);
  setAttribute(bar, "aria-label", view.slices.map((slice) => `${slice.name} ${slice.told}`).join(", "));
  bar.replaceChildren(
    ...view.slices.map((slice) => {
      const piece = make("i", { title: `${slice.name}: ${slice.told}. ${slice.meaning}` });
      Object.assign(piece.style, { left: `${100 * slice.left}%`, width: `${100 * (slice.right - slice.left)}%`, background: slice.colour });
      return piece;
    }),
    ...[["0", view.zero], ["100 %", view.one]].map(([text, at]) => {
      const mark = make("span", { text });
      mark.style.left = `${100 * at}%`;
      return mark;
    }),
  );
  const keys = part("why-keys");
  fit(keys, view.slices.length, () => make("li", {}, make("span", { class: "lav-dot" }), make("span"), make("b")));
  view.slices.forEach((slice, index) => {
    const key = keys.children[index];
    key.style.setProperty("--variant", slice.colour);
    setAttribute(key, "title", slice.meaning);
    setText(key.children[1], slice.name);
    setText(key.children[2], slice.told);
  });
}

root.addEventListener("change", ({ target }) => {
  if (target.dataset.parts) planParts();
});
