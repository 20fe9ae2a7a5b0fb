// The sections Overview (balance, clock, rate limits, holds) and Ledger.
//
// Rules:
// - The clock and the gauges tick here; they are not announced by a screen reader.
// - A window of the rate limit that has ended is shown as full, until the next answer says otherwise.

import { get, post } from "./api.js";
import { element, emptyState, formatTime, money } from "./dom.js";
import { keyedList, liveRows, pages, refresher, table } from "./lists.js";
import {
  action,
  copyable,
  field,
  form,
  panel,
  readNumber,
  setAttribute,
  setHidden,
  setText,
  stateBadge,
  timeNode,
} from "./widgets.js";

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const PEAK = 60_000; // milliseconds in which the highest use of a window is remembered

/** Create the section Overview. */
export function createOverview(context) {
  const left = [createBalance(context), createGauges(context), createCounts()];
  const right = [createClock(context), createHolds()];
  const parts = [...left, ...right];
  const column = (list) => element("div", { class: "stack" }, ...list.map((one) => one.node));
  const node = element("div", { class: "grid" }, column(left), column(right));
  return {
    id: "overview",
    label: "Overview",
    node,
    account(account) {
      for (const one of parts) one.account(account);
    },
    tick() {
      for (const one of parts) one.tick?.();
    },
  };
}

function figure(label, kind = "") {
  const value = element("dd", { class: "figure-value", text: "–" });
  const node = element("div", { class: `figure ${kind}` }, element("dt", { text: label }), value);
  return { node, update: (text) => setText(value, text) };
}

function createBalance(context) {
  const figures = { free: figure("Free", "figure-main"), reserved: figure("Reserved"), total: figure("Total") };
  const amount = field("Top up by", { name: "amount", inputmode: "decimal", placeholder: "50", suffix: "EUR" });
  const topup = form(
    "Top up",
    [amount],
    async (given) => {
      await post("/_sandbox/topup", { amount: readNumber(given.amount, "amount", { least: 0.0001 }) });
      context.reload();
    },
    { kind: "primary", done: "The balance is topped up." },
  );
  const free = field("Set the free balance to", {
    name: "free",
    inputmode: "decimal",
    placeholder: "0",
    suffix: "EUR",
  });
  const set = form(
    "Set",
    [free],
    async (given) => {
      await post("/_sandbox/balance", { free: readNumber(given.free, "free") });
      context.reload();
    },
    { done: "The free balance is set.", describe: "Set the free balance" },
  );
  const prices = element("dl", { class: "pairs" });
  const rows = keyedList(prices, {
    key: ([unit]) => unit,
    create: ([unit]) => {
      const value = element("dd");
      const node = element("div", {}, element("dt", { text: unit.replaceAll("_", " ") }), value);
      return { node, update: ([, price]) => setText(value, money(price)) };
    },
  });
  const node = panel(
    "Balance",
    {},
    element("dl", { class: "figures" }, ...Object.values(figures).map((one) => one.node)),
    element("div", { class: "forms balance" }, topup.node, set.node),
    element("details", { class: "more" }, element("summary", { text: "Prices" }), prices),
  );
  return {
    node,
    account(account) {
      for (const [name, one] of Object.entries(figures)) one.update(money(account.balance[name]));
      rows.update(Object.entries(account.prices));
    },
  };
}

function createClock(context) {
  const state = stateBadge("running");
  const time = element("time", { class: "clock-time", text: "–" });
  const offset = element("p", { class: "remark" });
  let paused = false;
  const toggle = action("Pause", async () => {
    await post("/_sandbox/clock", { paused: !paused });
    context.reload();
  });
  const forward = (label, seconds) =>
    action(
      label,
      async () => {
        await post("/_sandbox/clock", { advance: seconds });
        context.reload();
      },
      { describe: `Forward by ${label.replace("+", "")}`, done: `The clock is forward by ${label.replace("+", "")}.` },
    ).node;
  const node = panel(
    "Clock",
    {
      aside: state.node,
      description: "After a step forward, what is due by then happens at once: deliveries, expiry, webhooks.",
    },
    element("p", { class: "clock" }, time),
    offset,
    element(
      "div",
      { class: "buttons" },
      toggle.node,
      forward("+1 minute", MINUTE),
      forward("+1 hour", HOUR),
      forward("+1 day", DAY),
    ),
  );
  return {
    node,
    account({ clock }) {
      ({ paused } = clock);
      state.update(paused ? "paused" : "running");
      toggle.update(paused ? "Resume" : "Pause");
      const ahead = Math.round(clock.offset);
      setText(
        offset,
        ahead === 0
          ? "The time of this machine."
          : `${duration(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"} this machine.`,
      );
    },
    tick() {
      const iso = new Date(context.now()).toISOString();
      setText(time, formatTime(iso));
      time.setAttribute("datetime", iso);
      time.setAttribute("title", iso);
    },
  };
}

/** Return seconds in words: at most two units. */
function duration(seconds) {
  const units = [
    ["d", DAY],
    ["h", HOUR],
    ["min", MINUTE],
    ["s", 1],
  ];
  const words = [];
  let rest = Math.round(seconds);
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count && words.length < 2) words.push(`${count} ${unit}`);
  }
  return words.join(" ") || "0 s";
}

function createGauges(context) {
  const list = element("ul", { class: "gauges" });
  const gauges = keyedList(list, { key: (one) => one.endpoint_class, create: (one) => createGauge(one, context) });
  return {
    node: panel("Rate limits", {}, list),
    account: ({ rate_limits: limits }) => gauges.update(limits),
    tick() {
      for (const one of gauges.entries().values()) one.tick();
    },
  };
}

