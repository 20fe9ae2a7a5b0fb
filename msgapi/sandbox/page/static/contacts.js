// The sections Campaigns and Contacts.

import { get, post } from "./api.js";
import { codeBlock, debounce, element, emptyState, icon, replace } from "./dom.js";
import { getAll, keyedList, liveRows, pages, refresher } from "./lists.js";
import {
  action,
  cardTitle,
  copyable,
  field,
  form,
  panel,
  readNumber,
  setHidden,
  setText,
  stateBadge,
  uniqueId,
} from "./widgets.js";

const HINTS = {
  trigger: "Start a run over the API:",
  resume: "Resume the run over the API:",
  "": "This campaign is not started over the API.",
};
const TYPING = 250; // milliseconds without a key after which a search begins

/** Create the section Campaigns. */
export function createCampaigns() {
  const list = element("ul", { class: "entities" });
  const empty = emptyState({
    iconName: "send",
    title: "No campaigns",
    text: "Campaigns are created when the sandbox starts, or by a seed file:",
    code: "msgapi sandbox --seed seed.json",
  });
  const load = async () => {
    const data = await getAll("/_sandbox/campaigns");
    cards.update(data);
    setHidden(empty, data.length > 0);
  };
  const { request: refresh } = refresher(load);
  const cards = keyedList(list, { key: (one) => one.campaign_id, create: (one) => createCampaign(one, load) });
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Campaigns",
      {
        wide: true,
        description:
          "A run that is under way can be halted as the service does it, and some of its executions can fail.",
      },
      empty,
      list,
    ),
  );
  return { id: "campaigns", label: "Campaigns", node, refresh, concerns: ["campaigns", "clock"] };
}

function createCampaign({ campaign_id: id }, load) {
  const title = cardTitle(id, "the campaign id");
  const status = stateBadge("");
  const bar = element("span", { class: "gauge-bar" });
  const meter = element(
    "span",
    {
      class: "gauge",
      role: "progressbar",
      "aria-label": "Executions done",
      "aria-valuemin": "0",
    },
    bar,
  );
  const counts = element("span", { class: "remark" });
  const path = `/_sandbox/campaigns/${encodeURIComponent(id)}`;
  const halt = (label, wanted) =>
    action(
      label,
      async () => {
        await post(`${path}/halt`, { status: wanted });
        await load();
      },
      { describe: `${label}: ${id}`, done: "The run is halted." },
    );
  const error = halt("Halt: error", "PAUSED_ERROR");
  const balance = halt("Halt: balance", "PAUSED_BALANCE");
  const count = field("Executions", {
    name: "executions",
    type: "number",
    min: "1",
    step: "1",
    class: "input input-short",
    value: "1",
  });
  const fail = form(
    "Fail",
    [count],
    async ({ executions }) => {
      await post(`${path}/fail`, { executions: readNumber(executions, "executions", { least: 1 }) });
      await load();
    },
    { kind: "danger", keep: true, describe: `Fail executions of ${id}`, done: "The executions have failed." },
  );
  const controls = element(
    "div",
    { class: "forms", hidden: true },
    element("div", { class: "buttons" }, error.node, balance.node),
    fail.node,
  );
  const hint = element("div", { class: "note-block", hidden: true });
  let command = null;
  const showCommand = (verb) => {
    if (verb === command) return;
    command = verb;
    const text = HINTS[verb];
    replace(
      hint,
      element("p", { class: "remark", text }),
      verb ? codeBlock(`msgapi campaigns ${verb} ${id}`, "Copy the command") : null,
    );
  };
  const node = element(
    "li",
    { class: "entity", "data-campaign-id": id },
    element("div", { class: "entity-head" }, title.title, status.node, counts),
    title.below,
    meter,
    controls,
    hint,
  );
  return {
    node,
    update(one) {
      title.update(one.name ?? "");
      status.update(one.status);
      setText(
        counts,
        `${one.done.toLocaleString("en")} of ${one.total.toLocaleString("en")} done · ${one.failed.toLocaleString("en")} failed`,
      );
      bar.style.setProperty("--share", String(one.total ? one.done / one.total : 0));
      meter.setAttribute("aria-valuemax", String(one.total));
      meter.setAttribute("aria-valuenow", String(one.done));
      setHidden(controls, one.status !== "RUNNING");
      setHidden(hint, one.status === "RUNNING");
      showCommand(one.status.startsWith("PAUSED") ? "resume" : one.by_api === false ? "" : "trigger");
    },
  };
}

