// The place to write a reply as the recipient, to one of the agents.
//
// Rules:
// - It answers the agent that wrote last, unless another one was chosen for this recipient.
// - What was not sent yet stays with its recipient, and is there again when the user comes back.

import { element, icon, replace, toast } from "./dom.js";

const HEIGHT = 140; // pixels that a long reply takes at most

/**
 * Create the place for replies. `send(agentId, text)` returns a promise, and `agents()` the agents that can be answered.
 */
export function createReply(send, agents) {
  let recipient = null;
  const drafts = new Map(); // recipient -> text
  const chosen = new Map(); // recipient -> the id of the agent
  const select = element("select", { class: "input reply-agent", aria: { label: "Reply to" } });
  const text = element("textarea", {
    class: "input reply-text",
    rows: "1",
    maxlength: "3072",
    placeholder: "Reply as the recipient",
    aria: { label: "Reply as the recipient", keyshortcuts: "r" },
  });
  const submit = element(
    "button",
    { type: "submit", class: "button primary reply-send", aria: { label: "Send the reply" }, disabled: true },
    icon("send"),
  );
  const form = element("form", { class: "reply" }, select, text, submit);
  const impossible = element("p", {
    class: "muted no-reply",
    text: "The API has no inbound e-mail, so there is nothing to reply to here.",
  });
  const node = element("div", { class: "phone-foot" }, form, impossible);

  /** Show the agents for a recipient; `senders` have written to it, the one with the id `last` was the last of them. */
  function show(to, senders, last) {
    if (to !== recipient) {
      if (recipient !== null) drafts.set(recipient, text.value);
      recipient = to;
      text.value = drafts.get(to) ?? "";
      grow();
    }
    const email = to.includes("@");
    form.hidden = email;
    impossible.hidden = !email;
    if (email) return;
    const possible = new Map();
    for (const one of senders) if (one.channel !== "EMAIL") possible.set(one.sender, one.sender_name ?? one.sender);
    for (const one of agents()) {
      if (!possible.has(one.agent_id)) possible.set(one.agent_id, one.display_name ?? one.agent_id);
    }
    const options = [...possible].map(([id, name]) =>
      element("option", { value: id, text: name === id ? id : `${name} (${id})` }),
    );
    replace(select, options);
    const preferred = [chosen.get(to), last].find((one) => possible.has(one));
    if (preferred !== undefined) select.value = preferred;
    select.hidden = possible.size < 2;
  }

  function grow() {
    text.style.setProperty("height", "auto");
    text.style.setProperty("height", `${Math.min(text.scrollHeight + 2, HEIGHT)}px`);
    submit.disabled = text.value.trim() === "";
  }

  async function submitText() {
    const given = text.value.trim();
    if (given === "" || submit.disabled) return;
    const to = recipient;
    submit.disabled = true;
    try {
      await send(select.value, given);
      drafts.delete(to);
      if (to === recipient) text.value = "";
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      grow();
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submitText();
  });
  select.addEventListener("change", () => chosen.set(recipient, select.value));
  text.addEventListener("input", grow);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") text.blur();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void submitText();
  });

  return {
    node,
    show,
    focus() {
      if (!form.hidden) text.focus();
    },
  };
}
