// What is known about a conversation: the head of the phone, and the details beside it, which show the conversation or
// one message with its states, its content and its request.

import { get } from "./api.js";
import {
  avatar,
  badge,
  codeBlock,
  element,
  formatClock,
  formatTime,
  formatUntil,
  icon,
  money,
  replace,
  timeElement,
} from "./dom.js";
import { tone } from "./request.js";
import { changesOf, eventName, stateOf } from "./states.js";
import { copyable, facts } from "./widgets.js";

/** Return the parts of the head of the phone; `actions` has `back()` and `details()`. */
export function phoneHead(recipient, info, actions) {
  const email = isEmail(recipient, info);
  const session = info?.sessions?.[0];
  const button = (name, properties, run) =>
    element("button", { type: "button", ...properties, on: { click: run } }, icon(name));
  return [
    button("back", { class: "icon-button back", aria: { label: "Back to the conversations" } }, actions.back),
    avatar(recipient, email),
    element(
      "div",
      { class: "phone-title" },
      element("h2", { class: "truncate", text: recipient }),
      element("p", { class: "muted truncate", text: subtitle(email, info) }),
    ),
    session ? sessionBadge(session) : null,
    info?.suppressed ? badge("Suppressed", "bad") : null,
    button(
      "panel",
      { class: "icon-button", title: "Details (I)", aria: { label: "Details", keyshortcuts: "i" } },
      actions.details,
    ),
  ];
}

function isEmail(recipient, info) {
  return info ? info.channel === "EMAIL" : recipient.includes("@");
}

function subtitle(email, info) {
  const names = [...new Set((info?.senders ?? []).map((one) => one.sender_name ?? one.sender))];
  const from = names.length > 2 ? `${names.slice(0, 2).join(", ")} and ${names.length - 2} more` : names.join(", ");
  return [email ? "E-mail" : "RCS", from].filter(Boolean).join(" · ");
}

function sessionBadge(session) {
  const title = `A CONVERSATION is possible until ${formatTime(session.expires_at)}`;
  const until = element("span", { class: "wide-only", text: ` until ${formatUntil(session.expires_at)}` });
  return element("span", { class: "badge ok", title }, "Session", until);
}

