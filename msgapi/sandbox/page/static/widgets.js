// Parts that the tabs are built from: panels, values, actions, fields, forms and code.
//
// Rules:
// - A node that is on the page is changed, not replaced, so that focus, selection and open details stay.
// - What the user has typed and not yet sent is never overwritten by live data.
// - An error of the API is shown beside the control that caused it, and as a toast.

import { copyButton, element, formatTime, toast } from "./dom.js";

let ids = 0;

/** Return an id that is unique on the page. */
export function uniqueId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** Set the text of a node; leave it alone if it is the same, so that a selection in it stays. */
export function setText(node, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
  return node;
}

/** Set an attribute of a node, unless it has the value already. */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Show or hide a node. */
export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
  return node;
}

/** Return whether what the user types in *node* must not be overwritten. */
export function isEdited(node) {
  return node === document.activeElement || node.dataset.edited === "true";
}

/** Show an error as a toast. */
export function showError(error) {
  toast(error.message, "bad");
}

/** A section with a heading. *aside* stands right of the heading. */
export function panel(title, { description = "", aside = null, wide = false } = {}, ...children) {
  const id = uniqueId("panel");
  return element(
    "section",
    { class: ["panel", wide && "wide"], aria: { labelledby: id } },
    element("header", {}, element("h2", { id, text: title }), aside),
    element(
      "div",
      { class: "panel-body" },
      description ? element("p", { class: "panel-description", text: description }) : null,
      children,
    ),
  );
}

const TONES = {
  APPROVED: "ok",
  LAUNCHED: "ok",
  GRANTED: "ok",
  ACTIVE: "ok",
  COMPLETED: "ok",
  delivered: "ok",
  running: "ok",
  PENDING_REVIEW: "warn",
  PENDING: "warn",
  RUNNING: "info",
  pending: "warn",
  paused: "warn",
  PAUSED: "warn",
  PAUSED_ERROR: "bad",
  PAUSED_BALANCE: "warn",
  COMPLETED_PARTIAL: "warn",
  REJECTED: "bad",
  SUSPENDED: "bad",
  REVOKED: "bad",
  BLOCKED: "bad",
  BOUNCED: "bad",
  UNSUBSCRIBED: "warn",
  failed: "bad",
};

/** A word for a state; `update(state)` changes it. */
export function stateBadge(state, tone = null) {
  const node = element("span", { class: "badge" });
  const update = (word, wanted = null) => {
    setText(node, String(word).replaceAll("_", " ").toLowerCase());
    node.className = `badge ${wanted ?? TONES[word] ?? ""}`;
  };
  update(state, tone);
  return { node, update };
}

/** A time as a `<time>` element; `update(iso)` changes it. */
export function timeNode(iso = null) {
  const node = element("time", { class: "time" });
  const update = (value) => {
    setText(node, value ? formatTime(value) : "–");
    if (value && node.getAttribute("datetime") !== value) {
      node.setAttribute("datetime", value);
      node.setAttribute("title", value);
    }
  };
  update(iso);
  return { node, update };
}

/** A value in a monospace font with a button that copies it; `update(text)` changes it. */
export function copyable(text, label) {
  let shown = "";
  const code = element("code");
  const button = copyButton(() => shown, `Copy ${label}`);
  const update = (value) => {
    shown = value ?? "";
    setText(code, shown || "–");
    setHidden(button, shown === "");
  };
  update(text);
  return { node: element("span", { class: "copyable" }, code, button), update };
}

/** The heading of a card: a name with the id below it, or the id alone; `update(name)` changes it. */
export function cardTitle(id, label) {
  const title = element("h3", { class: "entity-title" });
  const code = copyable(id, label).node;
  const below = element("div", { class: "entity-id" });
  let shown = null;
  const update = (name) => {
    if (name === shown) return;
    shown = name;
    const alone = !name || name === id;
    if (alone) title.replaceChildren(code);
    else {
      title.textContent = name;
      below.append(code);
    }
    setHidden(below, alone);
  };
  return { title, below, update };
}

/** The rows of a list with the class `facts`: `pairs` are a name and a text or node; those without a value are left out. */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.map(([name, value]) => [element("dt", { text: name }), element("dd", {}, value)]);
}

/**
 * A button that runs *job*. It is busy meanwhile; an error is shown beside it and as a toast.
 *
 * The button is not disabled while it is busy, since a disabled button loses the focus.
 */
export function action(label, job, { kind = "", describe = null, done = null } = {}) {
  const id = uniqueId("error");
  const error = element("span", { class: "action-error", id, role: "alert", hidden: true });
  const button = element("button", { type: "button", class: ["button", "small", kind], text: label });
  if (describe) button.setAttribute("aria-label", describe);
  button.addEventListener("click", () => void runWith(button, error, job, done));
  const node = element("span", { class: "action" }, button, error);
  return { node, update: (text) => setText(button, text) };
}

