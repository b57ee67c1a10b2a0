// One box on the picture, the same in every room that has use for it: by two clicks on opposite corners, or four numbers.

const boxed = { box: null, corner: null, of: "" };

// The box on the picture that is looked at, in its pixels; one of another session or picture is dropped.
function boxOn(look) {
  const now = `${look.session} ${look.choice.image}`;
  if (boxed.of !== now) boxed.box = null;
  boxed.of = now;
  boxed.corner = null;
  return boxed.box;
}

// The same pictures, asked about again: a box on the one that was looked at stays.
function keepBox(look) {
  const before = stage.look && `${stage.look.session} ${stage.look.choice.image}`;
  if (boxed.of === before) boxed.of = `${look.session} ${look.choice.image}`;
}

function chooseBox(box) {
  boxed.box = box;
  showOpenRoom(stage.look);
}

// The first click on a picture sets one corner of the box, the second the opposite one.
function setCorner(event) {
  const frame = event.currentTarget.getBoundingClientRect();
  const { width, height } = currentPicture();
  const x = Math.round((width * (event.clientX - frame.left)) / frame.width);
  const y = Math.round((height * (event.clientY - frame.top)) / frame.height);
  if (!boxed.corner) {
    boxed.corner = [x, y];
    hintBox();
    return;
  }
  const [left, top] = boxed.corner;
  chooseBox([Math.min(left, x), Math.min(top, y), Math.max(left, x), Math.max(top, y)]);
}

function hintBox() {
  const { corner, box } = boxed;
  const text = corner ? `One corner at ${corner[0]}, ${corner[1]}: click the opposite one.` : box ? "" : "Or click two opposite corners on a picture.";
  for (const hint of root.querySelectorAll(".lav-box-hint")) setText(hint, text);
}

function fillBox(numbers) {
  for (const field of root.querySelectorAll("[data-box]")) {
    if (document.activeElement !== field) field.value = numbers[Number(field.dataset.box)] ?? "";
  }
  for (const button of root.querySelectorAll('[data-act="unbox"]')) show(button, numbers.length > 0);
  hintBox();
}

root.addEventListener("change", ({ target }) => {
  if (!target.dataset.box) return;
  const fields = [...target.closest("fieldset").querySelectorAll("[data-box]")];
  if (fields.every((field) => field.value !== "")) chooseBox(fields.map((field) => Number(field.value)));
});
