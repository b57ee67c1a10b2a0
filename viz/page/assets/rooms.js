// The rooms of the right side, one open at a time: Look, Compare, Evidence, to which the words above belong, and Data set,
// which needs no session. What a room shows beyond the look is fetched by its own function, and only while that room is open.

const rooms = { open: "look", show: {}, ahead: {} };

// `showRoom(look)` is called when the room is opened and after every choice that is made while it is open.
// `askAhead(session, choice)`, if given, as soon as a choice is made: what the room needs then comes beside the look.
function fillsRoom(name, showRoom, askAhead) {
  rooms.show[name] = showRoom;
  rooms.ahead[name] = askAhead;
}

function askAheadOfRoom(session, choice) {
  const askAhead = rooms.ahead[rooms.open];
  if (askAhead) askAhead(session, choice);
}

function openRoom(name) {
  rooms.open = name;
  root.dataset.open = name;
  for (const tab of root.querySelectorAll("[data-room]")) {
    const chosen = tab.dataset.room === name;
    setAttribute(tab, "aria-selected", chosen);
    setAttribute(tab, "tabindex", chosen ? 0 : -1);
    show(part(tab.dataset.room), chosen);
  }
  const apart = name === "dataset";
  show(part("full"), apart || Boolean(stage.look));
  show(part("empty"), !apart && !stage.look && !stage.sessions.length);
  showOpenRoom(stage.look);
}

function showOpenRoom(look) {
  const showRoom = rooms.show[rooms.open];
  if (look && showRoom) showRoom(look);
}
