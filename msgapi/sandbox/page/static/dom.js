// Elements, icons, dialogs, menus and formats that all tabs use.
//
// Rules:
// - Text becomes a text node, never markup: nothing here or in a tab assigns innerHTML.
// - The CSP allows no style attributes: what depends on data is set with `node.style.setProperty`.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return a new element. `properties` are `class` (text or a list), `text`, `on` ({event: listener}), `data`, `aria`
 * ({label: ...}) and attributes; an attribute that is null, undefined or false is left out. Children are nodes, texts,
 * lists of them, or null.
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = Array.isArray(value) ? value.filter(Boolean).join(" ") : value;
    else if (name === "text") node.textContent = value;
    else if (name === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "data") for (const [key, part] of Object.entries(value)) node.dataset[key] = part;
    else if (name === "aria") for (const [key, part] of Object.entries(value)) setAria(node, key, part);
    else if (name === "value") node.value = value;
    else if (name === "checked") node.checked = value;
    else if (name === "style" || name.startsWith("on")) throw new TypeError(`element() does not take ${name}`);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function setAria(node, name, value) {
  if (value !== null && value !== undefined) node.setAttribute(`aria-${name}`, String(value));
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child);
  }
}

/** Replace all children of a node. */
export function replace(node, ...children) {
  const made = document.createDocumentFragment();
  append(made, children);
  node.replaceChildren(made);
  return node;
}

const ICONS = {
  alert:
    "M12 8v5M12 16.500v.01M10.3 3.9 2.5 17.500A2 2 0 0 0 4.2 20.500h15.600a2 2 0 0 0 1.7-3L13.7 3.900a2 2 0 0 0-3.4 0z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  back: "M15 5l-7 7 7 7",
  calendar:
    "M5 6.500h14a1.5 1.5 0 0 1 1.5 1.500v10.500A1.5 1.5 0 0 1 19 20H5a1.5 1.5 0 0 1-1.5-1.500V8A1.5 1.5 0 0 1 5 6.500zM3.5 11h17M8 4v4M16 4v4",
  check: "M5 12.500l4.5 4.500L19 7.5",
  "check-double": "M2.5 12.800l4 4.200L15 8M11.5 15.500l1.5 1.5 8.5-9",
  "chevron-left": "M15 5l-7 7 7 7",
  "chevron-right": "M9 5l7 7-7 7",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10.500v11.500H9zM15 9V3.500H4.500V15H9",
  "arrow-down": "M12 5v14M6 13l6 6 6-6",
  "arrow-up": "M12 19V5M6 11l6-6 6 6",
  external: "M14 4h6v6M20 4l-9 9M18 14v5.500H4.500V6H10",
  file: "M6 3.500h8l4.5 4.500v12.500H6zM14 3.500V8h4.5",
  globe: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c5 5 5 13 0 18M12 3c-5 5-5 13 0 18",
  help: "M9 9a3 3 0 1 1 4.5 2.600c-1 .6-1.5 1.2-1.5 2.400M12 17.500v.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  image: "M4 4.500h16v15H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9v.01",
  info: "M12 11v5.500M12 7.500v.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  mail: "M3.5 6h17v12.500h-17zM3.5 7l8.5 6.500L20.5 7",
  moon: "M20 14.500A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.500z",
  more: "M5.5 12v.01M12 12v.01M18.5 12v.01",
  panel: "M3.5 5h17v14h-17zM15 5v14",
  pause: "M8 5v14M16 5v14",
  phone:
    "M7.5 2.500h9A1.5 1.5 0 0 1 18 4v16a1.5 1.5 0 0 1-1.5 1.500h-9A1.5 1.5 0 0 1 6 20V4a1.5 1.5 0 0 1 1.5-1.500zM11 18.500h2",
  call: "M5 4h4l1.5 5-2.5 1.500a11 11 0 0 0 5.5 5.500L15 13.500l5 1.500v4a1.5 1.5 0 0 1-1.6 1.500C10.5 20 4 13.5 3.5 5.600A1.5 1.5 0 0 1 5 4z",
  pin: "M12 21c4.5-4.7 7-8.2 7-11.200A7 7 0 0 0 5 9.800c0 3 2.5 6.5 7 11.200zM12 12.500a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  play: "M7 4.500v15l12-7.500z",
  plus: "M12 5v14M5 12h14",
  reply: "M9 6L4 11l5 5M4 11h9a7 7 0 0 1 7 7v1",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.500l5 5",
  send: "M4 12l16-8-5.5 16-3-6.500zM11.5 13.500L20 4",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.500v2M12 19.500v2M2.5 12h2M19.5 12h2M5.3 5.300l1.4 1.400M17.3 17.300l1.4 1.400M5.3 18.700l1.4-1.400M17.3 6.700l1.4-1.4",
  terminal: "M4 5h16v14H4zM7.5 9.500l3 2.5-3 2.500M12.5 15h4",
  undo: "M8 5L4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11H8",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.500a7.5 7.5 0 0 1 15 0",
  video: "M3.5 6.500h12v11h-12zM15.5 10.500l5-3v9l-5-3",
};

