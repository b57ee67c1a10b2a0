// Hands on to the stage what the server tells of an inquiry: how far it is, its result's key, or what was wrong.

watch("value", () => {
  if (props.value) document.dispatchEvent(new CustomEvent("lav-told", { detail: props.value }));
});
