// The content of a message as a phone shows it: text, suggestions, cards, carousels, media, and mails.
//
// Rules:
// - Everything here comes from a message: it becomes text or the value of an attribute, never markup.
// - An address becomes a link only if it is http or https, and opens in a new tab without a referrer. Nothing is loaded
//   from it: media are shown as tiles.
// - A mail is shown in a frame with an empty `sandbox` attribute, from an address of its own with a CSP of its own.

import { element, icon, replace } from "./dom.js";
import { choices } from "./widgets.js";

const LINK = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g;
const ACTIONS = {
  dial: { image: "call", target: (inner) => (inner.phone_number ? { text: `Dials ${inner.phone_number}` } : null) },
  open_url: { image: "external", target: (inner) => link(inner.url, "Opens") },
  open_url_in_webview: { image: "globe", target: (inner) => link(inner.url, "Opens in the app") },
  view_location: { image: "pin", target: mapLocation },
  share_location: { image: "pin", target: () => ({ text: "Shares the location of the phone" }) },
  create_calendar_event: { image: "calendar", target: calendarEvent },
};
const KINDS = {
  video: { image: "video", name: "Video", endings: ["mp4", "m4v", "mpeg", "webm", "mov", "3gp"] },
  gif: { image: "image", name: "GIF", endings: ["gif"] },
  image: { image: "image", name: "Image", endings: ["jpg", "jpeg", "png", "webp", "avif", "svg", "heic"] },
  file: { image: "file", name: "File", endings: ["pdf", "txt", "csv", "zip", "ics", "vcf", "mp3", "ogg", "aac"] },
};
const TEXT_LENGTH = 4000; // characters of a mail's text that are shown before a click