function createGauge({ endpoint_class: name }, context) {
  const bar = element("span", { class: "gauge-bar" });
  const label = name.replaceAll("_", " ");
  const meter = element(
    "span",
    { class: "gauge", role: "meter", "aria-label": `Used by ${label}`, "aria-valuemin": "0" },
    bar,
  );
  const used = element("span", { class: "gauge-used" });
  const hint = element("span", { class: "gauge-hint" });
  const node = element("li", {}, element("span", { class: "gauge-label", text: label }), meter, used, hint);
  let limit = null;
  let peak = { used: 0, at: 0 };
  const tick = () => {
    const left = Date.parse(limit.reset) - context.now();
    const now = left <= 0 ? 0 : limit.limit - limit.remaining;
    if (now >= peak.used || performance.now() - peak.at > PEAK) peak = { used: now, at: performance.now() };
    const share = limit.limit ? now / limit.limit : 0;
    bar.style.setProperty("--share", String(Math.min(share, 1)));
    node.dataset.level = share >= 1 ? "full" : share >= 0.8 ? "high" : "low";
    setText(used, `${now.toLocaleString("en")} of ${limit.limit.toLocaleString("en")}`);
    setAttribute(meter, "aria-valuemax", String(limit.limit));
    setAttribute(meter, "aria-valuenow", String(now));
    if (peak.used > now) setText(hint, `peak ${peak.used.toLocaleString("en")}`);
    else setText(hint, now && limit.window > 1.5 ? `resets in ${duration(Math.ceil(left / 1000))}` : "");
    setAttribute(hint, "title", peak.used > now ? "The most in one window of the last minute" : "");
  };
  return {
    node,
    tick,
    update(given) {
      limit = given;
      tick();
    },
  };
}

function createHolds() {
  const { node: scroll, body } = table("Holds of messages", [["Message"], ["Amount", "number"]]);
  const count = element("span", { class: "remark" });
  const empty = element("p", {
    class: "nothing",
    text: "Nothing is reserved. A message reserves its price until it is delivered.",
  });
  const rows = keyedList(body, {
    key: (one) => one.message_id,
    create: (one) => {
      const amount = element("td", { class: "number" });
      const node = element("tr", {}, element("td", {}, copyable(one.message_id, "the message id").node), amount);
      return { node, update: (hold) => setText(amount, money(hold.amount)) };
    },
  });
  return {
    node: element("div", { class: "holds" }, panel("Holds", { aside: count }, empty, scroll)),
    account({ holds }) {
      rows.update(holds);
      setHidden(empty, holds.length > 0);
      setHidden(scroll, holds.length === 0);
      setText(count, holds.length >= 200 ? "the first 200" : holds.length || "");
    },
  };
}

function createCounts() {
  const figures = {
    messages: figure("Messages"),
    requests: figure("Requests"),
    events: figure("Events"),
    contacts: figure("Contacts"),
  };
  const note = element("p", { class: "remark" });
  return {
    node: panel(
      "Contents",
      {},
      element("dl", { class: "figures figures-small" }, ...Object.values(figures).map((one) => one.node)),
      note,
    ),
    account({ counts, role }) {
      for (const [name, one] of Object.entries(figures)) one.update(counts[name].toLocaleString("en"));
      const dropped = counts.dropped ? `${counts.dropped.toLocaleString("en")} older messages are dropped. ` : "";
      setText(note, `${dropped}The role of the API key is ${role}.`);
    },
  };
}

const SIGNS = { charge: "−", topup: "+", credit: "+", release: "" };
const MEANINGS = {
  charge: "paid for a delivered message",
  topup: "added by a top-up",
  credit: "added or corrected",
  release: "a hold that is free again",
};

/** Create the section Ledger. */
export function createLedger() {
  const columns = [["#", "number"], ["Type"], ["Amount", "number"], ["Time"], ["Message"]];
  const { node: scroll, body } = table("Transactions", columns);
  const empty = emptyState({
    iconName: "file",
    title: "No transactions",
    text: "A delivered message is charged, and a top-up is added. Send a message:",
    code: "msgapi send --to +4915112345678 --agent ag_live_demo --traffic TRANSACTION --text Hi",
  });
  const rows = liveRows(body, {
    key: (one) => `${one.number} ${one.at}`, // a reset begins anew with the numbers
    create: (one) => {
      const sign = SIGNS[one.type] ?? "";
      const node = element(
        "tr",
        {},
        element("td", { class: "number muted", text: String(one.number) }),
        element("td", { title: MEANINGS[one.type] ?? "", text: one.type }),
        element("td", { class: `number amount-${one.type}`, text: `${sign}${money(one.amount)}` }),
        element("td", {}, timeNode(one.at).node),
        element("td", {}, one.message_id ? copyable(one.message_id, "the message id").node : ""),
      );
      return { node, update() {} };
    },
  });
  const paged = pages(
    (cursor) => get("/_sandbox/transactions", { limit: 50, cursor }),
    (items, { first, asked }) => {
      rows.update(items, { asked });
      setHidden(empty, items.length > 0 || !first);
      setHidden(scroll, items.length === 0);
    },
    { label: "Pages of transactions" },
  );
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Ledger",
      { wide: true, aside: rows.button, description: "What moved money for good, or freed a hold." },
      empty,
      scroll,
      paged.node,
    ),
  );
  const { request: refresh } = refresher(() => paged.refresh(), { interval: 500 });
  return {
    id: "ledger",
    label: "Ledger",
    node,
    refresh,
    restart: paged.restart,
    concerns: ["account", "messages", "clock"],
  };
}
