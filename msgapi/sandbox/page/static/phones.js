// The tab Phones: the conversations, the phone of the recipient that is selected, and the details beside it.
//
// The address says what is open: `#phones/<recipient>/<message id>`. On a narrow page the list, the phone and the
// details are three views; on a wide one they are side by side.

import { get, pageValue, post } from "./api.js";
import { ask, copy, element, emptyState, menu, recall, remember, replace, toast } from "./dom.js";
import { createConversation } from "./conversation.js";
import { createDetails } from "./details.js";
import { createList } from "./conversations.js";
import { changesOf, isUnderWay } from "./states.js";

const NARROW = matchMedia("(max-width: 760px)");
const WIDE = matchMedia("(min-width: 1180px)");
const EMAIL_REASONS = ["bounce", "full"];
const FOLLOW = 80; // milliseconds without a further key after which the selected conversation is opened

/** Create the tab. */
export function create() {
  let agents = [];
  let reasons = ["UNKNOWN_RCS_USER"];
  let visible = false;
  let detailsOpen = false; // as a panel that covers the phone, where it has no place beside it
  let opening = 0;

  const list = createList(
    choose,
    () => {
      drawStart();
      openFirst();
    },
    writeFirst,
  );
  const details = createDetails({ change, close: closeDetails });
  const conversation = createConversation(
    {
      tap,
      menu: openMenu,
      select: showDetails,
      back: () => go(null),
      details: toggleDetails,
      update: (message) => {
        if (details.message?.id === message.id) details.showMessage(message);
      },
      info: (info) => {
        if (details.message === null) details.showConversation(conversation.recipient, info);
      },
      read: list.markRead,
    },
    () => agents,
  );
  const start = element("div", { class: "phones-start", hidden: true });
  const columns = element("div", { class: "phones-columns", hidden: true }, list.node, conversation.node, details.node);
  const node = element("div", { class: "phones", data: { view: "list" } }, start, columns);

  // The address

  function address(recipient, messageId = null) {
    return ["#phones", recipient, messageId]
      .filter((part) => part !== null)
      .map((part, at) => (at ? encodeURIComponent(part) : part))
      .join("/");
  }

  function go(recipient, { instead = false } = {}) {
    const hash = address(recipient);
    if (location.hash === hash) return;
    if (!instead) location.hash = hash;
    else {
      history.replaceState(null, "", hash);
      void openConversation(recipient, null);
    }
  }

  // A row was chosen by a click or Enter (byUser), or reached with the arrow keys.
  function choose(recipient, byUser) {
    if (!byUser && NARROW.matches) return;
    clearTimeout(opening);
    if (byUser) {
      go(recipient);
      return;
    }
    list.select(recipient);
    opening = setTimeout(() => go(recipient, { instead: true }), FOLLOW);
  }

  async function openConversation(recipient, messageId) {
    const changed = conversation.recipient !== recipient;
    node.dataset.view = recipient === null ? "list" : "conversation";
    list.select(recipient);
    if (!changed && messageId === null && recipient !== null) return;
    if (changed) {
      conversation.select(null);
      detailsOpen = false;
      details.showConversation(recipient, null);
    }
    drawPanels();
    const opened = conversation.open(recipient, messageId);
    drawStart();
    try {
      const message = await opened;
      if (message !== null && conversation.recipient === recipient && WIDE.matches) showDetails(message);
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  // The details

  function drawPanels() {
    const beside = WIDE.matches && recall("details", "on") === "on";
    node.classList.toggle("with-details", beside);
    node.classList.toggle("details-open", !beside && detailsOpen);
    details.node.hidden = !beside && !detailsOpen;
  }

  function openPanel() {
    if (WIDE.matches) remember("details", "on");
    else detailsOpen = true;
    drawPanels();
  }

  function showDetails(message, name = null) {
    conversation.select(message.id);
    details.showMessage(message);
    if (name !== null) details.unfold(name);
    openPanel();
    if (!WIDE.matches) details.focus();
  }

  function toggleDetails() {
    if (!details.node.hidden) {
      closeDetails();
      return;
    }
    if (details.message === null) details.showConversation(conversation.recipient, conversation.info);
    openPanel();
    details.focus();
  }

  function closeDetails() {
    const inside = details.node.contains(document.activeElement);
    // On a wide page, the first step back is from the message to its conversation.
    const stays = details.message !== null && WIDE.matches;
    conversation.select(null);
    details.showConversation(conversation.recipient, conversation.info);
    if (!stays) {
      if (WIDE.matches) remember("details", "off");
      detailsOpen = false;
      drawPanels();
    }
    if (inside) conversation.focusLast();
  }

  // What can be done with a message

  async function attempt(run, done) {
    try {
      await run();
      if (done) toast(done, "ok");
    } catch (error) {
      toast(error.message, "bad");
    }
    conversation.refresh();
    list.refresh();
  }

  async function tap(message, text, button) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    await attempt(() => post("/_sandbox/taps", { message_id: message.id, text }));
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }

  function change(message, name) {
    return name === "fail" ? fail(message) : send(message, name);
  }

  function send(message, name, body) {
    const path = (one) => `/_sandbox/messages/${encodeURIComponent(message.id)}/${one}`;
    return attempt(async () => {
      if (name === "read" && isUnderWay(message)) await post(path("deliver"));
      await post(path(name), body);
    });
  }

  async function fail(message) {
    const email = message.channel === "EMAIL";
    const reason = await ask({
      title: email ? "Let the mail bounce" : "Let the message fail",
      text: email
        ? "The mail bounces: `bounce` for good, `full` for now."
        : "The delivery fails, the hold is released, and the webhook message.failed goes out with this reason.",
      field: { label: "Reason", options: email ? EMAIL_REASONS : reasons },
      confirm: email ? "Bounce" : "Fail",
      danger: true,
    });
    if (reason !== null) await send(message, "fail", { reason });
  }

  function openMenu(message, button) {
    const changes = changesOf(message).map(({ name, text, image, possible }) => ({
      text,
      icon: image,
      kind: name === "fail" ? "danger" : null,
      disabled: !possible,
      run: () => change(message, name),
    }));
    const outbound = message.direction !== "INBOUND";
    menu(button, [
      ...(outbound ? [...changes, null] : []),
      { text: "States and content", icon: "info", run: () => showDetails(message) },
      ...(outbound ? [{ text: "Request", icon: "terminal", run: () => showDetails(message, "Request") }] : []),
      { text: "Copy the id", icon: "copy", run: () => copy(message.id) },
    ]);
  }

  // The start: an empty sandbox says what to do

  function drawStart() {
    const empty = list.isEmpty && conversation.recipient === null;
    columns.hidden = empty;
    if (start.hidden === !empty) return;
    start.hidden = !empty;
    if (!empty) return;
    const key = pageValue("key") || "the-key-of-this-sandbox";
    const code = [
      `export MSGAPI_BASE_URL=${location.origin}`,
      `export MSGAPI_API_KEY=${key}`,
      "msgapi send --to +4915112345678 --agent ag_live_demo --traffic TRANSACTION \\",
      '  --text "Your parcel arrives today."',
      "msgapi send --to anna@example.com --channel ch_demo \\",
      '  --subject "Welcome" --text "Good to have you here."',
    ].join("\n");
    replace(
      start,
      emptyState({
        iconName: "phone",
        title: "No messages yet",
        text: "Send one from a terminal, or point your application at this sandbox with the two variables. It appears here at once, and nothing is really sent.",
        code,
        action: element("button", {
          type: "button",
          class: "button",
          text: "Write as a recipient",
          on: { click: writeFirst },
        }),
      }),
    );
  }

  // A recipient can write first, which opens a session with the agent.
  async function writeFirst() {
    const field = { label: "Phone number, with + and the country code", type: "tel", value: "+49", required: true };
    const given = await ask({ title: "Write as a new recipient", field, confirm: "Continue" });
    const number = (given ?? "").replace(/[^+0-9]/g, "");
    if (given === null) return;
    if (!/^\+[1-9][0-9]{6,14}$/.test(number)) {
      toast(`${given} is not a phone number such as +4915112345678.`, "bad");
      return;
    }
    history.pushState(null, "", address(number));
    await openConversation(number, null);
    conversation.focusReply();
  }

  async function reload() {
    try {
      await list.reload();
    } catch {
      return; // the shell shows that the sandbox does not answer, and the stream reports when it does
    }
  }

  function openFirst() {
    if (visible && !NARROW.matches && conversation.recipient === null && list.first !== null)
      go(list.first, { instead: true });
  }

  async function resetConversation() {
    const still = await conversation.reset().catch(() => true);
    if (still) return;
    history.replaceState(null, "", address(null));
    await openConversation(null, null);
  }

  async function loadAccount() {
    const [account, found] = await Promise.all([
      get("/_sandbox/account").catch(() => null),
      get("/_sandbox/agents", { limit: 200 }).catch(() => null),
    ]);
    if (account?.fail_reasons?.length) reasons = account.fail_reasons;
    if (found !== null) agents = found.data.filter((one) => one.launched && one.status === "APPROVED");
    conversation.drawFoot();
  }

  for (const query of [NARROW, WIDE]) query.addEventListener("change", drawPanels);
  details.showConversation(null, null);
  drawPanels();

  return {
    node,
    show(parts) {
      const first = !visible;
      visible = true;
      const [recipient = null, messageId = null] = parts;
      if (first) {
        void reload();
        void loadAccount();
        conversation.refresh();
      }
      if (recipient !== null) void openConversation(recipient, messageId);
      else if (conversation.recipient === null) openFirst();
      else if (NARROW.matches) void openConversation(null, null);
      else history.replaceState(null, "", address(conversation.recipient)); // the tab was left, and is shown again
    },
    hide() {
      visible = false;
      list.pause();
      conversation.pause();
    },
    change(data) {
      if (data.reset) {
        void reload();
        void loadAccount();
        void resetConversation();
        return;
      }
      if (data.messages) {
        list.refresh();
        conversation.refresh();
      }
      if (data.contacts) conversation.refresh();
      if (data.agents) void loadAccount();
    },
    shortcuts: [
      { key: "/", text: "Search the conversations", run: () => list.focusSearch() },
      { key: "j", text: "Next conversation", run: () => list.step(1) },
      { key: "k", text: "Previous conversation", run: () => list.step(-1) },
      { key: "n", text: "Write as a new recipient", run: writeFirst },
      { key: "r", text: "Reply", run: () => conversation.focusReply() },
      {
        key: "l",
        text: "Go to the messages: arrow keys, Enter for details, M for actions",
        run: () => conversation.focusLast(),
      },
      { key: "i", text: "Show or hide the details", run: toggleDetails },
      {
        key: "Escape",
        name: "Esc",
        text: "Back",
        run: () => (details.message !== null || !details.node.hidden ? closeDetails() : NARROW.matches && go(null)),
      },
    ],
  };
}
