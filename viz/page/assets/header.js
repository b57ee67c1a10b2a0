// The title line: which model, how to read this, dark or light.

const help = root.querySelector("dialog");
const theme = root.querySelector('[data-act="theme"]');

function isDark() {
  return document.body.classList.contains("dark");
}

function nameTheme() {
  setAttribute(theme, "aria-pressed", isDark());
}

root.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]");
  if (event.target === help || (act && act.dataset.act === "close")) help.close();
  else if (act && act.dataset.act === "help") help.showModal();
  else if (act && act.dataset.act === "theme") {
    document.body.classList.toggle("dark");
    localStorage.setItem("lav-theme", isDark() ? "dark" : "light");
    nameTheme();
  }
});

function showModel() {
  const { model, state } = props.value || {};
  setText(part("model"), model || "");
  setText(part("state"), state ? `\u00b7 ${state}` : "");
}

new MutationObserver(nameTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", showModel);
showModel();
nameTheme();
