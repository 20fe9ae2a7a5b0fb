// The list of conversations: one row per recipient, newest first, live, with a search.
//
// Rules:
// - All rows have the height ROW, and only those in sight (and the one with the focus) are in the document.
// - A change fetches the first page anew. If it reaches back to what is known, the rest stays; if not, the list starts
//   over with it. While the user reads further down, the list does not start over: a button offers that. Every second
//   change then fetches the page in sight in place of the first one.

import { get } from "./api.js";
import { avatar, debounce, element, formatShort, icon, onScroll, replace, timeElement } from "./dom.js";
import { refresher } from "./lists.js";
import { stateOf } from "./states.js";
import { setText } from "./widgets.js";

const ROW = 64;
const PAGE = 50;
const MARGIN = 4; // rows beyond those in sight
const INTERVAL = 600;

/**
 * Create the list. `open(recipient, byUser)` is called when one is chosen, `changed()` when the list has
 * changed, and `create()` to write as a recipient who is not in it.
 */
export function createList(open, changed, create) {
  let items = [];
  let cursor = null;
  let loading = false;
  let loaded = false;
  let generation = 0; // of the list: answers for an older one are ignored
  let search = "";
  let selected = null;
  let active = null; // the recipient whose row is in the tab order
  let baseline = null; // what is newer than this, and was not opened since, is new
  const pageOf = new Map(); // recipient -> the cursor of the page in which it was
  let inSight = false; // whether the next change fetches the page in sight
  const read = new Map(); // recipient -> the number of its newest message when it was open
  const rows = new Map(); // recipient -> {node, signature}

  const input = element("input", {
    type: "search",
    class: "input",
    id: "conversation-search",
    placeholder: "Search",
    autocomplete: "off",
    spellcheck: "false",
    aria: { label: "Search conversations", keyshortcuts: "/" },
  });
  const box = element("ul", { class: "rows", role: "listbox", aria: { label: "Conversations" } });
  const newer = element(
    "button",
    { type: "button", class: "newer button small", hidden: true },
    icon("arrow-up"),
    "Newer conversations",
  );
  const note = element("div", { class: "list-note", role: "status" });
  const scroller = element("div", { class: "list-scroller" }, box, note);
  const fresh = element(
    "button",
    {
      type: "button",
      class: "icon-button",
      title: "Write as a new recipient (N)",
      aria: { label: "Write as a new recipient", keyshortcuts: "n" },
      on: { click: create },
    },
    icon("plus"),
  );
  const node = element(
    "section",
    { class: "list", aria: { label: "Conversations" } },
    element(
      "div",
      { class: "list-head" },
      element("h2", { class: "visually-hidden", text: "Conversations" }),
      element(
        "div",
        { class: "search" },
        icon("search"),
        input,
        element("kbd", { text: "/", aria: { hidden: "true" } }),
      ),
      fresh,
    ),
    newer,
    scroller,
  );

  async function fetchPage(from) {
    const asked = generation;
    const answer = await get("/_sandbox/conversations", {
      search,
      limit: from === null ? PAGE : 2 * PAGE,
      cursor: from,
    });
    if (asked !== generation) return null;
    for (const one of answer.data) pageOf.set(one.recipient, from);
    return answer;
  }

  async function reload() {
    generation += 1;
    pageOf.clear();
    const page = await fetchPage(null);
    if (page === null) return;
    start(page);
  }

  function start(page) {
    items = page.data;
    cursor = page.next_cursor;
    loaded = true;
    baseline ??= items.length ? items[0].last_number : -1;
    newer.hidden = true;
    scroller.scrollTop = 0;
    draw();
  }

  async function refresh() {
    if (!loaded) return reload();
    const from = pageOf.get(items[Math.floor(scroller.scrollTop / ROW)]?.recipient) ?? null;
    inSight = from !== null && !inSight;
    if (inSight) {
      update((await fetchPage(from))?.data ?? []);
      return undefined;
    }
    const page = await fetchPage(null);
    if (page === null) return undefined;
    const known = items.length ? items[0].last_number : -1;
    const last = page.data.at(-1);
    const complete = page.next_cursor === null || (last !== undefined && last.last_number <= known);
    if (complete) merge(page.data, page.next_cursor === null);
    else if (scroller.scrollTop < ROW) start(page);
    else newer.hidden = false;
    return undefined;
  }

  // Take over what has changed in conversations whose place is the same.
  function update(page) {
    const given = new Map(page.map((one) => [one.recipient, one]));
    items = items.map((one) => {
      const next = given.get(one.recipient);
      return next !== undefined && next.last_number === one.last_number ? next : one;
    });
    draw();
    live.request(); // and then the first page
  }

  // Put the conversations of the first page in front, and keep what is in sight where it is.
  function merge(page, whole) {
    const given = new Set(page.map((one) => one.recipient));
    const first = Math.floor(scroller.scrollTop / ROW);
    const anchor = scroller.scrollTop > 0 ? items[first]?.recipient : undefined;
    items = whole ? page : [...page, ...items.filter((one) => !given.has(one.recipient))];
    if (whole) cursor = null;
    if (anchor !== undefined && !given.has(anchor)) {
      const at = items.findIndex((one) => one.recipient === anchor);
      if (at >= 0 && at !== first) scroller.scrollTop += (at - first) * ROW;
    }
    draw();
  }

  async function loadMore() {
    if (loading || cursor === null) return;
    loading = true;
    try {
      const page = await fetchPage(cursor);
      if (page === null) return;
      const known = new Set(items.map((one) => one.recipient));
      items = [...items, ...page.data.filter((one) => !known.has(one.recipient))];
      cursor = page.next_cursor;
    } finally {
      loading = false;
    }
    draw();
  }

  function draw() {
    box.style.setProperty("height", `${items.length * ROW}px`);
    const height = scroller.clientHeight || 600;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - MARGIN);
    const end = Math.min(items.length, Math.ceil((scroller.scrollTop + height) / ROW) + MARGIN);
    const wanted = new Map();
    for (let at = first; at < end; at += 1) wanted.set(items[at].recipient, at);
    if (!items.some((one) => one.recipient === active)) active = items[first]?.recipient ?? null;
    const focused = items.findIndex((one) => one.recipient === active);
    if (focused >= 0) wanted.set(active, focused);
    for (const [recipient, row] of rows) {
      if (wanted.has(recipient)) continue;
      row.node.remove();
      rows.delete(recipient);
    }
    for (const [recipient, at] of wanted) drawRow(recipient, at);
    sortRows([...wanted].sort(([, one], [, other]) => one - other));
    showNote();
    if (loaded) changed();
    if (cursor !== null && end > items.length - 2 * MARGIN) void loadMore();
  }

  // Screen readers follow the order of the document. A row that is moved loses the focus, and gets it back.
  function sortRows(wanted) {
    const focused = box.contains(document.activeElement) ? document.activeElement : null;
    let next = box.firstChild;
    for (const [recipient] of wanted) {
      const { node: row } = rows.get(recipient);
      if (row === next) next = next.nextSibling;
      else box.insertBefore(row, next);
    }
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  function drawRow(recipient, at) {
    const item = items[at];
    const isNew = item.last_number > Math.max(baseline, read.get(recipient) ?? -1) && recipient !== selected;
    const signature = JSON.stringify([item, isNew, recipient === selected, formatShort(item.last_at)]);
    let row = rows.get(recipient);
    if (row === undefined) {
      row = {
        node: element("li", {
          role: "option",
          class: "conversation-row",
          id: `row-${encodeURIComponent(recipient)}`,
          data: { recipient },
        }),
        signature: "",
        at: -1,
      };
      rows.set(recipient, row);
      box.append(row.node);
    }
    row.node.tabIndex = recipient === active ? 0 : -1;
    row.node.setAttribute("aria-setsize", cursor === null ? items.length : -1);
    if (row.at !== at) {
      row.at = at;
      row.node.setAttribute("aria-posinset", at + 1);
      row.node.style.setProperty("transform", `translateY(${at * ROW}px)`);
    }
    if (row.signature === signature) return;
    row.signature = signature;
    row.node.setAttribute("aria-selected", String(recipient === selected));
    row.node.classList.toggle("new", isNew);
    const state = stateOf({ status: item.last_status, channel: item.channel, direction: item.last_direction });
    replace(
      row.node,
      avatar(recipient, item.channel === "EMAIL"),
      element("span", { class: "row-name truncate", text: recipient }),
      timeElement(item.last_at, formatShort(item.last_at)),
      element(
        "span",
        { class: "row-text truncate" },
        item.last_direction === "INBOUND" ? element("span", { class: "row-by", text: "Reply: " }) : null,
        item.last_text || "No text",
      ),
      element(
        "span",
        { class: ["row-state", state.kind], title: state.text },
        icon(state.image),
        element("span", { class: "visually-hidden", text: `${state.text}${isNew ? ", new" : ""}` }),
      ),
    );
  }

  function showNote() {
    let text = "";
    if (loaded && items.length === 0 && search) text = `No conversation matches “${search}”.`;
    setText(note, text);
  }

  // Focus the row at a place, or the first or last one if it is beyond them.
  function focusRow(wanted, byKey) {
    if (items.length === 0) return;
    const at = Math.max(0, Math.min(items.length - 1, wanted));
    active = items[at].recipient;
    const top = at * ROW;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW > scroller.scrollTop + scroller.clientHeight)
      scroller.scrollTop = top + ROW - scroller.clientHeight;
    draw();
    rows.get(active)?.node.focus({ preventScroll: true });
    if (byKey) open(active, false);
  }

  /** Move to the next conversation, or the one before. */
  function step(by) {
    const at = items.findIndex((one) => one.recipient === (selected ?? active));
    focusRow(at + by, true);
  }

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = items.findIndex((one) => one.recipient === active);
    const page = Math.max(1, Math.floor(scroller.clientHeight / ROW) - 1);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (to !== undefined) focusRow(to, true);
    else if ((event.key === "Enter" || event.key === " ") && active !== null) open(active, true);
    else return;
    event.preventDefault();
  });
  box.addEventListener("click", (event) => {
    const row = event.target.closest(".conversation-row");
    if (row === null) return;
    active = row.dataset.recipient;
    draw();
    open(active, true);
  });
  onScroll(scroller, draw);
  new ResizeObserver(() => draw()).observe(scroller);
  newer.addEventListener("click", () => void reload().catch(() => {}));
  const find = () => {
    search = input.value.trim();
    void reload().catch(() => {});
  };
  input.addEventListener("input", debounce(find, 150));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown")
      focusRow(
        items.findIndex((one) => one.recipient === active),
        false,
      );
    else if (event.key === "Escape" && input.value === "") input.blur();
    else return;
    event.preventDefault();
  });

  const live = refresher(refresh, { interval: INTERVAL, onError: () => {} });
  return {
    node,
    reload,
    refresh: live.request,
    pause: live.cancel,
    step,
    /** Show which conversation is open. */
    select(recipient) {
      selected = recipient;
      if (recipient !== null) active = recipient;
      draw();
    },
    /** Note up to which message a conversation was read. */
    markRead(recipient, number) {
      read.set(recipient, number);
    },
    focusSearch() {
      input.focus();
      input.select();
    },
    /** Whether there is no conversation at all. */
    get isEmpty() {
      return loaded && items.length === 0 && search === "";
    },
    get first() {
      return items[0]?.recipient ?? null;
    },
  };
}
