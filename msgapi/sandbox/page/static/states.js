// The states of a message, in words and icons, and which changes are possible from them.

const UNDER_WAY = ["QUEUED", "SENT"];
const STATES = {
  QUEUED: { text: "Queued", image: "clock", kind: "" },
  SENT: { text: "Sent", image: "check", kind: "" },
  DELIVERED: { text: "Delivered", image: "check-double", kind: "" },
  READ: { text: "Read", image: "check-double", kind: "accent" },
  CLICKED: { text: "Clicked", image: "external", kind: "accent" },
  COMPLAINED: { text: "Reported as spam", image: "alert", kind: "bad" },
  UNSUBSCRIBED: { text: "Unsubscribed", image: "close", kind: "warn" },
  BOUNCED: { text: "Bounced", image: "undo", kind: "bad" },
  FAILED: { text: "Failed", image: "alert", kind: "bad" },
  EXPIRED: { text: "Expired", image: "clock", kind: "warn" },
  REVOKED: { text: "Revoked", image: "undo", kind: "warn" },
};
const BOUNCES = { bounce: "no such mailbox", full: "the mailbox is full" };

/** Return `{text, image, kind}` of the state of a message. */
export function stateOf({ status, channel, direction, error_code: reason }) {
  if (direction === "INBOUND") return { text: "Received", image: "reply", kind: "" };
  const state = STATES[status] ?? { text: String(status), image: "info", kind: "" };
  if (channel === "EMAIL" && status === "READ") return { ...state, text: "Opened" };
  if (status === "BOUNCED" && reason) return { ...state, text: `Bounced: ${BOUNCES[reason] ?? reason}` };
  if (status === "FAILED" && reason) return { ...state, text: `Failed: ${reason}` };
  return state;
}

/** Whether the message is on the phone, or in the mailbox. */
export function hasArrived({ status, direction }) {
  return direction === "INBOUND" || !["QUEUED", "SENT", "BOUNCED", "FAILED", "EXPIRED", "REVOKED"].includes(status);
}

/** Whether its status can change to delivered, failed or expired. */
export function isUnderWay({ status, direction }) {
  return direction !== "INBOUND" && UNDER_WAY.includes(status);
}

// Whether it can become read: after its delivery if it is under way.
function canBeRead(message) {
  return isUnderWay(message) || (message.direction !== "INBOUND" && message.status === "DELIVERED");
}

/** Return the changes of a message that the sandbox can make: `[{name, text, image, possible}]`. */
export function changesOf(message) {
  if (message.direction === "INBOUND") return [];
  const email = message.channel === "EMAIL";
  const possible = isUnderWay(message);
  return [
    { name: "deliver", text: "Deliver", image: "check", possible },
    { name: "read", text: email ? "Open" : "Read", image: "check-double", possible: canBeRead(message) },
    { name: "fail", text: email ? "Bounce …" : "Fail …", image: "alert", possible },
    { name: "expire", text: "Expire", image: "clock", possible },
  ];
}

/** Return the name of an event of a message for people. */
export function eventName(type, channel) {
  if (type === "received") return "Received";
  return stateOf({ status: type.toUpperCase(), channel, direction: "OUTBOUND" }).text;
}
