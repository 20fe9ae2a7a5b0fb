// Lists: they keep their nodes, come page by page, are fetched anew after changes, and stand still while they are used.
//
// Rules:
// - A node is moved only if its place is wrong, since a moved node loses the focus.
// - Nothing moves under the pointer, or below a row that is open.

import { get } from "./api.js";
import { element } from "./dom.js";
import { setHidden, setText, showError } from "./widgets.js";

/** Milliseconds without a movement of the pointer after which a list moves again. */
export const STILL = 900;
const MANY = 2000; // items

/**
 * Keep the children of *container* equal to a list of items. `create(item)` returns `{node, update(item)}`.
 *
 * A node is moved only if its place is wrong, since a moved node loses the focus.
 */
export function keyedList(container, { key, create }) {
  let entries = new Map();
  return {
    entries: () => entries,
    update(items) {
      const next = new Map();
      for (const item of items) {
        const name = key(item);
        const entry = entries.get(name) ?? create(item);
        entry.update(item);
        next.set(name, entry);
      }
      for (const [name, entry] of entries) if (!next.has(name)) entry.node.remove();
      let following = null;
      for (const entry of [...next.values()].reverse()) {
        if (entry.node.parentNode !== container || entry.node.nextSibling !== following) {
          container.insertBefore(entry.node, following);
        }
        following = entry.node;
      }
      entries = next;
    },
  };
}

/**
 * The rows of a list that is live. New ones wait while a row is open or the pointer moves over the list; `button`
 * shows them at once.
 */
export function liveRows(container, { key, create, isOpen = () => false }) {
  const rows = keyedList(container, { key, create });
  const button = element("button", { type: "button", class: "button small new-rows", hidden: true });
  let shown = [];
  let latest = [];
  let moved = -Infinity;
  let timer = null;
  const showAll = () => {
    clearTimeout(timer);
    shown = latest;
    rows.update(shown);
    setHidden(button, true);
  };
  const update = () => {
    const known = new Set(shown.map(key));
    const count = latest.filter((one) => !known.has(key(one))).length;
    const open = [...rows.entries().values()].some(isOpen);
    if (count === 0 || shown.length === 0 || (!open && performance.now() - moved >= STILL)) {
      showAll();
      return;
    }
    const now = new Map(latest.map((one) => [key(one), one]));
    shown = shown.map((one) => now.get(key(one)) ?? one);
    rows.update(shown);
    setHidden(setText(button, `Show ${count} new`), false);
    clearTimeout(timer);
    if (!open) timer = setTimeout(update, STILL);
  };
  container.addEventListener("pointermove", () => {
    moved = performance.now();
  });
  button.addEventListener("click", () => {
    showAll();
    container.querySelector("button")?.focus();
  });
  return {
    button,
    /** Show *items*; at once if the user has asked for them. */
    update(items, { asked = false } = {}) {
      latest = items;
      if (asked) showAll();
      else update();
    },
  };
}

/** Return all items of a list that has few of them. */
export async function getAll(path) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(path, { limit: 200, cursor });
    items.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor && items.length < MANY);
  return items;
}

/**
 * Return `{request, cancel}`. `request()` calls the asynchronous function *run* now or, if it runs already or was called
 * less than *interval* milliseconds ago, once after that: it never runs twice at once. A slow server is asked less
 * often. Errors are passed to *onError*; `cancel()` drops what was requested and has not begun.
 */
export function refresher(run, { interval = 300, onError = showError } = {}) {
  let timer = 0;
  let busy = false;
  let again = false;
  let next = 0; // when it may run again
  const start = async () => {
    timer = 0;
    busy = true;
    again = false;
    const began = performance.now();
    try {
      await run();
    } catch (error) {
      onError(error);
    } finally {
      next = began + Math.max(interval, 3 * (performance.now() - began));
      busy = false;
      if (again) request();
    }
  };
  const request = () => {
    if (busy) again = true;
    else if (timer === 0) timer = setTimeout(start, Math.max(0, next - performance.now()));
  };
  const cancel = () => {
    clearTimeout(timer);
    timer = 0;
    again = false;
  };
  return { request, cancel };
}

/** A table with a caption for screen readers; `body` is its tbody. */
export function table(caption, columns) {
  const body = element("tbody");
  const head = columns.map(([label, kind]) => element("th", { scope: "col", class: kind ?? "", text: label }));
  const node = element(
    "div",
    { class: "table-scroll", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      { class: "table" },
      element("caption", { class: "visually-hidden", text: caption }),
      element("thead", {}, element("tr", {}, ...head)),
      body,
    ),
  );
  return { node, body };
}

/**
 * A list that is fetched page by page. `fetch(cursor)` returns `{data, next_cursor}`; *show* gets the items of the page
 * that is shown, `{first, asked}`: whether it is the first page, and whether the user has asked for it. `refresh()`
 * fetches the page anew, and `restart()` the first one because the user asks for it.
 */
export function pages(fetch, show, { label, words = ["Newest", "Older", "Newest first"] }) {
  const trail = [null];
  let following = null;
  const start = element("button", { type: "button", class: "button small", text: words[0] });
  const next = element("button", { type: "button", class: "button small", text: words[1] });
  const where = element("span", { class: "pages-where", role: "status" });
  const node = element("nav", { class: "pages", aria: { label }, hidden: true }, where, start, next);
  let turn = 0;
  let wanted = false; // whether the user waits for the page
  const load = async (asked) => {
    turn += 1;
    const mine = turn;
    wanted ||= asked;
    const page = await fetch(trail.at(-1));
    if (mine !== turn) return;
    const first = trail.length === 1;
    following = page.next_cursor;
    show(page.data, { first, asked: wanted });
    wanted = false;
    setHidden(node, first && !following);
    start.disabled = first;
    next.disabled = !following;
    setText(where, first ? words[2] : `Page ${trail.length}`);
  };
  const restart = () => {
    trail.length = 1;
    load(true).catch(showError);
  };
  start.addEventListener("click", restart);
  next.addEventListener("click", () => {
    if (!following) return;
    trail.push(following);
    void load(true).catch(showError);
  });
  return { node, restart, refresh: () => load(false) };
}
