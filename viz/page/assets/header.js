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

// Until the model is there, asks now and then whether it is.
async function lookAgain() {
  const answer = await fetch(new URL("api/health", document.baseURI)).catch(() => null);
  const found = answer && answer.ok ? await answer.json() : { loaded: false };
  if (found.loaded) trigger("refresh");
  else setTimeout(lookAgain, 3000);
}

function showModel() {
  const { model, state, loaded } = props.value || {};
  if (loaded === false) setTimeout(lookAgain, 1500);
  setText(part("model"), model || "");
  setText(part("state"), state ? `\u00b7 ${state}` : "");
}

new MutationObserver(nameTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", showModel);
showModel();
nameTheme();
