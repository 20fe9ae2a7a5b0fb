// One message of a conversation: its node, which is made once, and what changes with its state.
//
// Rules:
// - The content of a message does not change, so its node stays: a carousel keeps its place, a mail is not loaded again.
// - Only the message that has the focus has its buttons in the tab order; the arrow keys move between messages. What
//   scrolls is always in it, because it cannot be scrolled with the keyboard otherwise.

import { allowTaps, describeContent, releaseContent, renderContent } from "./content.js";
import { element, formatClock, formatDay, icon, replace, timeElement } from "./dom.js";
import { hasArrived, stateOf } from "./states.js";

const GROUP = 3 * 60_000; // milliseconds within which messages of one sender are a group

/**
 * Return the view of a message: `{node, message, update(message), place(before), activate(on), release()}`.
 * `actions` are `tap(message, text, button)` and `menu(message, button)`.
 */
export function createMessage(given, actions) {
  let message = given;
  const content = renderContent(message, (text, button) => actions.tap(message, text, button));
  const sender = element("p", {
    class: "sender",
    text: message.direction === "INBOUND" ? "" : (message.sender_name ?? message.sender),
  });
  const state = element("span", { class: "state" });
  const more = element(
    "button",
    {
      type: "button",
      class: "icon-button small message-menu",
      tabindex: "-1",
      title: "Deliver, read, fail, copy …",
      aria: { label: "Actions for the message", haspopup: "menu", expanded: "false" },
    },
    icon("more"),
  );
  more.addEventListener("click", () => actions.menu(message, more));
  const time = timeElement(message.created_at, formatClock(message.created_at));
  const node = element(
    "article",
    {
      class: ["message", message.direction === "INBOUND" ? "inbound" : "outbound"],
      data: { messageId: message.id },
      tabindex: "-1",
    },
    sender,
    element("div", { class: "message-row" }, content.node, more),
    element("p", { class: "meta" }, time, state),
    content.suggestions,
  );
  for (const one of controls(node)) one.tabIndex = -1;
  let signature = "";

  function update(next) {
    message = next;
    const now = JSON.stringify([message.status, message.error_code, message.taps, message.sender_name]);
    if (now === signature) return false;
    signature = now;
    const shown = stateOf(message);
    node.classList.toggle("absent", !hasArrived(message));
    state.className = `state ${shown.kind}`;
    replace(state, message.direction === "INBOUND" ? null : [icon(shown.image), shown.text]);
    node.setAttribute("aria-label", `${describeMessage(message)}, ${shown.text}, ${formatClock(message.created_at)}`);
    allowTaps(node, message.taps ?? []);
    return true;
  }

  update(message);
  return {
    node,
    get message() {
      return message;
    },
    update,
    /** Show whether it begins a group, given the message before it. */
    place(before) {
      const together =
        before !== null &&
        before.direction === message.direction &&
        before.sender === message.sender &&
        Date.parse(message.created_at) - Date.parse(before.created_at) < GROUP;
      node.classList.toggle("first", !together);
    },
    activate(on) {
      node.tabIndex = on ? 0 : -1;
      for (const one of controls(node)) one.tabIndex = on ? 0 : -1;
    },
    select(on) {
      node.classList.toggle("selected", on);
    },
    release() {
      releaseContent(node);
    },
  };
}

function controls(node) {
  return node.querySelectorAll("a, button, iframe");
}

/** Return the sender and the summary of a message for screen readers. */
export function describeMessage(message) {
  const sender = message.direction === "INBOUND" ? "Reply" : (message.sender_name ?? message.sender);
  return `${sender}: ${describeContent(message)}`;
}

/** Return the line above the first message of a day. */
export function dayLine(iso) {
  return element("h3", { class: "day" }, element("span", { text: formatDay(iso) }));
}