/** Create the details. `actions` has `change(message, name)` (see `changesOf`) and `close()`. */
export function createDetails(actions) {
  let shown = null; // the message, or null for the conversation
  const opened = new Set(["Content"]); // the sections that are open
  const title = element("h2", { text: "Details" });
  const close = element(
    "button",
    {
      type: "button",
      class: "icon-button",
      aria: { label: "Close the details" },
      on: { click: () => actions.close() },
    },
    icon("close"),
  );
  const body = element("div", { class: "details-body", tabindex: "0", role: "region", aria: { label: "Details" } });
  const node = element(
    "aside",
    { class: "details", aria: { label: "Details" } },
    element("header", {}, title, close),
    body,
  );
  const state = element("div", { class: "details-state" });
  const tools = element("div", { class: "toolbar" });
  const events = element("ol", { class: "timeline", aria: { label: "States" } });

  function showConversation(recipient, info) {
    shown = null;
    title.textContent = "Conversation";
    if (recipient === null) {
      replace(body, element("p", { class: "muted", text: "Nothing is selected." }));
      return;
    }
    const contact = info?.contact_id;
    replace(
      body,
      factList([
        ["Recipient", withCopy(recipient)],
        ["Contact", contact ? element("a", { href: "#account/contacts", class: "mono", text: contact }) : null],
        ["Suppressed", info?.suppressed ? badge("Suppressed", "bad") : null],
      ]),
      info ? section("Senders", info.senders.map(senderLine)) : null,
      info && info.channel !== "EMAIL" ? section("Sessions", sessionLines(info.sessions)) : null,
      element("p", { class: "muted hint", text: "Select a message to see its states, its content and its request." }),
    );
  }

  function showMessage(message) {
    const same = shown?.id === message.id;
    shown = message;
    drawState(message);
    if (same) return;
    title.textContent = message.direction === "INBOUND" ? "Reply" : "Message";
    body.scrollTop = 0;
    replace(
      body,
      state,
      tools,
      events,
      factList([
        ["Id", withCopy(message.id)],
        ["From", message.direction === "INBOUND" ? message.to : sender(message)],
        ["To", message.direction === "INBOUND" ? sender(message) : message.to],
        ["Type", [message.message_type, message.content_type].filter(Boolean).join(" · ")],
        ["Cost", message.direction === "INBOUND" ? null : money(message.cost ?? message.hold)],
        ["Expires", message.expires_at ? timeElement(message.expires_at) : null],
        [
          "Campaign",
          message.campaign_id
            ? element("a", { href: "#account/campaigns", class: "mono", text: message.campaign_id })
            : null,
        ],
        [
          "Contact",
          message.contact_id
            ? element("a", { href: "#account/contacts", class: "mono", text: message.contact_id })
            : null,
        ],
        ["Key", message.idempotency_key ? withCopy(message.idempotency_key) : null],
      ]),
      fold("Content", () => codeBlock(JSON.stringify(message.content ?? {}, null, 2), "Copy the content")),
      message.direction === "INBOUND" ? null : fold("Request", () => request(message)),
    );
  }

  function drawState(message) {
    const now = stateOf(message);
    const kind = { bad: "bad", warn: "warn", accent: "info" }[now.kind] ?? (message.status === "DELIVERED" ? "ok" : "");
    replace(
      state,
      badge(now.text, kind),
      message.error_message ? element("p", { class: "muted", text: message.error_message }) : null,
    );
    const focused = tools.contains(document.activeElement) ? document.activeElement.textContent : null;
    replace(
      tools,
      changesOf(message).map(({ name, text, possible }) =>
        element("button", {
          type: "button",
          class: "button small",
          text,
          disabled: !possible,
          on: { click: () => actions.change(message, name) },
        }),
      ),
    );
    if (focused !== null)
      ([...tools.children].find((one) => one.textContent === focused && !one.disabled) ?? body).focus({
        preventScroll: true,
      });
    let before = null;
    replace(
      events,
      (message.events ?? []).map((one) => {
        const line = element(
          "li",
          {},
          element("span", { class: "timeline-name", text: eventName(one.type, message.channel) }),
          timeElement(one.at, formatClock(one.at, true)),
          element("span", { class: "muted", text: before === null ? "" : since(before, one.at) }),
        );
        before = one.at;
        return line;
      }),
    );
  }

  async function load(message) {
    const answer = await get("/_sandbox/requests", { message_id: message.id, limit: 1 });
    const found = answer.data[0];
    if (found === undefined) {
      return element("p", {
        class: "muted",
        text: message.campaign_id
          ? "A campaign sent this message."
          : "The sandbox keeps the last 1,000 requests; this one is older.",
      });
    }
    return element(
      "div",
      { class: "stack small-gap" },
      element(
        "p",
        { class: "request-line" },
        badge(String(found.status), tone(found.status)),
        element("code", { text: `${found.method} ${found.path}` }),
        element("a", { href: `#requests/${found.number}`, text: "Open in Requests" }),
      ),
      found.curl ? codeBlock(found.curl, "Copy the curl command") : null,
      found.python ? codeBlock(found.python, "Copy the Python code") : null,
    );
  }

  function request(message) {
    const box = element("div", {}, element("p", { class: "muted", text: "Loading" }));
    load(message).then(
      (found) => replace(box, found),
      (error) => replace(box, element("p", { class: "muted", text: error.message })),
    );
    return box;
  }

  function fold(name, make) {
    const inner = element("div", { class: "fold-body" });
    const box = element(
      "details",
      { open: opened.has(name) },
      element("summary", {}, element("h3", { text: name })),
      inner,
    );
    const fill = () => {
      if (box.open && !inner.hasChildNodes()) replace(inner, make());
    };
    box.addEventListener("toggle", () => {
      if (box.open) opened.add(name);
      else opened.delete(name);
      fill();
    });
    fill();
    return box;
  }

  return {
    node,
    showConversation,
    showMessage,
    /** Open a section, such as `Request`, of the message that is shown. */
    unfold(name) {
      opened.add(name);
      for (const one of body.querySelectorAll("details"))
        if (one.querySelector("h3").textContent === name) one.open = true;
    },
    focus() {
      body.focus({ preventScroll: true });
    },
    get message() {
      return shown;
    },
  };
}

function senderLine({ sender: id, sender_name: name }) {
  const code = name && name !== id ? element("code", { class: "muted", text: id }) : null;
  return element("p", { class: "sender-line" }, element("span", { text: name ?? id }), code);
}

function sessionLines(sessions) {
  if (sessions.length === 0) {
    const text = "No open session: a CONVERSATION is refused. A reply or a tap opens one for 24 hours.";
    return element("p", { class: "muted", text });
  }
  return sessions.map((one) =>
    element(
      "p",
      { class: "sender-line" },
      element("code", { text: one.agent_id }),
      element("span", {}, "until ", timeElement(one.expires_at, formatUntil(one.expires_at))),
      badge(one.paid ? "paid" : "not paid yet", one.paid ? "ok" : ""),
    ),
  );
}

function section(name, ...children) {
  return element("section", { class: "details-section" }, element("h3", { text: name }), children);
}

function factList(pairs) {
  return element("dl", { class: "facts" }, facts(pairs));
}

function withCopy(text) {
  return copyable(text, text).node;
}

function sender(message) {
  const name = message.sender_name ?? message.sender;
  return name === message.sender
    ? element("code", { text: name })
    : [name, " ", element("code", { class: "muted", text: message.sender })];
}

function since(before, at) {
  const seconds = (Date.parse(at) - Date.parse(before)) / 1000;
  if (!(seconds >= 0)) return "";
  if (seconds < 60) return `+${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `+${Math.round(seconds / 60)} min`;
  return `+${Math.round(seconds / 3600)} h`;
}
