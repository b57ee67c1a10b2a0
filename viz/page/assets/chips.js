// A row of buttons, each a picture or a short text; a click tells Python which one.

function showChips() {
  const { legend = "", items = [], chosen = -1 } = props.value || {};
  show(root, items.length > 0);
  setAttribute(root, "aria-label", legend);
  root.replaceChildren(
    make("span", { class: "lav-legend", "aria-hidden": "true", text: legend }),
    ...items.map((item, index) => {
      const chip = make("button", { type: "button", class: "lav-chip", title: item.title });
      if (item.picture) {
        chip.classList.add("lav-thumb");
        setAttribute(chip, "aria-pressed", index === chosen);
        chip.append(make("img", { src: item.picture, alt: item.title }));
      } else {
        chip.textContent = item.text;
      }
      chip.addEventListener("click", () => {
        for (const each of root.querySelectorAll(".lav-thumb")) setAttribute(each, "aria-pressed", each === chip);
        trigger("pick", { index });
      });
      return chip;
    }),
  );
}

watch("value", showChips);
showChips();