/** Return the address if it is http or https, else null. */
function webAddress(value) {
  if (typeof value !== "string") return null;
  try {
    const url = new URL(value);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Return a link that opens in a new tab, or just its text if the address is not one of the web. */
function externalLink(address, properties, ...children) {
  const href = webAddress(address);
  if (href === null) return element("span", properties, ...children);
  return element("a", { ...properties, href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/** Return text whose web addresses are links. */
function linkedText(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(at, match.index), externalLink(match[0], {}, match[0]));
    at = match.index + match[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

/**
 * Return the content of a message: `{node, suggestions}`. `node` is what is shown, and `suggestions` the node with the
 * chips, or null. `tap(text, button)` is called when a suggestion is tapped.
 */
export function renderContent(message, tap) {
  const content = message.content ?? {};
  const card = content.rich_card?.standalone;
  const cards = content.rich_card?.carousel?.cards;
  if (message.channel === "EMAIL") return { node: mail(message), suggestions: null };
  if (Array.isArray(cards)) return { node: carousel(content.rich_card.carousel, tap), suggestions: null };
  if (isObject(card)) return { node: standalone(card, tap), suggestions: null };
  const suggestions = list(content.suggestions);
  return {
    node: bubble(message, content),
    suggestions: suggestions.length
      ? element(
          "div",
          { class: "chips" },
          suggestions.map((one) => chip(one, tap)),
        )
      : null,
  };
}

/** Allow the suggestions of a message to be tapped, those whose texts are in `texts`. */
export function allowTaps(node, texts) {
  const allowed = new Set(texts);
  for (const button of node.querySelectorAll("button[data-tap]")) {
    button.disabled = !allowed.has(button.dataset.tap);
  }
}

/** Return the summary of a content for screen readers, such as "carousel of 3 cards". */
export function describeContent(message) {
  const content = message.content ?? {};
  if (message.channel === "EMAIL") return `mail ${message.subject ?? ""}`;
  const carouselCards = list(content.rich_card?.carousel?.cards);
  if (carouselCards.length) return `carousel of ${carouselCards.length} cards`;
  if (content.rich_card) return `card ${cardOf(content.rich_card.standalone)?.title ?? ""}`;
  return typeof content.text === "string" ? content.text.slice(0, 80) : "message";
}

function bubble(message, content) {
  const tapped = message.direction === "INBOUND" && message.content_type === "INTERACTIVE";
  const parts = [];
  if (isObject(content.media)) parts.push(media(content.media));
  if (typeof content.text === "string") parts.push(element("p", { class: "text" }, linkedText(content.text)));
  if (parts.length === 0) parts.push(unknown(content));
  if (tapped) {
    const title = content.postback_data
      ? `Tapped suggestion. Postback data: ${postback(content.postback_data)}`
      : "Tapped suggestion";
    parts.push(
      element(
        "p",
        { class: "tapped", title },
        icon("reply"),
        content.postback_data ? postback(content.postback_data) : "tapped",
      ),
    );
  }
  return element("div", { class: "bubble" }, parts);
}

// Postback data is base64 of UTF-8; what is not, is shown as it is.
function postback(data) {
  try {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return String(data);
  }
}

function unknown(content) {
  return element("pre", { class: "unknown", text: JSON.stringify(content, null, 2) });
}

// Suggestions

function chip(suggestion, tap) {
  const reply = isObject(suggestion?.reply) ? suggestion.reply : null;
  const action = isObject(suggestion?.action) ? suggestion.action : null;
  const text = String((reply ?? action)?.text ?? "");
  const [name, kind] = Object.entries(ACTIONS).find(([one]) => action !== null && one in action) ?? [null, null];
  const target = kind === null ? null : kind.target(isObject(action[name]) ? action[name] : {});
  const title =
    target?.text ?? (reply?.postback_data ? `Replies with the postback data ${postback(reply.postback_data)}` : null);
  const button = element(
    "button",
    { type: "button", class: "chip", data: { tap: text }, title, disabled: true },
    kind === null || target?.href ? null : icon(kind.image),
    element("span", { text }),
  );
  button.addEventListener("click", () => tap(text, button));
  if (!target?.href) return button;
  const open = externalLink(
    target.href,
    { class: "chip-open", title: target.text, aria: { label: `${text}: open in a new tab` } },
    icon(kind.image),
  );
  return element("span", { class: "chip-pair" }, button, open);
}

function link(url, verb) {
  return typeof url === "string" ? { text: `${verb} ${url}`, href: webAddress(url) } : null;
}

function mapLocation(inner) {
  const { latitude, longitude } = inner;
  if (typeof latitude !== "number" || typeof longitude !== "number") return null;
  const place = `${latitude}, ${longitude}${inner.label ? ` (${inner.label})` : ""}`;
  return { text: `Shows ${place} on the map` };
}

function calendarEvent(inner) {
  const when = [inner.start_time, inner.end_time].filter(Boolean).join(" to ");
  return { text: ["Creates the event", inner.title, when, inner.description].filter(Boolean).join(" · ") };
}

// Cards

function cardOf(value) {
  // The log of the API shows a card with or without `content` around its parts.
  return isObject(value?.content) ? value.content : value;
}

function standalone(value, tap) {
  const horizontal = value.orientation === "HORIZONTAL";
  return card(cardOf(value), tap, horizontal ? "horizontal" : "vertical");
}

function card(given, tap, layout) {
  const parts = isObject(given) ? given : {};
  const suggestions = list(parts.suggestions);
  const texts = [
    parts.title ? element("h4", { class: "card-title", text: String(parts.title) }) : null,
    parts.description ? element("p", { class: "card-text" }, linkedText(String(parts.description))) : null,
  ].filter(Boolean);
  return element(
    "div",
    { class: ["rich-card", layout] },
    element(
      "div",
      { class: "card-main" },
      isObject(parts.media) ? media(parts.media) : null,
      texts.length ? element("div", { class: "card-body" }, texts) : null,
    ),
    suggestions.length
      ? element(
          "div",
          { class: "card-actions" },
          suggestions.map((one) => chip(one, tap)),
        )
      : null,
  );
}

let carousels = 0;

function carousel(given, tap) {
  const cards = list(given.cards);
  const id = `carousel-${(carousels += 1)}`;
  const items = cards.map((one, at) =>
    element("li", { class: "slide", aria: { label: `Card ${at + 1} of ${cards.length}` } }, card(one, tap, "vertical")),
  );
  const strip = element(
    "ul",
    {
      class: ["slides", given.card_width === "SMALL" ? "small" : "medium"],
      id,
      tabindex: "0",
      aria: { label: "Cards" },
    },
    items,
  );
  let target = null; // the card to which the strip moves, so that fast clicks add up
  const current = () => {
    const found = items.findIndex((one) => one.offsetLeft + one.offsetWidth / 2 > strip.scrollLeft);
    return found < 0 ? items.length - 1 : found;
  };
  const turn = (step) => {
    target = Math.max(0, Math.min(items.length - 1, (target ?? current()) + step));
    strip.scrollTo({ left: items[target].offsetLeft - items[0].offsetLeft });
  };
  const button = (step, name, label) =>
    element(
      "button",
      { type: "button", class: ["slide-button", name], aria: { label, controls: id }, on: { click: () => turn(step) } },
      icon(`chevron-${name}`),
    );
  const left = button(-1, "left", "Previous card");
  const right = button(1, "right", "Next card");
  const position = element("p", { class: "slide-position", aria: { hidden: "true" } });
  const update = () => {
    left.disabled = strip.scrollLeft < 4;
    right.disabled = strip.scrollLeft + strip.clientWidth > strip.scrollWidth - 4;
    const first = current();
    replace(
      position,
      items.map((_, at) => element("span", { class: at === first ? "on" : "" })),
    );
  };
  strip.addEventListener("scroll", update, { passive: true });
  for (const event of ["scrollend", "wheel", "pointerdown"]) {
    strip.addEventListener(
      event,
      () => {
        target = null;
      },
      { passive: true },
    );
  }
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || event.target !== strip) return;
    event.preventDefault();
    event.stopPropagation();
    turn(step);
  });
  requestAnimationFrame(update);
  return element(
    "div",
    {
      class: "carousel",
      role: "group",
      aria: { roledescription: "carousel", label: `Carousel of ${cards.length} cards` },
    },
    strip,
    left,
    right,
    position,
  );
}

// Media

/** Return the last part of the path of an address, decoded. */
function fileName(address) {
  try {
    const part = new URL(address).pathname.split("/").filter(Boolean).pop() ?? "";
    return decodeURIComponent(part);
  } catch {
    return String(address);
  }
}

function kindOf(address) {
  const ending = fileName(address).split(".").pop().toLowerCase();
  return Object.values(KINDS).find((one) => one.endings.includes(ending)) ?? KINDS.image;
}

function media(given) {
  const url = given.url ?? given.file_url ?? "";
  const kind = kindOf(url);
  const height = { SHORT: "short", MEDIUM: "medium", TALL: "tall" }[given.height] ?? "medium";
  const name = fileName(url);
  let host = "";
  try {
    host = new URL(url).host;
  } catch {
    // The service refuses such an address; an older log may have one.
  }
  return externalLink(
    url,
    {
      class: ["media", height],
      title: String(url),
      aria: { label: `${kind.name} ${name} at ${host}: open in a new tab` },
    },
    element("span", { class: "media-icon" }, icon(kind.image)),
    element("span", { class: "media-name", text: name || kind.name }),
    element("span", { class: "media-host", text: host }),
    element("span", { class: "media-open", aria: { hidden: "true" } }, icon("external")),
  );
}

// Mails

function mail(message) {
  const content = message.content ?? {};
  const path = `/_sandbox/messages/${encodeURIComponent(message.id)}/mail`;
  const open = element(
    "a",
    { class: "button small", href: path, target: "_blank", rel: "noopener" },
    icon("external"),
    "Open in a new tab",
  );
  const body = element("div", { class: "mail-body" });
  if (message.has_html) {
    const frame = () => mailFrame(path, message.subject);
    const area = element("div", {}, frame());
    const show = (make) => {
      releaseContent(area);
      replace(area, make());
    };
    const views = [
      { text: "HTML", value: frame },
      { text: "Text", value: () => mailText(content.text) },
    ];
    const parts = content.text ? choices("Part of the mail", views, show) : null;
    body.append(element("div", { class: "mail-tools" }, parts, open), area);
  } else if (content.template_id) {
    body.append(template(content));
  } else if (typeof content.text === "string") {
    body.append(mailText(content.text));
  } else {
    body.append(unknown(content));
  }
  return element(
    "div",
    { class: "mail" },
    element(
      "header",
      {},
      element("h4", {
        text: message.subject ?? (content.template_id ? "Subject of the template" : "No subject"),
        class: message.subject ? null : "muted",
      }),
      element("p", { class: "muted truncate", text: `${message.sender_name ?? message.sender} to ${message.to}` }),
    ),
    body,
  );
}

function template(content) {
  const data = isObject(content.template_data) ? content.template_data : null;
  return element(
    "div",
    { class: "mail-template" },
    element(
      "p",
      {},
      icon("file"),
      element(
        "span",
        {},
        "Template ",
        element("code", { text: content.template_id }),
        content.template_version ? `, version ${content.template_version}` : ", latest version",
      ),
    ),
    data ? unknown(data) : null,
  );
}

function mailText(text) {
  const box = element("div", { class: "mail-text" }, linkedText(text.slice(0, TEXT_LENGTH)));
  if (text.length <= TEXT_LENGTH) return box;
  const more = element("button", {
    type: "button",
    class: "button small",
    text: `Show all ${text.length.toLocaleString("en-US")} characters`,
  });
  more.addEventListener("click", () => replace(box, linkedText(text)));
  return element("div", {}, box, more);
}

// A frame is a document of its own: it is made once the mail was visible for a moment, not while many mails pass by.
const DWELL = 250;
const seen = new Map(); // frame placeholder -> [timer, show]
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const known = seen.get(entry.target);
    if (known === undefined) continue;
    clearTimeout(known.timer);
    if (!entry.isIntersecting) continue;
    known.timer = setTimeout(() => {
      seen.delete(entry.target);
      observer.unobserve(entry.target);
      if (entry.target.isConnected) known.show();
    }, DWELL);
  }
});

function mailFrame(path, subject) {
  const box = element("div", { class: "mail-frame" });
  seen.set(box, {
    timer: 0,
    show: () =>
      replace(
        box,
        element("iframe", { src: path, sandbox: "", referrerpolicy: "no-referrer", title: `Mail ${subject ?? ""}` }),
      ),
  });
  observer.observe(box);
  return box;
}

/** Forget the parts of a message that is no longer shown. */
export function releaseContent(node) {
  for (const box of node.querySelectorAll(".mail-frame")) {
    clearTimeout(seen.get(box)?.timer);
    seen.delete(box);
    observer.unobserve(box);
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value) {
  return Array.isArray(value) ? value : [];
}
