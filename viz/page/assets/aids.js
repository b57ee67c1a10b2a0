// What Compare may be read by, once it was asked for: a noise floor, and a neutral question that shows sinks. Their
// sessions stay on the server; here are their ids alone.

// Which finding each field of the pair needs.
const NEEDS = { hide: "neutral", relative: "neutral", unit: "floor", noise: "floor" };

// The ids that go with every request for a change, and nothing where nothing was asked for.
function aidsOf(session) {
  const floor = inquiries.kept.get(`${session} floor`);
  const neutral = inquiries.kept.get(`${session} neutral`);
  return { ...(floor ? { floor: floor.sessions.join(",") } : {}), ...(neutral ? { neutral: neutral.session } : {}) };
}

// Their sessions went from the server: what is left is asked for without them.
function forgetAids(session) {
  const had = Object.keys(aidsOf(session)).length > 0;
  for (const kind of ["floor", "neutral"]) inquiries.kept.delete(`${session} ${kind}`);
  return had;
}

function askAid(kind) {
  inquire(kind, { question: root.querySelector(`[data-ask="${kind}"]`).value });
}

function showAids(found, look) {
  for (const [name, kind] of Object.entries(NEEDS)) {
    const field = root.querySelector(`[data-pair="${name}"]`);
    field.disabled = !finding(kind);
    if (field.type === "checkbox") field.checked = found.pair[name];
    else field.value = found.pair[name];
  }
  showSinks(found);
  showFloor(found);
  showChangeFiles(found, look);
}

function showSinks(found) {
  const { sinks } = found;
  setText(part("sinks-told"), sinks ? sinks.told : "");
  show(part("sinks-told"), Boolean(sinks && sinks.told));
  if (sinks) setText(part("sinks-rule"), `${sinks.rule} Neutral question: ${sinks.question}`);
  setText(part("relative-rule"), sinks ? sinks.relative : "");
  show(part("relative-rule"), Boolean(sinks && found.pair.relative));
  for (const panel of part("overlaid").children) {
    const marks = panel.querySelector(".lav-sinks");
    marks.classList.toggle("lav-hidden-sinks", found.pair.hide);
    fit(marks, sinks ? sinks.cells.length : 0, () => make("div", { class: "lav-sink" }));
    [...marks.children].forEach((mark, index) => placeMark(mark, sinks.cells[index]));
  }
}

function showFloor(found) {
  const floor = found.floor;
  const table = part("floor-rows");
  const rows = floor ? floor.rows : [];
  for (const option of root.querySelector('[data-pair="noise"]')) option.disabled = !rows.some((row) => row.kind === option.value);
  show(table, rows.length > 0);
  fillTable(table.tBodies[0], rows, (row) => [row.told, row.median, row.largest, row.above]);
  rows.forEach((row, index) => table.tBodies[0].children[index].classList.toggle("lav-now", row.kind === found.pair.noise));
  setText(part("floor-short"), rows.length ? `${rows[0].above} heads changed more than ${rows[0].told}.` : "");
  if (!floor) return;
  const asked = finding("floor");
  setText(part("floor-told"), [floor.missing, `Re-worded: ${asked.question}`, ...asked.left_out].filter(Boolean).join(" "));
}

function showChangeFiles(found, look) {
  const files = part("change-files");
  const kinds = found.cell.length ? ["PNG", "SVG", "PDF"] : [];
  fit(files, kinds.length, () => make("a", { class: "lav-small", download: true }));
  kinds.forEach((kind, index) => {
    setText(files.children[index], `Figure ${kind}`);
    setAttribute(files.children[index], "aria-label", `Figure ${kind}: download the comparison`);
    files.children[index].href = fileAddress(`change.${kind.toLowerCase()}`, look, Object.fromEntries(changeQuery(look.choice, look.session)));
  });
}
