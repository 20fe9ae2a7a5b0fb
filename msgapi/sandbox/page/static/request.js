// The details of one request: what it was, why it was refused, its body and response, and how to repeat it.
//
// They are not live, since a request does not change.

import { element, emptyState, icon, replace, timeElement } from "./dom.js";
import { table } from "./lists.js";
import { codeView, copyable, facts, prettyJson, setHidden, setText, stateBadge } from "./widgets.js";

/** Return the tone of the badge of an HTTP status. */
export function tone(status) {
  if (status < 300) return "ok";
  if (status < 400) return "info";
  return status < 500 ? "warn" : "bad";
}

/** The details of the request that is chosen; *leave* is called by its back button. */
export function createDetails(leave) {
  const empty = emptyState({
    iconName: "terminal",
    title: "No request is chosen",
    text: "Choose a request to see its body, its response, and how to repeat it with curl or msgapi.",
  });
  const back = element(
    "button",
    { type: "button", class: "icon-button request-back", aria: { label: "Back to the list" } },
    icon("back"),
  );
  back.addEventListener("click", leave);
  const status = stateBadge("");
  const title = element("h2", { class: "request-title", tabindex: "-1" });
  const pairs = element("dl", { class: "facts" });
  const refusal = createRefusal();
  const body = codeView("Request", [
    ["Pretty", prettyJson],
    ["Raw", (text) => text],
  ]);
  const response = codeView("Response", [
    ["Pretty", prettyJson],
    ["Raw", (text) => text],
  ]);
  const curl = codeView("As curl");
  const python = codeView("As msgapi code");
  const content = element(
    "article",
    { class: "request-content", hidden: true, aria: { label: "Details of the request" } },
    element("header", { class: "request-head" }, back, status.node, title),
    element(
      "div",
      { class: "request-body" },
      pairs,
      refusal.node,
      element("div", { class: "request-codes" }, body.node, response.node, curl.node, python.node),
    ),
  );
  return {
    node: element("section", { class: "request-details", aria: { label: "Details" } }, empty, content),
    focus: () => title.focus(),
    show(request) {
      setHidden(empty, true);
      setHidden(content, false);
      content.scrollTop = 0;
      status.update(String(request.status), tone(request.status));
      setText(title, `${request.method} ${request.path}`);
      replace(pairs, facts(pairsOf(request)));
      refusal.update(request);
      setHidden(body.node, !request.body);
      body.update(request.body ?? "");
      response.update(request.response ?? "");
      curl.update(request.curl ?? "");
      setHidden(python.node, !request.python);
      python.update(request.python ?? "");
    },
  };
}

function pairsOf(request) {
  const message = acceptedMessage(request);
  const copy = (text, what) => (text ? copyable(text, what).node : null);
  return [
    ["Number", String(request.number)],
    ["Time", timeElement(request.at)],
    ["Query", copy(request.query, "the query")],
    ["Idempotency key", copy(request.idempotency_key, "the idempotency key") ?? "none"],
    ["Replayed", request.replayed ? "yes: the stored response to this idempotency key" : "no"],
    ["Message", message ? messageLink(message) : null],
    ["Fault", request.fault ? `${request.fault}, simulated` : null],
  ];
}

// The message that a send has created: its recipient and its id, or null.
function acceptedMessage({ method, body, response }) {
  if (method !== "POST" || !body) return null;
  try {
    const { to } = JSON.parse(body);
    const { message_id: id } = JSON.parse(response);
    return typeof to === "string" && typeof id === "string" ? { to, id } : null;
  } catch {
    return null; // the page of a proxy, or a body that is not JSON
  }
}

function messageLink({ to, id }) {
  const href = `#phones/${encodeURIComponent(to)}/${encodeURIComponent(id)}`;
  return element("a", { href, text: `${id}, to ${to}` });
}

function createRefusal() {
  const code = copyable("", "the code");
  const message = element("p", { class: "refusal-message" });
  const { node: scroll, body } = table("Details of the refusal", [["Field"], ["Problem"]]);
  const node = element(
    "section",
    { class: "refusal", hidden: true, aria: { label: "Refusal" } },
    code.node,
    message,
    scroll,
  );
  return {
    node,
    update(request) {
      setHidden(node, !request.code);
      node.dataset.tone = tone(request.status);
      code.update(request.code ?? "");
      setText(message, request.message ?? "");
      const details = request.details ?? [];
      setHidden(scroll, details.length === 0);
      replace(
        body,
        details.map((one) =>
          element(
            "tr",
            {},
            element("td", {}, element("code", { text: one.field || "–" })),
            element("td", { text: one.message }),
          ),
        ),
      );
    },
  };
}
