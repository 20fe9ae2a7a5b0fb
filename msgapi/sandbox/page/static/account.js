// The tab Account: sections beside a list of them, of which one is shown.
//
// Rules:
// - A section fetches only while it is shown, and only after a change that concerns it.
// - `#account/NAME` shows the section NAME; `#account` the one that was shown last.

import { get, post, put } from "./api.js";
import { ask, element } from "./dom.js";
import { createAgents } from "./agents.js";
import { createLedger, createOverview } from "./balance.js";
import { createCampaigns, createContacts } from "./contacts.js";
import { createFaults, createRecipients } from "./faults.js";
import { createWebhooks } from "./webhooks.js";
import { refresher } from "./lists.js";
import { action, panel, setHidden, setText, uniqueId } from "./widgets.js";

const TICK = 250; // milliseconds

/** Create the tab. */
export function create() {
  const clock = createClock();
  const context = { now: clock.now, reload: () => reload() };
  const sections = [
    createOverview(context),
    createLedger(context),
    createFaults(context),
    createRecipients(context),
    createAgents(context),
    createCampaigns(context),
    createContacts(context),
    createWebhooks(),
    createData(context),
  ];
  const links = sections.map((one) => navigationLink(one));
  const nav = element(
    "nav",
    { class: "account-nav", "aria-label": "Sections of the account" },
    element("ul", {}, ...links.map((one) => element("li", {}, one.node))),
  );
  const main = element("div", { class: "account-main" }, ...sections.map((one) => setHidden(one.node, true)));
  const node = element("div", { class: "account" }, nav, main);
  let current = null;
  let timer = null;

  const fetchAccount = refresher(async () => {
    const account = await get("/_sandbox/account");
    clock.set(account.clock);
    for (const one of sections) one.account?.(account);
    current?.tick?.();
    const on = faultsAreOn(account.faults);
    links.find((one) => one.id === "faults").mark(on ? "on" : "");
    links.find((one) => one.id === "overview").mark(account.clock.paused ? "paused" : "");
  });
  const reload = () => {
    fetchAccount.request();
    current?.refresh?.();
  };

  const choose = (name) => {
    const next = sections.find((one) => one.id === name) ?? current ?? sections[0];
    if (next === current) return;
    current = next;
    sections.forEach((one) => setHidden(one.node, one !== next));
    links.forEach((one) => one.choose(one.id === next.id));
    main.scrollTop = 0;
  };

  return {
    node,
    show([name] = []) {
      choose(name);
      reload();
      timer ??= setInterval(() => current.tick?.(), TICK);
    },
    hide() {
      clearInterval(timer);
      timer = null;
    },
    change(data) {
      const concerns = (names) => data.reset || names.some((name) => data[name]);
      if (concerns(["account", "clock", "faults", "messages", "requests"])) fetchAccount.request();
      if (data.reset && current.restart) current.restart();
      else if (current.refresh && concerns(current.concerns ?? [])) current.refresh();
    },
  };
}

function navigationLink({ id, label }) {
  const mark = element("span", { class: "nav-mark", hidden: true });
  const node = element("a", { href: `#account/${id}` }, element("span", { text: label }), mark);
  return {
    id,
    node,
    choose(chosen) {
      if (!chosen) {
        node.removeAttribute("aria-current");
        return;
      }
      node.setAttribute("aria-current", "true");
      node.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
    mark(text) {
      if (mark.textContent === text) return;
      setHidden(setText(mark, text), !text);
      // The links are wider now: on a narrow page, the one that is chosen stays in view.
      node.parentNode.parentNode
        .querySelector("[aria-current]")
        ?.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  };
}

// The time of the sandbox between two answers is counted here.
function createClock() {
  let base = Date.now();
  let since = performance.now();
  let paused = false;
  return {
    set(clock) {
      base = Date.parse(clock.time);
      since = performance.now();
      ({ paused } = clock);
    },
    now: () => (paused ? base : base + (performance.now() - since)),
  };
}

function faultsAreOn(faults) {
  const { webhooks, slow_seconds: _, ...shares } = faults;
  const { late_by: __, ...others } = webhooks;
  return [...Object.values(shares), ...Object.values(others)].some((share) => share > 0);
}

// The section Data: the snapshot and the reset.
function createData(context) {
  const download = action("Download the snapshot", downloadSnapshot, { done: "The snapshot is downloaded." });
  const id = uniqueId("file");
  const file = element("input", { id, type: "file", accept: ".json,application/json", class: "input" });
  const restore = action(
    "Restore from the file",
    async () => {
      if (!file.files.length) throw new Error("Choose a snapshot file first.");
      const body = await readJson(file.files[0]);
      const sure = await ask({
        title: "Restore this snapshot?",
        text: "The account, its messages and its webhooks are replaced by those of the file.",
        confirm: "Restore",
        danger: true,
      });
      if (!sure) return false;
      await put("/_sandbox/snapshot", body);
      file.value = "";
      context.reload();
      return true;
    },
    { done: "The snapshot is restored." },
  );
  const reset = action(
    "Reset the sandbox…",
    async () => {
      const sure = await ask({
        title: "Reset the sandbox?",
        text: "All messages, contacts, webhooks and requests are deleted. The sandbox is as it was started.",
        confirm: "Reset",
        danger: true,
      });
      if (!sure) return false;
      await post("/_sandbox/reset", {});
      context.reload();
      return true;
    },
    { kind: "danger", done: "The sandbox is as it was started." },
  );
  const node = element(
    "div",
    { class: "grid" },
    panel(
      "Snapshot",
      {
        description:
          "One JSON file with agents, contacts, consents, balance, prices, messages and what is scheduled. It contains recipients, content and the secrets of webhook endpoints.",
      },
      element("div", { class: "inline-form" }, download.node),
      element(
        "div",
        { class: "inline-form" },
        element("div", { class: "field" }, element("label", { for: id, text: "Snapshot file" }), file),
        restore.node,
      ),
    ),
    panel(
      "Reset",
      { description: "Start again with the options that the sandbox was started with." },
      element("div", { class: "inline-form" }, reset.node),
    ),
  );
  return { id: "data", label: "Snapshot and reset", node };
}

async function downloadSnapshot() {
  const snapshot = await get("/_sandbox/snapshot");
  const url = URL.createObjectURL(new Blob([JSON.stringify(snapshot)], { type: "application/json" }));
  const link = element("a", { href: url, download: "sandbox.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function readJson(file) {
  try {
    return JSON.parse(await file.text());
  } catch {
    throw new Error("The file is not JSON.");
  }
}
