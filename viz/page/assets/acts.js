// What a person does: clicks, keys, dials. Everything ends in `choose`, or in a change of style.

function pickToken(token, extend) {
  const index = Number(token.dataset.index);
  if (extend) {
    choose({ token: Math.min(stage.anchor, index), token_to: Math.max(stage.anchor, index) });
  } else {
    stage.anchor = index;
    choose({ token: index });
  }
}

const ACTS = {
  question: () => chooseRange(rangeOf("prompt", "question")),
  answer: () => chooseRange(rangeOf("answer")),
  all: () => choose({ layer: null, head: null }),
  first: () => choose(stage.first),
  same: () => trigger("same", { session: stage.look.session }),
  pictured: () => askPictured(),
  knockout: () => inquire("knockout", knockoutOptions(stage.look)),
  strength: () => inquire("strength", strengthOptions()),
  "scales-usual": () => chooseScales(USUAL_SCALES),
  "scales-negative": () => chooseScales([-1, -0.5, ...USUAL_SCALES]),
  parts: () => inquire("parts", partsOptions()),
  exchange: () => inquire("exchange", partsOptions()),
  reason: () => inquire("reason", partsOptions()),
  dependence: () => inquire("dependence", dependenceOptions(stage.look)),
  neutral: () => askAid("neutral"),
  floor: () => askAid("floor"),
  stop: () => document.querySelector("#lav-cancel").click(),
  unbox: () => chooseBox(null),
};

function chooseRange(range) {
  if (!range) return;
  stage.anchor = range.token;
  choose(range);
}

root.addEventListener("click", (event) => {
  const target = event.target.closest("[role=option], .lav-tile, .lav-layer, [data-act], [data-tab], [data-room], [data-sub], [data-session]");
  if (!target || !root.contains(target) || target === root) return;
  if (target.matches("[role=option]")) pickToken(target, event.shiftKey);
  else if (target.matches(".lav-tile")) chooseTile(target);
  else if (target.matches(".lav-layer")) choose({ layer: Number(target.dataset.layer), head: null });
  else if (target.dataset.act) ACTS[target.dataset.act]();
  else if (target.dataset.tab) openTab(target.dataset.tab);
  else if (target.dataset.sub) openSub(target.dataset.sub);
  else if (target.dataset.room) openRoom(target.dataset.room);
  else openSession(Number(target.dataset.session));
});

function openTab(tab) {
  stage.view.tab = tab;
  showTiles(stage.look, drawn);
}

root.addEventListener("input", (event) => {
  const { dial, view } = event.target.dataset;
  if (dial) {
    const number = Number(event.target.value) < 0 ? null : Number(event.target.value);
    nameDial(dial, number);
    choose({ [dial]: number });
  } else if (view) {
    stage.view[view] = event.target.type === "checkbox" ? event.target.checked : event.target.type === "range" ? Number(event.target.value) : event.target.value;
    applyView();
    showMapLinks();
  }
});

root.addEventListener("change", (event) => {
  const name = event.target.dataset.set;
  if (!name) return;
  const value = event.target.value;
  choose({ [name]: name === "within" ? value === "true" : name === "image" ? Number(value) : value });
});

// Downloads show what the page shows: they follow opacity and smoothing.
function showMapLinks() {
  showMaps(stage.look, drawn);
  showFiles(stage.look);
}

// Arrows: left and right move the token, up and down the layer; with Shift, left and right stretch the range.
root.addEventListener("keydown", (event) => {
  if (!stage.look || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  if (target.matches("[role=tab]")) return moveTab(event, target);
  if (target.matches("input, select, textarea, summary")) return;
  if (target.matches("[role=option]") && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    pickToken(target, event.shiftKey);
    return;
  }
  const moved = {
    ArrowLeft: () => moveToken(-1, event.shiftKey),
    ArrowRight: () => moveToken(1, event.shiftKey),
    ArrowUp: () => moveLayer(-1),
    ArrowDown: () => moveLayer(1),
    Home: () => ACTS.first(),
    Escape: () => ACTS.all(),
  }[event.key];
  if (!moved) return;
  event.preventDefault();
  moved();
  followFocus(target);
});

function moveToken(step, extend) {
  const choice = stage.wanted || stage.look.choice;
  const last = stage.look.token_count - 1;
  if (extend) {
    choose({ token: choice.token, token_to: Math.min(last, Math.max(choice.token, choice.token_to + step)) });
  } else {
    const token = Math.min(last, Math.max(0, (step > 0 ? choice.token_to : choice.token) + step));
    stage.anchor = token;
    choose({ token });
  }
}

function moveLayer(step) {
  const { layer } = stage.wanted || stage.look.choice;
  const next = layer === null ? (step > 0 ? 0 : stage.look.layer_count - 1) : Math.min(stage.look.layer_count - 1, Math.max(0, layer + step));
  choose({ layer: next });
  nameDial("layer", next);
}

// Keeps the focus on the chosen token or layer, in the row it was in.
function followFocus(target) {
  const row = target.closest(".lav-row");
  if (target.matches("[role=option]") && row) {
    const chosen = row.querySelector('[role=option][aria-selected="true"]');
    if (chosen) chosen.focus();
  } else if (target.matches(".lav-layer")) {
    const { layer } = stage.wanted || stage.look.choice;
    const button = target.parentElement.querySelector(`.lav-layer[data-layer="${layer}"]`);
    if (button) button.focus();
  }
}

function moveTab(event, target) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const tabs = [...target.parentElement.querySelectorAll("[role=tab]")];
  const next = tabs[(tabs.indexOf(target) + step + tabs.length) % tabs.length];
  next.click();
  next.focus();
}

for (const [name, title] of Object.entries(props.colormaps || {})) {
  root.querySelector('[data-set="colormap"]').append(make("option", { value: name, text: name, title }));
}
root.querySelector('[data-view="opacity"]').value = stage.view.opacity;
watch("value", () => open(props.value));
open(props.value);
