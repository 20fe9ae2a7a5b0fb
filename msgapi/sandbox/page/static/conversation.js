// The phone: a window of the messages of one conversation, and the place to write a reply.
//
// Rules:
// - At most LIMIT messages are in the document: a page that is loaded at one end removes messages at the other.
// - What is in sight stays where it is, except at the end of the conversation, where new messages push it up.
// - A change fetches the messages of the window with one request, however many changes there were.

import { get, post } from "./api.js";
import { element, emptyState, icon, onScroll, replace, toast } from "./dom.js";
import { phoneHead } from "./details.js";
import { refresher } from "./lists.js";
import { createMessage, dayLine, describeMessage } from "./messages.js";
import { createReply } from "./reply.js";

const LIMIT = 160;
const PAGE = 60;
const NEAR = 600; // pixels from an end at which more is loaded
const BOTTOM = 48; // pixels from the end that count as the end
const INTERVAL = 450;
const QUIET = 2500; // milliseconds between two announcements to screen readers

/**
 * Create the phone. `actions` are `tap(message, text, button)`, `menu(message, button)`, `select(message)`, `back()`,
 * `details()`, `update(message)`, `info(info)` and
 * `read(recipient, number)`; `agents()` returns the agents that can be answered.
 */
export function createConversation(actions, agents) {
  let recipient = null;
  let info = null;
  let generation = 0;
  let items = []; // the messages of the window, oldest first
  let atStart = true; // whether there is nothing older, and nothing newer
  let atEnd = true;
  let following = true; // whether new messages are scrolled into view
  let had = false; // whether there was a message in it
  let focusNext = false; // whether the last message gets the focus once it is loaded
  let lastTop = 0; // the last known scroll position
  let loading = false;
  let selected = null;
  let active = null;
  let announced = 0; // the number of the newest message that was announced
  const views = new Map(); // id -> the view of a message
  const days = new Map(); // day -> its line

  const log = element("div", { class: "log", role: "log", aria: { label: "Messages", live: "off" } });
  const announcer = element("p", { class: "visually-hidden", role: "status", aria: { live: "polite" } });
  const latest = element("button", { type: "button", class: "latest button small", hidden: true });
  const empty = element("p", {
    class: "log-empty muted",
    hidden: true,
    text: "No messages yet. Write to an agent as this recipient: the webhook goes out, and a session begins.",
  });
  const head = element("header", { class: "phone-head" });
  const phone = element(
    "div",
    { class: "phone", hidden: true },
    head,
    element("div", { class: "log-box" }, log, empty, latest),
    announcer,
  );
  const nothing = element("div", { class: "phone-empty" });
  const node = element("section", { class: "conversation", aria: { label: "Conversation" } }, nothing, phone);

  replace(
    nothing,
    emptyState({
      iconName: "phone",
      title: "No conversation selected",
      text: "Select a recipient in the list, or press J and K to move through it.",
    }),
  );

  // Loading

  function page(params) {
    return get("/_sandbox/messages", { to: recipient, ...params });
  }

  // The parameter for the messages from this one on; there is none before the number 0.
  function from({ number }) {
    return number > 0 ? { after: number - 1 } : {};
  }

  async function newest(limit = PAGE) {
    const answer = await page({ order: "newest", limit });
    return { items: answer.data.reverse(), atStart: answer.next_cursor === null, atEnd: true };
  }

  async function around(number) {
    const [before, after] = [
      await page({ order: "newest", limit: PAGE, before: number + 1 }),
      await page({ order: "oldest", limit: PAGE, after: number }),
    ];
    return {
      items: [...before.data.reverse(), ...after.data],
      atStart: before.next_cursor === null,
      atEnd: after.next_cursor === null,
    };
  }

  /** Open a conversation at its end, or at a message; return this message, or null if there is none. */
  async function open(to, messageId = null) {
    generation += 1;
    const asked = generation;
    if (to !== recipient) {
      recipient = to;
      focusNext = false;
      had = false;
      info = null;
      clear();
      drawHead();
      drawFoot();
    }
    nothing.hidden = to !== null;
    phone.hidden = to === null;
    if (to === null) return null;
    log.setAttribute("aria-busy", "true");
    let found = null;
    try {
      if (messageId !== null) {
        found = await get(`/_sandbox/messages/${encodeURIComponent(messageId)}`).catch(() => null);
        if (found === null) toast("The sandbox has no such message any more.", "info");
      }
      const result = found === null ? await newest() : await around(found.number);
      if (asked !== generation) return null;
      ({ items, atStart, atEnd } = result);
      following = found === null;
      announced = items.at(-1)?.number ?? -1;
      draw();
      drawFoot();
      if (following) toBottom();
      else reveal(found.id);
    } finally {
      if (asked === generation) {
        log.removeAttribute("aria-busy");
        empty.hidden = items.length > 0;
      }
    }
    if (focusNext) focusMessage(items.length - 1);
    focusNext = false;
    if (items.length) loadInfo.request();
    return found;
  }

  function clear() {
    items = [];
    atStart = true;
    atEnd = true;
    active = null;
    draw();
  }

  const loadInfo = refresher(
    async () => {
      const asked = recipient;
      if (asked === null) return;
      const answer = await get(`/_sandbox/conversations/${encodeURIComponent(asked)}`).catch(() => null);
      if (asked !== recipient || answer === null) return;
      const before = JSON.stringify(info);
      info = answer;
      if (JSON.stringify(info) === before) return;
      drawHead();
      drawFoot();
      actions.info(info);
    },
    { interval: 1000 },
  );

  // Load a page at one end of the window, and remove as many messages as are too many at the other.
  async function loadMore(older) {
    if (loading || items.length === 0 || (older ? atStart : atEnd)) return;
    loading = true;
    const asked = generation;
    try {
      const place = older
        ? { order: "newest", before: items[0].number }
        : { order: "oldest", after: items.at(-1).number };
      const answer = await page({ ...place, limit: PAGE });
      if (asked !== generation) return;
      const [here, all] = [answer.next_cursor === null, items.length + answer.data.length <= LIMIT];
      [atStart, atEnd] = older ? [here, atEnd && all] : [atStart && all, here];
      const joined = older ? [...answer.data.reverse(), ...items] : [...items, ...answer.data];
      keepPlace(() => {
        items = older ? joined.slice(0, LIMIT) : joined.slice(-LIMIT);
        draw();
      });
    } catch {
      // The next scroll tries again; the shell shows that the sandbox does not answer.
    } finally {
      loading = false;
    }
  }

  const live = refresher(
    async () => {
      if (recipient === null) return;
      if (loading) {
        live.request();
        return;
      }
      const asked = generation;
      const follow = updateFollowing() && atEnd;
      try {
        if (follow || items.length === 0) {
          const result = await newest(Math.min(LIMIT, Math.max(PAGE, items.length + 10)));
          if (asked !== generation) return;
          if (!updateFollowing() && items.length > 0) {
            live.request(); // the user has scrolled up meanwhile: the window stays, and is fetched as it is
            return;
          }
          const kept = result.items.length > LIMIT ? result.items.slice(-LIMIT) : result.items;
          ({ atStart, atEnd } = result);
          items = kept;
          draw();
          toBottom();
        } else {
          const first = items[0].number;
          const answer = await page({ order: "oldest", limit: LIMIT, ...from(items[0]) });
          if (asked !== generation || loading || items[0]?.number !== first) return;
          keepPlace(() => {
            const last = items.at(-1).number;
            const more = answer.next_cursor !== null;
            items = answer.data;
            if (atEnd && items.some((one) => one.number > last)) latest.classList.add("has-new");
            atEnd = !more;
            draw();
          });
        }
        announce.request();
      } catch {
        // The next change tries again.
      }
      loadAtEdges();
    },
    { interval: INTERVAL },
  );

  function loadAtEdges() {
    if (log.scrollTop < NEAR) void loadMore(true);
    else if (log.scrollHeight - log.scrollTop - log.clientHeight < NEAR) void loadMore(false);
  }

  // Drawing

  function draw() {
    had = had || items.length > 0;
    const wanted = new Set(items.map((one) => one.id));
    const focused = log.contains(document.activeElement)
      ? document.activeElement.closest(".message")?.dataset.messageId
      : undefined;
    for (const [id, view] of views) {
      if (wanted.has(id)) continue;
      view.release();
      view.node.remove();
      views.delete(id);
    }
    const usedDays = new Set();
    let at = log.firstChild;
    const put = (node) => {
      if (node === at) at = at.nextSibling;
      else log.insertBefore(node, at);
    };
    let before = null;
    let day = "";
    for (const item of items) {
      const itsDay = new Date(item.created_at).toDateString();
      if (itsDay !== day) {
        day = itsDay;
        usedDays.add(day);
        if (!days.has(day)) days.set(day, dayLine(item.created_at));
        put(days.get(day));
        before = null;
      }
      let view = views.get(item.id);
      if (view === undefined) {
        view = createMessage(item, actions);
        views.set(item.id, view);
        view.select(item.id === selected);
      } else if (view.update(item) && item.id === selected) {
        actions.update(item);
      }
      view.place(before);
      put(view.node);
      before = item;
    }
    for (const [name, line] of days) {
      if (usedDays.has(name)) continue;
      line.remove();
      days.delete(name);
    }
    if (!views.has(active)) {
      active = null;
      setActive(items.at(-1)?.id ?? null);
    }
    if (focused !== undefined && !views.has(focused)) views.get(active)?.node.focus({ preventScroll: true });
    showLatest();
    empty.hidden = items.length > 0 || log.hasAttribute("aria-busy");
    if (recipient !== null && atEnd && items.length) actions.read(recipient, items.at(-1).number);
  }

  // Run a change of the window so that the first message in sight that stays does not move.
  function keepPlace(change) {
    const top = log.getBoundingClientRect().top;
    const visible = [...log.querySelectorAll(".message")].filter((one) => one.getBoundingClientRect().bottom > top);
    const places = visible.slice(0, 40).map((one) => [one, one.getBoundingClientRect().top]);
    change();
    const found = places.find(([one]) => one.isConnected);
    if (found) log.scrollTop += found[0].getBoundingClientRect().top - found[1];
    lastTop = log.scrollTop;
  }

  function toBottom() {
    following = true;
    latest.classList.remove("has-new");
    log.scrollTop = log.scrollHeight;
    lastTop = log.scrollTop;
    showLatest();
  }

  // A reader who has scrolled up must not be moved to the end by the next message.
  function updateFollowing() {
    const rest = log.scrollHeight - log.scrollTop - log.clientHeight;
    if (rest < 4) following = true;
    else if (log.scrollTop < lastTop - 1) following = false;
    else if (rest < BOTTOM) following = true;
    lastTop = log.scrollTop;
    return following;
  }

  function reveal(id) {
    const view = views.get(id);
    if (view === undefined) return;
    view.node.scrollIntoView({ block: "center" });
    setActive(id);
  }

  function showLatest() {
    const away = recipient !== null && !(following && atEnd) && items.length > 0;
    latest.hidden = !away;
    const text = latest.classList.contains("has-new") ? "New messages" : "Latest";
    if (latest.textContent !== text) replace(latest, icon("arrow-down"), text);
  }

  const announce = refresher(
    async () => {
      const news = items.filter((one) => one.number > announced);
      if (news.length === 0) return;
      announced = news.at(-1).number;
      const last = news.at(-1);
      announcer.textContent =
        news.length === 1 ? describeMessage(last) : `${news.length} new messages. The last: ${describeMessage(last)}`;
    },
    { interval: QUIET },
  );

  function drawHead() {
    if (recipient !== null) replace(head, phoneHead(recipient, info, actions));
  }

  const reply = createReply(async (agentId, text) => {
    const to = recipient;
    await post("/_sandbox/replies", { agent_id: agentId, user: to, text });
    if (to !== recipient) return;
    following = true;
    if (!atEnd) await open(to);
    live.request();
    loadInfo.request();
  }, agents);
  phone.insertBefore(reply.node, announcer);

  function drawFoot() {
    if (recipient === null) return;
    reply.show(recipient, info?.senders ?? [], items.findLast((one) => one.channel !== "EMAIL")?.sender);
  }

  // The focus and the scroll position

  function setActive(id) {
    if (id === active) return;
    views.get(active)?.activate(false);
    active = id;
    views.get(active)?.activate(true);
  }

  function focusMessage(at) {
    const item = items[Math.max(0, Math.min(items.length - 1, at))];
    if (item === undefined) return;
    setActive(item.id);
    const node = views.get(item.id).node;
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
  }

  log.addEventListener("focusin", (event) => {
    const id = event.target.closest(".message")?.dataset.messageId;
    if (id !== undefined) setActive(id);
  });
  log.addEventListener("click", (event) => {
    const message = event.target.closest(".message");
    if (message === null || event.target.closest("a, button, input, iframe") || String(getSelection()) !== "") return;
    const view = views.get(message.dataset.messageId);
    if (view) actions.select(view.message);
  });
  log.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches(".message")) return;
    const at = items.findIndex((one) => one.id === active);
    const view = views.get(active);
    if (event.key === "ArrowDown") focusMessage(at + 1);
    else if (event.key === "ArrowUp") focusMessage(at - 1);
    else if (event.key === "Home") focusMessage(0);
    else if (event.key === "End") void jumpToLatest().then(() => focusMessage(items.length - 1));
    else if (event.key === "Enter") actions.select(view.message);
    else if (event.key === "m" || event.key === "ContextMenu")
      actions.menu(view.message, view.node.querySelector(".message-menu"));
    else return;
    event.preventDefault();
  });

  async function jumpToLatest() {
    if (!atEnd) {
      await open(recipient);
      return;
    }
    generation += 1; // an answer that is under way is for the place of before
    toBottom();
    live.request();
  }
  latest.addEventListener("click", () => void jumpToLatest().catch((error) => toast(error.message, "bad")));

  onScroll(log, () => {
    if (updateFollowing() && atEnd) latest.classList.remove("has-new");
    showLatest();
    loadAtEdges();
  });
  // The keyboard of a phone, a longer reply or a wider window change the height: the end stays in sight.
  new ResizeObserver(() => {
    if (following && atEnd) toBottom();
  }).observe(log);

  return {
    node,
    open,
    refresh() {
      if (recipient !== null) live.request();
      if (items.length) loadInfo.request();
    },
    pause() {
      live.cancel();
      loadInfo.cancel();
    },
    drawFoot,
    /** Load everything anew, at the same place if it still exists; return whether there is such a conversation. */
    async reset() {
      if (recipient === null || !had) return true;
      const first = items[0];
      const answer = first === undefined ? null : await page({ order: "oldest", limit: 1, ...from(first) });
      if (answer?.data[0] !== undefined && answer.data[0].id === first.id) {
        live.request();
        loadInfo.request();
        return true;
      }
      info = null;
      had = false;
      await open(recipient);
      return items.length > 0;
    },
    /** Show which message has its details shown. */
    select(id) {
      views.get(selected)?.select(false);
      selected = id;
      views.get(selected)?.select(true);
    },
    focusReply() {
      reply.focus();
    },
    focusLast() {
      if (items.length) focusMessage(items.length - 1);
      else focusNext = recipient !== null;
    },
    get recipient() {
      return recipient;
    },
    get info() {
      return info;
    },
  };
}