/** Return an icon, which screen readers ignore. */
export function icon(name) {
  const node = document.createElementNS(SVG, "svg");
  node.setAttribute("viewBox", "0 0 24 24");
  node.setAttribute("class", `icon icon-${name}`);
  node.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.info);
  node.append(path);
  return node;
}

/** Return a small label; `kind` is `ok`, `warn`, `bad`, `info`, or nothing for grey. */
export function badge(text, kind = "") {
  return element("span", { class: ["badge", kind], text });
}

/** Return a button that copies a text, or the result of a function. */
export function copyButton(text, label = "Copy") {
  const button = element(
    "button",
    { type: "button", class: "icon-button small", aria: { label }, title: label },
    icon("copy"),
  );
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    if (!(await copy(typeof text === "function" ? text() : text))) return;
    replace(button, icon("check"));
    setTimeout(() => replace(button, icon("copy")), 1500);
  });
  return button;
}

/** Copy a text, show a message, and return whether it worked. */
export async function copy(text) {
  try {
    await writeClipboard(text);
  } catch {
    toast("The browser did not allow the copy. Select the text and copy it.", "bad");
    return false;
  }
  toast("Copied", "ok");
  return true;
}

async function writeClipboard(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Over plain http on another address than loopback, browsers have no clipboard object.
  const area = element("textarea", { class: "visually-hidden", value: text, aria: { hidden: "true" } });
  const before = document.activeElement;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus?.();
  if (!done) throw new Error("not copied");
}

/** Return a block of code with a button that copies it. */
export function codeBlock(text, label = "Copy the code") {
  const code = element("code", { text });
  const scroller = element("pre", { tabindex: "0", role: "group", aria: { label: label.replace(/^Copy /, "") } }, code);
  return element("div", { class: "code-block" }, scroller, copyButton(text, label));
}

/** Return what is shown in place of a list that has nothing: a title, a text, and commands to copy. */
export function emptyState({ iconName = "info", title, text, code, action }) {
  return element(
    "div",
    { class: "empty" },
    element("div", { class: "empty-icon" }, icon(iconName)),
    element("h2", { text: title }),
    text ? element("p", { text }) : null,
    code ? codeBlock(code, "Copy the commands") : null,
    action ?? null,
  );
}

const TOASTS = 3;

/** Show a message for some seconds; an error stays longer. `kind` is `ok`, `bad` or `info`. */
export function toast(text, kind = "info") {
  const area = document.getElementById("toasts");
  const name = { ok: "check", bad: "alert" }[kind] ?? "info";
  const close = element(
    "button",
    { type: "button", class: "icon-button small", aria: { label: "Dismiss" } },
    icon("close"),
  );
  const node = element("div", { class: ["toast", kind] }, icon(name), element("span", { text }), close);
  const remove = () => node.remove();
  close.addEventListener("click", remove);
  setTimeout(remove, kind === "bad" ? 9000 : 2500);
  while (area.children.length >= TOASTS) area.firstChild.remove();
  // An open dialog is above everything else: without a popover, the message would be hidden by it.
  area.append(node);
  if (area.showPopover) {
    area.popover = "manual";
    if (area.matches(":popover-open")) area.hidePopover();
    area.showPopover();
  }
}

