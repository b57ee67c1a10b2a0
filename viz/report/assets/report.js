// Sorts and filters the pictures; the page is read without it.
(() => {
  const tools = document.getElementById("tools");
  const list = document.querySelector("#pictures .pictures");
  if (!tools || !list) return;
  const [sort, kind, shown] = ["sort", "kind", "shown"].map((id) => document.getElementById(id));
  const pictures = [...list.children];
  const places = {
    order: (one) => Number(one.dataset.order),
    drifted: (one) => -Number(one.dataset.drifted),
    line: (one) => Number(one.dataset.line),
  };
  const arrange = () => {
    const place = places[sort.value];
    for (const one of pictures) one.hidden = kind.value !== "" && !one.dataset.kinds.split(" ").includes(kind.value);
    list.append(...[...pictures].sort((a, b) => place(a) - place(b) || places.order(a) - places.order(b)));
    shown.textContent = `${pictures.filter((one) => !one.hidden).length} of ${pictures.length} pictures`;
  };
  // From the picture nearest to the top of the window to its neighbour.
  const step = (by) => {
    const seen = [...list.children].filter((one) => !one.hidden);
    const at = seen.findIndex((one) => one.getBoundingClientRect().top > -8);
    const top = at < 0 ? Infinity : seen[at].getBoundingClientRect().top;
    const next = seen[by > 0 ? (at < 0 ? seen.length - 1 : top < 8 ? at + 1 : at) : at < 0 ? seen.length - 1 : at - 1];
    if (next) next.scrollIntoView({ block: "start" });
  };
  tools.addEventListener("change", arrange);
  tools.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  });
  tools.hidden = false;
  arrange();
})();
