// The tab Requests: the last requests to the API, and the details of one.
//
// Rules:
// - The list has at most one page of rows. New rows come in above; while the pointer moves over the list or a row has
//   the keyboard focus, nothing moves under it.
// - The details are those of the chosen request until another is chosen, also when it has left the list.
// - `#requests/NUMBER` chooses a request.

import { get } from "./api.js";
import { debounce, element, emptyState, formatClock, icon, replace, timeElement } from "./dom.js";
import { keyedList, refresher, STILL } from "./lists.js";
import { createDetails, tone } from "./request.js";
import { choices, setHidden, setText, showError, stateBadge, uniqueId } from "./widgets.js";

const PAGE = 100; // rows
const NEWEST = 20; // requests that are fetched after a change, if the rows of before follow on them
const FIRST = { cursor: null, number: 1 }; // the newest page
const STATUSES = [
  { value: "", text: "All", label: "All statuses" },
  ...["2xx", "4xx", "5xx"].map((value) => ({ value, text: value, label: `Status ${value}` })),
];
const COMMANDS = "msgapi send --to +4915112345678 --agent ag_live_demo --traffic TRANSACTION --text Hi\nmsgapi balance";
const WIDE = matchMedia("(min-width: 901px)"); // the list and the details are side by side; see requests.css

/** Create the tab. */
export function create() {
  const filters = createFilters(() => restart());
  const list = element("ul", { class: "request-list", aria: { label: "Requests" } });
  const scroll = element("div", { class: "request-scroll" }, list);
  const empty = emptyState({
    iconName: "terminal",
    title: "No requests yet",
    text: "Every request to the API appears here, with its response. Send one:",
    code: COMMANDS,
  });
  const nothing = element("p", { class: "nothing", text: "No request matches the filters." });
  const pause = createPause(() => fetchNewest.request());
  const fetchPage = (cursor = null, limit = PAGE) => get("/_sandbox/requests", { ...filters.params(), limit, cursor });
  const pager = createPager(
    (page) => load(page),
    () => fetchPage(),
  );
  const details = createDetails(() => leave());
  const node = element(
    "div",
    { class: "requests" },
    element(
      "section",
      { class: "request-pane", aria: { label: "List of requests" } },
      element("div", { class: "request-toolbar" }, filters.node, pause.node),
      scroll,
      pager.node,
    ),
    details.node,
  );
  scroll.append(empty, nothing);
  setHidden(empty, true);
  setHidden(nothing, true);

  const rows = keyedList(list, { key: keyOf, create: (one) => createRow(one, choose) });
  let items = []; // of the page that is shown
  let waiting = []; // newer ones that are not shown yet
  let chosen = null; // the key of a request
  let moved = -Infinity; // when the pointer moved over the list
  let turn = 0; // how many pages were asked for
  let loading = 0; // how many of them have not arrived
  let missed = false; // whether there was a change meanwhile

  const render = () => {
    const anchor = list.querySelector(":focus-visible");
    const before = anchor?.getBoundingClientRect().top;
    rows.update(items);
    // A row that is used by the keyboard stays where it is.
    if (anchor?.isConnected) scroll.scrollTop += anchor.getBoundingClientRect().top - before;
    for (const [key, row] of rows.entries()) row.choose(key === chosen);
    setHidden(empty, items.length > 0 || filters.active());
    setHidden(nothing, items.length > 0 || !filters.active());
    setHidden(list, items.length === 0);
  };

  const flush = () => {
    if (waiting.length === 0 || pause.paused()) return;
    if (performance.now() - moved < STILL) {
      setTimeout(flush, STILL);
      return;
    }
    if (waiting.length + items.length > PAGE) pager.allowOlder();
    items = [...waiting, ...items].slice(0, PAGE);
    waiting = [];
    pause.count(0);
    render();
  };

  // What the user asks for is loaded in any case. What is live waits until then, and is dropped if it was asked for before.
  const load = async (page) => {
    turn += 1;
    const mine = turn;
    loading += 1;
    try {
      const answer = await fetchPage(page.cursor);
      if (mine !== turn) return;
      items = answer.data;
      waiting = [];
      pause.count(0);
      pager.update(page, answer.next_cursor);
      render();
      scroll.scrollTop = 0;
    } catch (error) {
      showError(error);
    } finally {
      loading -= 1;
      if (loading === 0 && missed) fetchNewest.request();
    }
  };
  const restart = () => load(FIRST);

  // Only the newest requests are fetched after a change, and a whole page if there are more of them.
  const fetchNewest = refresher(
    async () => {
      missed = loading > 0;
      if (missed || !pager.isFirst()) return;
      const mine = turn;
      const known = new Set([...items, ...waiting].map(keyOf));
      const fetchFresh = async (limit) => {
        const { data } = await fetchPage(null, limit);
        return { fresh: data.filter((one) => !known.has(keyOf(one))), limit };
      };
      let { fresh, limit } = await fetchFresh(NEWEST);
      if (fresh.length === limit) ({ fresh } = await fetchFresh(PAGE));
      if (mine !== turn) return;
      waiting = [...fresh, ...waiting].slice(0, PAGE);
      pause.count(waiting.length);
      flush();
    },
    { interval: 250 },
  );

  const choose = (request, { focus = false } = {}) => {
    chosen = keyOf(request);
    for (const [key, row] of rows.entries()) row.choose(key === chosen);
    details.show(request);
    node.dataset.chosen = "true";
    history.replaceState(null, "", `#requests/${request.number}`);
    if (focus) details.focus();
  };
  const leave = () => {
    delete node.dataset.chosen;
    rows.entries().get(chosen)?.node.firstChild.focus();
  };

  scroll.addEventListener("pointermove", () => {
    moved = performance.now();
  });
  list.addEventListener("keydown", (event) => {
    const button = moveFocus(event, list);
    if (button && WIDE.matches) button.click();
  });
  details.node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) leave();
  });

  return {
    node,
    async show([number] = []) {
      await restart();
      if (number === undefined) return;
      const found = items.find((one) => one.number === Number(number)) ?? (await findRequest(Number(number)));
      if (found) choose(found);
    },
    hide() {},
    change(data) {
      if (data.reset) void restart();
      else if (data.requests) fetchNewest.request();
    },
    shortcuts: [
      { key: "p", text: "Pause or resume the list", run: () => pause.toggle() },
      { key: "/", text: "Filter by path", run: () => filters.focus() },
    ],
  };
}