let dialogs = 0;

/**
 * Open a modal dialog and return it; `close()` closes it. Escape and a click beside it close it, and the focus returns
 * to where it was.
 */
export function dialog({ title, body, onClose }) {
  const id = `dialog-${(dialogs += 1)}`;
  const before = document.activeElement;
  const close = element("button", { type: "button", class: "icon-button", aria: { label: "Close" } }, icon("close"));
  const node = element(
    "dialog",
    { class: "dialog", aria: { labelledby: id } },
    element("header", {}, element("h2", { id, text: title }), close),
    element("div", { class: "dialog-body" }, body),
  );
  close.addEventListener("click", () => node.close());
  node.addEventListener("click", (event) => {
    if (event.target === node && outside(node, event)) node.close();
  });
  node.addEventListener("close", () => {
    node.remove();
    onClose?.();
    if (before?.isConnected) before.focus({ preventScroll: true });
  });
  document.body.append(node);
  node.showModal();
  return node;
}

function outside(node, event) {
  const box = node.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

/**
 * Ask for confirmation, with a field if `field` is {label, type, value, required}, or {label, options} for a choice of
 * texts; return the text (or true), or null if it was cancelled.
 */
export function ask({ title, text, field, confirm = "OK", danger = false }) {
  return new Promise((resolve) => {
    let answer = null;
    const input = field ? createInput(field) : null;
    const form = element(
      "form",
      { method: "dialog", class: "form" },
      text ? element("p", { text }) : null,
      field ? element("label", { class: "field" }, element("span", { text: field.label }), input) : null,
      element(
        "div",
        { class: "form-actions" },
        element("button", { type: "button", class: "button", text: "Cancel", on: { click: () => shown.close() } }),
        element("button", { type: "submit", class: ["button", danger ? "danger" : "primary"], text: confirm }),
      ),
    );
    form.addEventListener("submit", () => {
      answer = input ? input.value : true;
    });
    const shown = dialog({ title, body: form, onClose: () => resolve(answer) });
    (input ?? form.querySelector("button[type=submit]")).focus();
  });
}

function createInput({ type = "text", value = "", required = false, options = null }) {
  if (options === null) return element("input", { class: "input", type, value, required });
  const entries = options.map((one) => element("option", { value: one, text: one }));
  return element("select", { class: "input" }, entries);
}

let menus = 0;

/**
 * Open a menu at a button. `items` are {text, icon, kind, disabled, run}, or null for a line between. Arrow keys move,
 * Escape closes, and the focus returns to the button.
 */
export function menu(anchor, items) {
  closeMenu();
  const id = `menu-${(menus += 1)}`;
  const node = element("div", {
    class: "menu",
    role: "menu",
    id,
    popover: "manual",
    aria: { label: anchor.getAttribute("aria-label") ?? "Menu" },
  });
  for (const item of items) {
    if (item === null) {
      node.append(element("div", { class: "menu-line", role: "separator" }));
      continue;
    }
    const entry = element(
      "button",
      { type: "button", role: "menuitem", tabindex: "-1", class: item.kind, disabled: item.disabled },
      item.icon ? icon(item.icon) : null,
      element("span", { text: item.text }),
    );
    entry.addEventListener("click", () => {
      closeMenu();
      item.run();
    });
    node.append(entry);
  }
  (anchor.closest("dialog[open]") ?? document.body).append(node);
  anchor.setAttribute("aria-expanded", "true");
  node.showPopover?.();
  place(node, anchor);
  const entries = [...node.querySelectorAll("button:not(:disabled)")];
  entries[0]?.focus({ preventScroll: true });
  node.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + entries.length, Home: 0, End: entries.length - 1 }[event.key];
    event.stopPropagation();
    if (to !== undefined) entries[to % entries.length]?.focus();
    else if (event.key !== "Escape" && event.key !== "Tab") return;
    else closeMenu();
    event.preventDefault();
  });
  const away = (event) => {
    if (!node.contains(event.target)) closeMenu(anchor.contains(event.target));
  };
  openMenu = { node, anchor, away };
  setTimeout(() => {
    document.addEventListener("pointerdown", away, true);
    document.addEventListener("wheel", away, true);
  });
  return node;
}

