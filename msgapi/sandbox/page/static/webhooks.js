// The section Webhooks: the endpoints, and their deliveries with attempts, body, signature and controls.
//
// Rules:
// - An open delivery stays open, and its body keeps the selection, when live data arrive.

import { get, post } from "./api.js";
import { element, emptyState, icon } from "./dom.js";
import { getAll, keyedList, liveRows, pages, refresher, table } from "./lists.js";
import {
  action,
  codeView,
  copyable,
  field,
  form,
  panel,
  prettyJson,
  readNumber,
  setHidden,
  setText,
  stateBadge,
  timeNode,
  uniqueId,
} from "./widgets.js";

/** Create the section Webhooks. */
export function createWebhooks() {
  const endpoints = element("ul", { class: "entities" });
  const empty = emptyState({
    iconName: "globe",
    title: "No webhook endpoints",
    text: "The first command receives events and prints them. The second, in another terminal, subscribes to all events:",
    code: [
      "msgapi webhooks listen --port 8026 --secret whsec_local",
      "msgapi webhooks create http://127.0.0.1:8026/ --secret whsec_local",
    ].join("\n"),
  });
  const endpointCards = keyedList(endpoints, { key: (one) => one.id, create: createEndpoint });

  const which = choice("Endpoint", "All endpoints");
  const event = choice("Event", "All events");
  const list = element("ul", { class: "entries" });
  const none = element("p", {
    class: "nothing",
    text: "There are no deliveries. Each event is sent to the endpoints that subscribe to it.",
  });
  const rows = liveRows(list, {
    key: (one) => one.id,
    create: (one) => createDelivery(one, () => paged.refresh()),
    isOpen: (row) => row.isOpen(),
  });
  const paged = pages(
    (cursor) =>
      get("/_sandbox/deliveries", {
        limit: 50,
        cursor,
        webhook_id: which.select.value || undefined,
        event: event.select.value || undefined,
      }),
    (items, { asked }) => {
      rows.update(items, { asked });
      setHidden(none, items.length > 0);
      event.add(items.map((one) => [one.event, one.event]));
    },
    { label: "Pages of deliveries" },
  );
  const load = async () => {
    const data = await getAll("/_sandbox/webhooks");
    endpointCards.update(data);
    setHidden(empty, data.length > 0);
    which.set(data.map((one) => [one.id, one.url]));
    event.add(data.flatMap((one) => one.events).map((one) => [one, one]));
    await paged.refresh();
  };
  const { request: refresh } = refresher(load);
  const restart = () => {
    refresh();
    paged.restart();
  };
  for (const one of [which, event]) one.select.addEventListener("change", paged.restart);

  const node = element(
    "div",
    { class: "grid" },
    panel("Endpoints", { wide: true }, empty, endpoints),
    panel(
      "Deliveries",
      { wide: true },
      element("div", { class: "toolbar" }, which.node, event.node, rows.button),
      none,
      list,
      paged.node,
    ),
  );
  return { id: "webhooks", label: "Webhooks", node, refresh, restart, concerns: ["webhooks", "clock"] };
}

// A select whose options are changed without closing it or losing the choice.
function choice(label, all) {
  const id = uniqueId("choice");
  const select = element("select", { id, class: "input" }, element("option", { value: "", text: all }));
  const node = element("div", { class: "field field-inline" }, element("label", { for: id, text: label }), select);
  const add = (options) => {
    const known = new Set([...select.options].map((one) => one.value));
    for (const [value, text] of options) {
      if (!known.has(value)) select.append(element("option", { value, text }));
      known.add(value);
    }
  };
  const set = (options) => {
    const wanted = new Set(options.map(([value]) => value));
    for (const one of [...select.options]) if (one.value && !wanted.has(one.value)) one.remove();
    add(options);
  };
  return { node, select, add, set };
}

function createEndpoint({ id }) {
  const url = element("span", { class: "entity-title entity-url" });
  const created = timeNode();
  const events = element("ul", { class: "event-names" });
  const count = element("summary");
  const names = keyedList(events, {
    key: (name) => name,
    create: (name) => ({ node: element("li", {}, element("code", { text: name })), update() {} }),
  });
  const node = element(
    "li",
    { class: "entity", "data-webhook-id": id },
    element("div", { class: "entity-head" }, url, element("span", { class: "remark" }, "created ", created.node)),
    copyable(id, "the endpoint id").node,
    element("details", { class: "more" }, count, events),
  );
  return {
    node,
    update(one) {
      setText(url, one.url);
      created.update(one.created_at);
      setText(count, `${one.events.length} events`);
      names.update(one.events);
    },
  };
}

