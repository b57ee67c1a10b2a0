// The variants to compare: base and each adapter with a scale; an adapter that cannot be used says why.

function showVariants() {
  const rows = part("rows");
  const all = props.value || [];
  const describe = (variant) => variant.why || variant.description;
  if (rows.children.length !== all.length || all.some((variant, index) => rows.children[index].dataset.name !== variant.name)) {
    rows.replaceChildren(...all.map(buildVariant));
  }
  suggestMix();
  all.forEach((variant, index) => {
    const row = rows.children[index];
    row.querySelector('[type="checkbox"]').checked = variant.on;
    const scale = row.querySelector('[type="number"]');
    if (scale) {
      if (document.activeElement !== scale) scale.value = String(variant.scale);
      scale.disabled = !variant.on;
    }
    const why = row.querySelector(".lav-why");
    setText(why, describe(variant));
    setAttribute(why, "title", describe(variant));
    show(why, describe(variant) !== "");
  });
}

function buildVariant(variant, index) {
  const row = make("div", { class: "lav-variant", "data-name": variant.name });
  const box = make("input", { type: "checkbox", disabled: !variant.usable });
  row.append(make("label", {}, box, make("span", { class: "lav-variant-name", text: variant.name, title: variant.facts })));
  box.addEventListener("change", () => change(index, { on: box.checked }));
  if (variant.scaled && variant.usable) {
    const scale = make("input", { type: "number", step: "0.1", min: -variant.most, max: variant.most, title: "scale: 1 is as trained", "aria-label": `scale of ${variant.name}` });
    scale.addEventListener("input", () => change(index, { scale: scale.value === "" ? null : Number(scale.value) }));
    row.append(scale);
  } else {
    row.append(make("span"));
  }
  row.append(make("p", { class: "lav-why" }));
  row.classList.toggle("lav-unusable", !variant.usable);
  return row;
}

function change(index, part) {
  props.value = props.value.map((variant, each) => (each === index ? { ...variant, ...part } : { ...variant }));
  showVariants();
}

// Several adapters at once, each by its own weight: one more variant to tick; what was mistyped is told when it is asked.
function addMix() {
  const name = part("mix").value.replaceAll(" ", "");
  if (!name) return;
  const others = (props.value || []).filter((variant) => variant.name !== name).map((variant) => ({ ...variant }));
  props.value = [...others, { name, on: true, mix: true, scaled: false, usable: true, why: "", description: "each at its weight", facts: "several adapters at once" }];
  part("mix").value = "";
  showVariants();
}

function suggestMix() {
  const [one, two] = (props.value || []).filter((variant) => variant.scaled && variant.usable).map((variant) => variant.name);
  part("mix").placeholder = two ? `${one}@0.5+${two}@0.5` : "one@0.5+two@0.5";
}

part("add").addEventListener("click", addMix);
part("mix").addEventListener("keydown", (event) => {
  if (event.key === "Enter") addMix();
});
watch("value", showVariants);
showVariants();
