// The section Agents: the review of an agent, and its launch on each carrier.
//
// Rules:
// - An approved agent has a new id, so it is another entry of the list; the focus follows it there.

import { post } from "./api.js";
import { codeBlock, element, emptyState, replace } from "./dom.js";
import { getAll, keyedList, refresher } from "./lists.js";
import { action, cardTitle, field, form, panel, setHidden, setText, stateBadge } from "./widgets.js";

// The launch statuses that a carrier can set, by the present one; the sandbox refuses others.
const LAUNCHES = {
  UNLAUNCHED: ["LAUNCHED", "PENDING", "REJECTED"],
  PENDING: ["LAUNCHED", "REJECTED"],
  REJECTED: ["LAUNCHED", "PENDING"],
  LAUNCHED: ["SUSPENDED"],
  SUSPENDED: ["LAUNCHED"],
};
const VERBS = { LAUNCHED: "Launch", PENDING: "Set pending", REJECTED: "Reject…", SUSPENDED: "Suspend" };

/** Create the section Agents. */
export function createAgents() {
  const list = element("ul", { class: "entities" });
  const empty = emptyState({
    iconName: "user",
    title: "No agents",
    text: "Create an agent, complete it, and submit it for review. It is approved here.",
    code: "msgapi agents create --display-name Shop --billing-category CONVERSATIONAL --use-case TRANSACTIONAL",
  });
  const load = async () => {
    const data = await getAll("/_sandbox/agents");
    cards.update(data);
    setHidden(empty, data.length > 0);
  };
  const { request: refresh } = refresher(load);
  const follow = async (id) => {
    await load();
    const node = cards.entries().get(id)?.node;
    node?.scrollIntoView({ block: "nearest" });
    node?.querySelector(".carriers .action:not([hidden]) button")?.focus();
  };
  const cards = keyedList(list, { key: (one) => one.agent_id, create: (one) => createCard(one, load, follow) });
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Agents",
      { wide: true, description: "A send needs an agent that is approved and launched on at least one carrier." },
      empty,
      list,
    ),
  );
  return { id: "agents", label: "Agents", node, refresh, concerns: ["agents"] };
}

function createCard({ agent_id: id }, load, follow) {
  const name = cardTitle(id, "the agent id");
  const status = stateBadge("");
  const facts = element("span", { class: "remark" });
  const reason = element("p", { class: "note", hidden: true });
  const draft = element("div", { class: "note-block", hidden: true });
  const review = createReview(id, load, follow);
  const carriers = element("ul", { class: "carriers" });
  const rows = keyedList(carriers, {
    key: (one) => one.carrier,
    create: (one) => createCarrier(id, one.carrier, load),
  });
  const node = element(
    "li",
    { class: "entity", "data-agent-id": id },
    element("div", { class: "entity-head" }, name.title, status.node, facts),
    name.below,
    reason,
    draft,
    review.node,
    carriers,
  );
  let known = "";
  return {
    node,
    update(agent) {
      name.update(agent.display_name);
      if (agent.status !== known) {
        known = agent.status;
        status.update(known);
        showDraft(draft, id, known);
        setHidden(review.node, known !== "PENDING_REVIEW");
        setHidden(carriers, known !== "APPROVED");
      }
      const launched = known === "APPROVED" && !agent.launched ? ["not launched on any carrier"] : [];
      setText(facts, [agent.use_case?.replaceAll("_", " ").toLowerCase(), ...launched].filter(Boolean).join(" · "));
      setHidden(
        setText(reason, agent.rejection_reason ? `Rejected: ${agent.rejection_reason}` : ""),
        !agent.rejection_reason,
      );
      rows.update(agent.carriers ?? []);
    },
  };
}

// What the owner of the agent does next; a review cannot begin before it.
function showDraft(node, id, status) {
  const text = { DRAFT: "A draft. Submit it for review:", REJECTED: "Change it, and submit it again:" }[status];
  setHidden(node, !text);
  replace(
    node,
    text
      ? [element("p", { class: "remark", text }), codeBlock(`msgapi agents submit ${id}`, "Copy the command")]
      : null,
  );
}

function createReview(id, load, follow) {
  const approve = action(
    "Approve",
    async () => {
      const approved = await post(`/_sandbox/agents/${encodeURIComponent(id)}/approve`, {});
      await follow(approved.agent_id);
      return approved;
    },
    { kind: "primary", describe: `Approve ${id}`, done: (approved) => `Approved. Its id is ${approved.agent_id} now.` },
  );
  const why = field("Reason", { name: "reason", placeholder: "The logo is too small." });
  const reject = form(
    "Reject",
    [why],
    async ({ reason }) => {
      await post(`/_sandbox/agents/${encodeURIComponent(id)}/reject`, {
        reason: reason || "The review rejected the agent.",
      });
      await load();
    },
    { kind: "danger", describe: `Reject ${id}`, done: "The agent is rejected." },
  );
  const rejection = element("details", { class: "more" }, element("summary", { text: "Reject…" }), reject.node);
  return { node: element("div", { class: "review", hidden: true }, approve.node, rejection) };
}

function createCarrier(id, carrier, load) {
  const status = stateBadge("");
  const reason = element("span", { class: "remark carrier-reason" });
  const decide = async (wanted, why) => {
    const body = { carrier, status: wanted, ...(why ? { reason: why } : {}) };
    await post(`/_sandbox/agents/${encodeURIComponent(id)}/launch`, body);
    await load();
  };
  const buttons = new Map();
  for (const wanted of ["LAUNCHED", "PENDING", "SUSPENDED"]) {
    const label = `${VERBS[wanted]} on ${carrier}: ${id}`;
    buttons.set(
      wanted,
      action(VERBS[wanted], () => decide(wanted), { describe: label }),
    );
  }
  const why = field("Reason", { name: "reason", placeholder: "The carrier rejected the agent." });
  const reject = form("Reject", [why], ({ reason: given }) => decide("REJECTED", given), {
    kind: "danger",
    describe: `Reject on ${carrier}: ${id}`,
  });
  const rejection = element("details", { class: "more" }, element("summary", { text: VERBS.REJECTED }), reject.node);
  const node = element(
    "li",
    { class: "carrier", "data-carrier": carrier },
    element("span", { class: "carrier-head" }, element("span", { text: carrier }), status.node),
    element("span", { class: "buttons" }, ...[...buttons.values()].map((one) => one.node), rejection),
    reason,
  );
  let shown = "";
  return {
    node,
    update(one) {
      setText(reason, one.reason ?? "");
      if (one.status === shown) return;
      const focused = node.contains(document.activeElement);
      shown = one.status;
      status.update(shown);
      const possible = LAUNCHES[shown] ?? [];
      for (const [wanted, button] of buttons) setHidden(button.node, !possible.includes(wanted));
      setHidden(rejection, !possible.includes("REJECTED"));
      rejection.open = false;
      // The button that was pressed is hidden now: the next one that is possible gets the focus.
      if (focused && (document.activeElement === document.body || document.activeElement.closest("[hidden]"))) {
        node.querySelector(".action:not([hidden]) button, details:not([hidden]) summary")?.focus();
      }
    },
  };
}