// A request that a link names, and that is not on the first page.
async function findRequest(number) {
  let cursor = null;
  try {
    do {
      const page = await get("/_sandbox/requests", { limit: 200, cursor });
      const found = page.data.find((one) => one.number === number);
      if (found) return found;
      cursor = page.next_cursor;
    } while (cursor);
  } catch (error) {
    showError(error);
  }
  return null;
}

// A reset begins anew with the numbers, so the time belongs to the key.
function keyOf(request) {
  return `${request.number} ${request.at}`;
}

// Move the focus by an arrow key; return the button that has it now, or null for another key.
function moveFocus(event, list) {
  const buttons = [...list.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || !buttons[to]) return null;
  event.preventDefault();
  buttons[to].focus();
  return buttons[to];
}

function createFilters(apply) {
  let status = "";
  const statuses = choices("Status", STATUSES, (value) => {
    status = value;
    apply();
  });
  const id = uniqueId("path");
  const path = element("input", {
    id,
    type: "search",
    class: "input",
    placeholder: "Filter by path",
    autocomplete: "off",
    spellcheck: "false",
  });
  path.addEventListener("input", debounce(apply, 250));
  const node = element(
    "div",
    { class: "request-filters", role: "search", aria: { label: "Filters of the requests" } },
    statuses,
    element(
      "span",
      { class: "search" },
      icon("search"),
      element("label", { for: id, class: "visually-hidden", text: "Part of the path" }),
      path,
      element("kbd", { text: "/", aria: { hidden: "true" } }),
    ),
  );
  return {
    node,
    params: () => ({ status, path: path.value.trim() }),
    active: () => status !== "" || path.value.trim() !== "",
    focus: () => path.focus(),
  };
}

function createPause(resumed) {
  let paused = false;
  const count = element("span", { class: "request-new" });
  const label = element("span", { text: "Pause" });
  const image = element("span", { class: "request-pause-icon" }, icon("pause"));
  const button = element(
    "button",
    { type: "button", class: "button small", aria: { pressed: false } },
    image,
    label,
    count,
  );
  const toggle = () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    setText(label, paused ? "Resume" : "Pause");
    replace(image, icon(paused ? "play" : "pause"));
    if (!paused) resumed();
  };
  button.addEventListener("click", toggle);
  return {
    node: button,
    toggle,
    paused: () => paused,
    count: (number) => setText(count, paused && number ? `${number >= PAGE ? `${PAGE}+` : number} new` : ""),
  };
}

// Pages of older requests. Live requests are added to the first page only.
// Rows leave the first page while it is shown, so the page after it is asked for when it is wanted.
function createPager(load, fetchFirst) {
  let page = FIRST;
  let next = null;
  const newest = element("button", { type: "button", class: "button small", text: "Newest" });
  const older = element("button", { type: "button", class: "button small", text: "Older" });
  const where = element("span", { class: "pages-where", role: "status" });
  const node = element(
    "nav",
    { class: "pages", hidden: true, aria: { label: "Pages of requests" } },
    where,
    newest,
    older,
  );
  newest.addEventListener("click", () => void load(FIRST));
  const goOlder = async () => {
    try {
      const cursor = page === FIRST ? (await fetchFirst()).next_cursor : next;
      if (cursor) await load({ cursor, number: page.number + 1 });
    } catch (error) {
      showError(error);
    }
  };
  older.addEventListener("click", () => void goOlder());
  const allow = (allowed) => {
    setHidden(node, page === FIRST && !allowed);
    newest.disabled = page === FIRST;
    older.disabled = !allowed;
  };
  return {
    node,
    isFirst: () => page === FIRST,
    allowOlder: () => allow(true),
    update(shown, following) {
      page = shown;
      next = following;
      allow(next !== null);
      setText(where, page === FIRST ? "Newest first" : `Page ${page.number} · not live`);
    },
  };
}

function createRow(request, choose) {
  const marks = [request.replayed ? "replayed" : null, request.fault ? `fault: ${request.fault}` : null].filter(
    Boolean,
  );
  const button = element(
    "button",
    { type: "button", class: "request-row" },
    stateBadge(String(request.status), tone(request.status)).node,
    element("span", { class: "request-method", text: request.method }),
    element(
      "span",
      { class: "request-main" },
      element("span", {
        class: "request-path",
        text: request.query ? `${request.path}?${request.query}` : request.path,
      }),
      element("span", { class: "request-code", text: [request.code, ...marks].filter(Boolean).join(" · ") }),
    ),
    timeElement(request.at, formatClock(request.at, true)),
  );
  button.addEventListener("click", () => choose(request));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    choose(request, { focus: true });
  });
  return {
    node: element("li", { data: { number: request.number } }, button),
    update() {},
    choose(chosen) {
      if (chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    },
  };
}