let openMenu = null;

function closeMenu(keep = true) {
  if (openMenu === null) return;
  const { node, anchor, away } = openMenu;
  openMenu = null;
  document.removeEventListener("pointerdown", away, true);
  document.removeEventListener("wheel", away, true);
  anchor.setAttribute("aria-expanded", "false");
  const inside = node.contains(document.activeElement);
  node.remove();
  if (keep && inside) anchor.focus({ preventScroll: true });
}

function place(node, anchor) {
  const box = anchor.getBoundingClientRect();
  const width = node.offsetWidth;
  const height = node.offsetHeight;
  const left = Math.min(Math.max(8, box.right - width), innerWidth - width - 8);
  const top = box.bottom + height + 8 > innerHeight ? Math.max(8, box.top - height - 4) : box.bottom + 4;
  node.style.setProperty("left", `${left}px`);
  node.style.setProperty("top", `${top}px`);
}

const TINTS = 6;

/** Return the picture of a recipient: an icon of the channel, in one of six colours that the name decides. */
export function avatar(name, email) {
  let hash = 7;
  for (const one of name) hash = (hash * 31 + one.codePointAt(0)) % 9973;
  return element("span", { class: `avatar tint-${hash % TINTS}` }, icon(email ? "mail" : "phone"));
}

const DATE_TIME = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const TIME_SECONDS = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const DAY_TIME = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** Return a time for people, in their time zone: the day and the time. */
export function formatTime(iso) {
  return format(DATE_TIME, iso);
}

/** Return the time of a day; with seconds if *seconds*. */
export function formatClock(iso, seconds = false) {
  return format(seconds ? TIME_SECONDS : TIME, iso);
}

/** Return the day of a time in full. */
export function formatDay(iso) {
  return format(DAY, iso);
}

/** Return a short form: the time if it is today, else the day. */
export function formatShort(iso) {
  return isToday(iso) ? format(TIME, iso) : format(SHORT_DAY, iso);
}

/** Return when something ends: the time, with the day of the week if it is not today. */
export function formatUntil(iso) {
  return isToday(iso) ? format(TIME, iso) : format(DAY_TIME, iso);
}

function isToday(iso) {
  return new Date(iso).toDateString() === new Date().toDateString();
}

function format(formatter, iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : formatter.format(date);
}

/** Return a `time` element. */
export function timeElement(iso, text = formatTime(iso)) {
  return element("time", { datetime: iso, title: formatTime(iso), text });
}

/** Return an amount in EUR, with two to four decimal places. */
export function money(amount) {
  const value = Number(amount);
  if (amount === null || amount === undefined || Number.isNaN(value)) return "–";
  return `€${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 })}`;
}

/** Call *run* when a node is scrolled, at most once a frame. */
export function onScroll(node, run) {
  let frame = 0;
  const later = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      run();
    });
  };
  node.addEventListener("scroll", later, { passive: true });
}

/** Return a function that calls *run* once, *delay* milliseconds after its last call. */
export function debounce(run, delay) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), delay);
  };
}

/** Return a value kept in the browser, or *fallback*. */
export function recall(name, fallback = "") {
  try {
    return localStorage.getItem(`msgapi.${name}`) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Keep a value in the browser, if it has a storage. */
export function remember(name, value) {
  try {
    localStorage.setItem(`msgapi.${name}`, value);
  } catch {
    // The choice is lost with the page, which the page can do without.
  }
}