/** Create the section Contacts. */
export function createContacts() {
  const id = uniqueId("search");
  const search = element("input", {
    id,
    type: "search",
    class: "input",
    placeholder: "Name, email address or phone number",
    autocomplete: "off",
    spellcheck: "false",
  });
  const empty = emptyState({
    iconName: "user",
    title: "No contacts",
    text: "Create a contact over the API:",
    code: "msgapi contacts create --email ada@example.org --phone +4915112345678 --first-name Ada",
  });
  const nothing = element("p", { class: "nothing", text: "No contact matches the search." });
  const list = element("ul", { class: "entries" });
  const rows = liveRows(list, { key: (one) => one.id, create: (one) => createContact(one, () => paged.refresh()) });
  const paged = pages(
    (cursor) => get("/_sandbox/contacts", { limit: 50, cursor, search: search.value.trim() || undefined }),
    (items, { first, asked }) => {
      rows.update(items, { asked });
      const searched = search.value.trim() !== "";
      setHidden(empty, items.length > 0 || searched || !first);
      setHidden(nothing, items.length > 0 || !searched);
    },
    { label: "Pages of contacts", words: ["First", "Next", "Oldest first"] },
  );
  search.addEventListener("input", debounce(paged.restart, TYPING));
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Contacts",
      {
        wide: true,
        description:
          "A newsletter needs a consent that is granted. A pending consent is confirmed here as the contact does in a double opt-in.",
      },
      element(
        "div",
        { class: "toolbar" },
        element(
          "span",
          { class: "search" },
          icon("search"),
          element("label", { for: id, class: "visually-hidden", text: "Search contacts" }),
          search,
        ),
        rows.button,
      ),
      empty,
      nothing,
      list,
      paged.node,
    ),
  );
  const { request: refresh } = refresher(() => paged.refresh());
  return { id: "contacts", label: "Contacts", node, refresh, restart: paged.restart, concerns: ["contacts"] };
}

function createContact({ id }, load) {
  const name = element("span", { class: "line strong" });
  const tags = element("span", { class: "line remark" });
  const email = element("span", { class: "line" });
  const phone = element("span", { class: "line" });
  const status = stateBadge("");
  const suppressed = element("span", { class: "line remark", text: "suppressed" });
  const consents = element("ul", { class: "consents" });
  const none = element("span", { class: "muted", text: "no consents" });
  const rows = keyedList(consents, { key: (one) => one.id, create: (one) => createConsent(one, load) });
  const node = element(
    "li",
    { class: "contact", "data-contact-id": id },
    element("div", {}, name, copyable(id, "the contact id").node, tags),
    element("div", {}, email, phone),
    element("div", {}, status.node, suppressed),
    element("div", {}, none, consents),
  );
  return {
    node,
    update(one) {
      setText(name, [one.first_name, one.last_name].filter(Boolean).join(" ") || "–");
      setText(tags, (one.tags ?? []).join(", "));
      setText(email, one.email ?? "");
      setText(phone, one.phone ?? "");
      status.update(one.status);
      setHidden(suppressed, !one.suppressed);
      rows.update(one.consents);
      setHidden(none, one.consents.length > 0);
    },
  };
}

function createConsent(consent, load) {
  const status = stateBadge("");
  const what = `${consent.channel} ${consent.message_type}`.toLowerCase();
  const confirm = action(
    "Confirm",
    async () => {
      await post(`/_sandbox/consents/${encodeURIComponent(consent.id)}/confirm`, {});
      await load();
    },
    { describe: `Confirm the consent to ${what}`, done: "The consent is granted." },
  );
  const node = element(
    "li",
    { "data-consent-id": consent.id },
    element("span", { text: what }),
    status.node,
    confirm.node,
  );
  return {
    node,
    update(one) {
      status.update(one.status);
      setHidden(confirm.node, one.status !== "PENDING");
    },
  };
}
