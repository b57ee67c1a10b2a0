// The lines under Ask: what the model is doing, how far it is, what will be kept of it, or what was wrong.

function showStatus() {
  const { kind = "idle", text = "", so_far = "", keeps = "", done = 0, total = 0 } = props.value || {};
  const changed = root.dataset.kind !== kind;
  root.dataset.kind = kind;
  if (changed) setAttribute(root, "role", kind === "wrong" ? "alert" : "status");
  setText(part("text"), text);
  setText(part("so-far"), so_far);
  setText(part("keeps"), keeps);
  const progress = part("progress");
  show(progress, kind === "work");
  if (total > 0) {
    progress.max = total;
    progress.value = done;
  } else {
    progress.removeAttribute("value");
  }
}

watch("value", showStatus);
showStatus();