async function runWith(button, error, job, done) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  button.classList.add("is-busy");
  try {
    const result = await job();
    setHidden(setText(error, ""), true);
    button.removeAttribute("aria-describedby");
    const text = typeof done === "function" ? done(result) : done;
    if (text && result !== false) toast(text, "ok");
  } catch (problem) {
    setHidden(setText(error, problem.isAtField ? "" : problem.message), problem.isAtField === true);
    if (problem.isAtField) button.removeAttribute("aria-describedby");
    else button.setAttribute("aria-describedby", error.id);
    showError(problem);
  } finally {
    button.removeAttribute("aria-disabled");
    button.classList.remove("is-busy");
  }
}

/** An input with its label; `.fail(message)` shows what is wrong with it, `.value` is its text. */
export function field(label, { name, type = "text", suffix = "", ...attributes } = {}) {
  const id = uniqueId("field");
  const input = element("input", { id, name, type, autocomplete: "off", class: "input", ...attributes });
  const error = element("span", { class: "field-error", id: `${id}-error`, role: "alert", hidden: true });
  input.addEventListener("input", () => {
    input.dataset.edited = "true";
  });
  const node = element(
    "div",
    { class: "field" },
    element("label", { for: id, text: label }),
    element(
      "span",
      { class: "field-row" },
      input,
      ...(suffix ? [element("span", { class: "suffix", text: suffix })] : []),
    ),
    error,
  );
  return {
    node,
    input,
    name,
    get value() {
      return input.value;
    },
    reset(value = "") {
      input.value = value;
      delete input.dataset.edited;
    },
    fail(message) {
      setHidden(setText(error, message), !message);
      if (message) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", error.id);
      } else {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
    },
  };
}

/**
 * A form of *fields* with one button. *submit* gets the texts by name, and may throw an error of the API, whose
 * details are shown at the fields that they name. The fields are emptied afterwards, unless *keep* is true.
 */
export function form(label, fields, submit, { kind = "", done = null, keep = false, describe = null } = {}) {
  const error = element("span", { class: "action-error", id: uniqueId("error"), role: "alert", hidden: true });
  const button = element("button", { type: "submit", class: ["button", "small", kind], text: label });
  if (describe) button.setAttribute("aria-label", describe);
  const node = element(
    "form",
    { class: "inline-form", novalidate: true },
    ...fields.map((one) => one.node),
    button,
    error,
  );
  const send = async () => {
    for (const one of fields) one.fail("");
    const result = await submit(Object.fromEntries(fields.map((one) => [one.name, one.value.trim()])));
    for (const one of fields) {
      if (keep) delete one.input.dataset.edited;
      else one.reset();
    }
    return result;
  };
  const job = async () => {
    try {
      return await send();
    } catch (problem) {
      assign(problem, fields);
      throw problem;
    }
  };
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    void runWith(button, error, job, done);
  });
  return { node };
}

// Show the details of an error at the fields that they name. The rest is shown beside the button.
function assign(problem, fields) {
  const details = problem.details ?? [];
  for (const detail of details) fields.find((one) => one.name === detail.field)?.fail(detail.message);
  const failed = fields.filter((one) => one.input.hasAttribute("aria-invalid"));
  problem.isAtField = details.length > 0 && failed.length === details.length;
  failed[0]?.input.focus();
}

/** Return the number in a text; throw an error for the field *name* if it is none. */
export function readNumber(text, name, { least = 0 } = {}) {
  const value = Number(text); // a comma is refused: it may be meant as a point, or between thousands
  if (text !== "" && Number.isFinite(value) && value >= least) return value;
  const message = `must be a number of at least ${least}, such as 12.5`;
  throw Object.assign(new Error(`The value ${message}.`), { details: [{ field: name, message }] });
}

/** Return JSON indented by two spaces; a text that is not JSON as it is. */
export function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * Buttons of which one is pressed, at first the first one. `options` are `{value, text, label}` (`label` for screen
 * readers, if the text is not enough); `choose(value)` is called with the one that is pressed.
 */
export function choices(label, options, choose) {
  const buttons = options.map((one, at) =>
    element("button", {
      type: "button",
      class: "choice",
      aria: { pressed: at === 0, label: one.label },
      text: one.text,
      on: { click: () => press(at) },
    }),
  );
  const press = (pressed) => {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === pressed)));
    choose(options[pressed].value);
  };
  return element("span", { class: "choices", role: "group", aria: { label } }, buttons);
}

/** A block of code with a title and a copy button; *views* are pairs of a name and a function of the text. */
export function codeView(title, views = [["", (text) => text]]) {
  const code = element("code");
  let [[, view]] = views;
  let text = null;
  const show = () => setText(code, view(text ?? ""));
  const options = views.map(([name, value]) => ({ text: name, value }));
  const choose = (value) => {
    view = value;
    show();
  };
  const node = element(
    "section",
    { class: "code-view", aria: { label: title } },
    element(
      "div",
      { class: "code-head" },
      element("h3", { text: title }),
      views.length > 1 ? choices(`View of ${title}`, options, choose) : null,
      copyButton(() => code.textContent, `Copy ${title}`),
    ),
    element("pre", { tabindex: "0", role: "group", aria: { label: title } }, code),
  );
  return {
    node,
    update(value) {
      if (value === text) return;
      text = value;
      show();
    },
  };
}
