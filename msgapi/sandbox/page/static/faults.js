// The sections Faults (switches for random faults) and Magic recipients.
//
// Rules:
// - A share is applied when the slider or the number is released. Live data do not move what is being changed.

import { post } from "./api.js";
import { element } from "./dom.js";
import { keyedList, table } from "./lists.js";
import { action, copyable, field, isEdited, panel, setHidden, setText, showError, uniqueId } from "./widgets.js";

const REQUEST_FAULTS = [
  ["429", "429 rate limit exceeded", "Refused, with retry_after."],
  ["500", "500 internal error", "Refused before it is accepted."],
  ["502", "502 page of a proxy", "An HTML page, not JSON."],
  ["503", "503 unavailable", "Refused before it is accepted."],
  ["lost", "Lost response", "Carried out, never answered."],
  ["slow", "Slow response", "Carried out, answered late."],
];
const WEBHOOK_FAULTS = [
  ["late", "Late", "It comes later."],
  ["repeated", "Repeated", "It comes twice."],
  ["reordered", "Reordered", "It comes after the next ones."],
];
const OFF = {
  429: 0,
  500: 0,
  502: 0,
  503: 0,
  lost: 0,
  slow: 0,
  webhooks: { late: 0, repeated: 0, reordered: 0 },
};

/** Create the section Faults. */
export function createFaults(context) {
  const send = async (changes) => {
    await post("/_sandbox/faults", changes);
    context.reload();
  };
  const requests = REQUEST_FAULTS.map(([name, label, hint]) =>
    share(name, label, hint, (value) => send({ [name]: value })),
  );
  const slow = seconds("slow_seconds", "Delay of a slow response", (value) => send({ slow_seconds: value }));
  const webhooks = WEBHOOK_FAULTS.map(([name, label, hint]) =>
    share(name, label, hint, (value) => send({ webhooks: { [name]: value } })),
  );
  const late = seconds("late_by", "Delay of a late delivery", (value) => send({ webhooks: { late_by: value } }));
  const sum = element("p", { class: "sum" });
  const off = action("All off", () => send(OFF), { done: "All faults are off.", describe: "Switch all faults off" });
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Faults of requests",
      {
        aside: off.node,
        description:
          "A share of the requests to /v1 fails at random. A request that failed once succeeds under the same idempotency key.",
      },
      element("ul", { class: "shares" }, ...requests.map((one) => one.node), slow.node),
      sum,
    ),
    panel(
      "Faults of webhooks",
      { description: "A share of the deliveries is late, comes twice, or out of order." },
      element("ul", { class: "shares" }, ...webhooks.map((one) => one.node), late.node),
    ),
  );
  return {
    id: "faults",
    label: "Faults",
    node,
    account({ faults }) {
      REQUEST_FAULTS.forEach(([name], at) => requests[at].update(faults[name]));
      WEBHOOK_FAULTS.forEach(([name], at) => webhooks[at].update(faults.webhooks[name]));
      slow.update(faults.slow_seconds);
      late.update(faults.webhooks.late_by);
      const total = REQUEST_FAULTS.reduce((before, [name]) => before + faults[name], 0);
      setText(sum, total ? `${percent(total)} % of the requests have a fault.` : "No request has a random fault.");
      sum.dataset.level = total ? "on" : "off";
    },
  };
}

function percent(value) {
  return String(Math.round(value * 1000) / 10);
}

// One share from 0 to 1, as a slider and a number in percent.
function share(name, label, hint, send) {
  const id = uniqueId("share");
  const slider = element("input", {
    id,
    type: "range",
    min: "0",
    max: "100",
    step: "1",
    value: "0",
    class: "slider",
    "aria-describedby": `${id}-hint`,
  });
  const number = element("input", {
    type: "number",
    min: "0",
    max: "100",
    step: "0.1",
    value: "0",
    class: "input input-short",
    inputmode: "decimal",
    "aria-label": `${label}, in percent`,
    name,
  });
  const error = element("span", { class: "field-error", role: "alert", hidden: true });
  let shown = 0;
  const show = (value) => {
    shown = value;
    slider.value = String(Math.round(value * 100));
    number.value = percent(value);
    slider.style.setProperty("--share", String(value));
    node.dataset.on = String(value > 0);
  };
  const apply = async (text) => {
    const value = Math.round(Number(text) * 10) / 1000;
    try {
      if (text === "" || !(value >= 0 && value <= 1)) throw new Error("It must be from 0 to 100 %.");
      await send(value);
      setHidden(setText(error, ""), true);
    } catch (problem) {
      setHidden(setText(error, problem.message), false);
      showError(problem);
      show(shown);
    } finally {
      delete slider.dataset.edited;
      delete number.dataset.edited;
    }
  };
  slider.addEventListener("input", () => {
    slider.dataset.edited = "true";
    number.value = slider.value;
    slider.style.setProperty("--share", String(slider.value / 100));
  });
  number.addEventListener("input", () => {
    number.dataset.edited = "true";
  });
  slider.addEventListener("change", () => void apply(slider.value));
  number.addEventListener("change", () => void apply(number.value));
  const node = element(
    "li",
    { class: "share" },
    element("label", { for: id, text: label }),
    element("span", { class: "remark", id: `${id}-hint`, text: hint }),
    slider,
    element("span", { class: "field-row" }, number, element("span", { class: "suffix", text: "%" })),
    error,
  );
  return {
    node,
    update(value) {
      const busy =
        slider.dataset.edited || number.dataset.edited || (isEdited(number) && Number(number.value) !== shown * 100);
      if (!busy) show(value);
    },
  };
}

function seconds(name, label, send) {
  const one = field(label, { name, type: "number", min: "0", step: "any", suffix: "s", class: "input input-short" });
  one.input.addEventListener("change", async () => {
    const value = Number(one.value);
    try {
      if (one.value === "" || !(value >= 0)) throw new Error("It must be at least 0 seconds.");
      await send(value);
      one.fail("");
      delete one.input.dataset.edited;
    } catch (problem) {
      one.fail(problem.message);
      showError(problem);
    }
  });
  return {
    node: element("li", { class: "share-seconds" }, one.node),
    update(value) {
      if (!one.input.dataset.edited && one.input.value !== String(value)) one.input.value = String(value);
    },
  };
}

/** Create the section Magic recipients. */
export function createRecipients() {
  const columns = [["Phone number"], ["Email address"], ["Effect"]];
  const magic = table("Magic recipients", columns);
  const outcomes = table("Delivery outcomes", columns);
  const lists = [magic, outcomes].map(({ body }) =>
    keyedList(body, { key: (one) => `${one.phone} ${one.email}`, create: recipientRow }),
  );
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Magic recipients",
      {
        wide: true,
        description: "A send to one of them has the same effect every time, whatever the switches for faults say.",
      },
      magic.node,
    ),
    panel(
      "Delivery outcomes",
      { wide: true, description: "A send to one of them is accepted; its delivery ends the same way every time." },
      outcomes.node,
    ),
  );
  return {
    id: "recipients",
    label: "Magic recipients",
    node,
    account(account) {
      lists[0].update(account.magic_recipients);
      lists[1].update(account.delivery_outcomes);
    },
  };
}

function recipientRow({ phone, email, effect }) {
  const cell = (text, what) =>
    element(
      "td",
      {},
      ...(text ? [copyable(text, `the ${what} ${text}`).node] : [element("span", { class: "muted", text: "–" })]),
    );
  const node = element(
    "tr",
    {},
    cell(phone, "phone number"),
    cell(email, "email address"),
    element("td", { text: effect }),
  );
  return { node, update() {} };
}