function createDelivery({ id, event, event_id: eventId }, load) {
  const bodyId = uniqueId("delivery");
  const state = stateBadge("");
  const at = timeNode();
  const attempts = element("span", { class: "remark" });
  const head = element(
    "button",
    { type: "button", class: "delivery-head", "aria-expanded": "false", "aria-controls": bodyId },
    icon("chevron-right"),
    element("span", { class: "delivery-event", text: event }),
    state.node,
    attempts,
    at.node,
  );
  const body = element("div", { class: "delivery-body", id: bodyId, hidden: true });
  const node = element("li", { class: "delivery", "data-delivery-id": id }, head, body);
  let delivery = null;
  let details = null;
  head.addEventListener("click", () => {
    details ??= createDetails({ id, eventId }, load);
    if (!body.firstChild) body.append(...details.nodes);
    const open = body.hidden;
    setHidden(body, !open);
    head.setAttribute("aria-expanded", String(open));
    details.update(delivery);
  });
  return {
    node,
    update(one) {
      delivery = one;
      state.update(one.state);
      at.update(one.at);
      const made = one.attempts.length;
      const last = one.attempts.at(-1);
      const result = last ? ` · ${last.status ?? last.reason}` : "";
      setText(attempts, `${made} ${made === 1 ? "attempt" : "attempts"}${result}`);
      if (details && !body.hidden) details.update(one);
    },
    isOpen: () => !body.hidden,
  };
}

function createDetails({ id, eventId }, load) {
  const path = `/_sandbox/deliveries/${encodeURIComponent(id)}`;
  const run =
    (name, body = {}) =>
    async () => {
      await post(`${path}/${name}`, body);
      await load();
    };
  const replay = action("Replay", run("replay"), {
    describe: `Replay ${eventId}`,
    done: "The delivery is made now.",
  });
  const duplicate = action("Duplicate", run("duplicate"), {
    describe: `Duplicate ${eventId}`,
    done: "The delivery is made once more.",
  });
  const reorder = action("Reorder", run("reorder"), {
    describe: `Reorder ${eventId}`,
    done: "It is made now, and the one before it a second later.",
  });
  const seconds = field("Delay by", {
    name: "seconds",
    type: "number",
    min: "0",
    step: "any",
    value: "30",
    suffix: "s",
    class: "input input-short",
  });
  const delay = form(
    "Delay",
    [seconds],
    async (given) => {
      await post(`${path}/delay`, { seconds: readNumber(given.seconds, "seconds") });
      await load();
    },
    { keep: true, describe: `Delay ${eventId}`, done: "The delivery is delayed." },
  );
  const url = copyable("", "the URL");
  const signature = copyable("", "the signature");
  const due = timeNode();
  const dueRow = element("div", {}, element("dt", { text: "Next attempt" }), element("dd", {}, due.node));
  const facts = element(
    "dl",
    { class: "pairs" },
    pair("Event id", copyable(eventId, "the event id").node),
    pair("URL", url.node),
    pair("X-Arowana-Signature", signature.node),
    dueRow,
  );
  const { node: scroll, body } = table("Attempts", [["#", "number"], ["Time"], ["Status"], ["Reason"]]);
  const rows = keyedList(body, { key: (one) => `${one.number} ${one.at}`, create: createAttempt });
  const code = codeView("Body", [
    ["Pretty", prettyJson],
    ["Raw", (text) => text],
  ]);
  return {
    nodes: [
      element("div", { class: "buttons" }, replay.node, duplicate.node, reorder.node, delay.node),
      facts,
      scroll,
      code.node,
    ],
    update(one) {
      url.update(one.url);
      signature.update(one.signature);
      due.update(one.next_attempt_at);
      setHidden(dueRow, !one.next_attempt_at);
      rows.update(one.attempts);
      setHidden(scroll, one.attempts.length === 0);
      code.update(one.body);
    },
  };
}

function pair(label, node) {
  return element("div", {}, element("dt", { text: label }), element("dd", {}, node));
}

function createAttempt(one) {
  const good = one.status !== null && one.status >= 200 && one.status < 300;
  const node = element(
    "tr",
    {},
    element("td", { class: "number", text: String(one.number) }),
    element("td", {}, timeNode(one.at).node),
    element("td", {}, stateBadge(one.status === null ? "no response" : String(one.status), good ? "ok" : "bad").node),
    element("td", { text: one.reason ?? "" }),
  );
  return { node, update() {} };
}
