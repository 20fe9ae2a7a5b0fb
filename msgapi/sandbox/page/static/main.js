// The shell: the tabs by the hash of the address, the stream of changes, the connection, the colours and the shortcuts.
//
// A tab is a module with `create()`, which returns {node, show(parts), hide(), change(data), shortcuts}. `parts` is the
// rest of the hash, decoded: `#phones/%2B4915/msg_1` is shown as show(["+4915", "msg_1"]).

import { get, onChange, onConnection, retryNow, startStream } from "./api.js";
import { dialog, element, icon, recall, remember, replace } from "./dom.js";

const TABS = {
  phones: { title: "Phones", load: () => import("./phones.js") },
  account: { title: "Account", load: () => import("./account.js") },
  requests: { title: "Requests", load: () => import("./requests.js") },
};
const CONNECTION = {
  connecting: "Connecting",
  connected: "Live",
  reconnecting: "Reconnecting",
  stopped: "Stopped",
  refused: "No access",
};
const NOTICES = {
  stopped:
    "The sandbox has stopped. Start it again with `msgapi sandbox` at the same port: this page connects by itself.",
  refused: "The sandbox does not accept this page any more. Open the address that `msgapi sandbox` has printed.",
};
const main = document.getElementById("main");
const tabs = new Map(); // name -> a promise of the tab
let shown = null; // {name, tab}
let wanted = ""; // the hash that is being shown

function parseHash() {
  const [name, ...parts] = location.hash.slice(1).split("/");
  return { name: name in TABS ? name : "phones", parts: parts.filter(Boolean).map(decode) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function load(name) {
  if (!tabs.has(name)) {
    const loading = TABS[name].load().then((module) => {
      const tab = module.create();
      tab.node.hidden = true;
      tab.node.classList.add("tab");
      tab.node.id = `tab-${name}`;
      main.append(tab.node);
      return tab;
    });
    tabs.set(name, loading);
    loading.catch(() => tabs.delete(name));
  }
  return tabs.get(name);
}

async function navigate() {
  const { name, parts } = parseHash();
  const hash = location.hash;
  wanted = hash;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.tab === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TABS[name].title} · msgapi sandbox`;
  let tab;
  try {
    tab = await load(name);
  } catch (error) {
    showProblem(name, error);
    return;
  }
  if (wanted !== hash) return; // another tab was chosen meanwhile
  main.querySelector(".load-problem")?.remove();
  if (shown?.name !== name) {
    leaveTab();
    tab.node.hidden = false;
    shown = { name, tab };
  }
  tab.show(parts);
}

function leaveTab() {
  if (shown === null) return;
  shown.tab.hide();
  shown.tab.node.hidden = true;
  shown = null;
}

function showProblem(name, error) {
  leaveTab();
  main.querySelector(".load-problem")?.remove();
  const again = element("button", { type: "button", class: "button", text: "Try again", on: { click: navigate } });
  const text = `The tab ${TABS[name].title} could not be loaded: ${error.message}`;
  main.append(element("div", { class: "empty load-problem" }, element("p", { text }), again));
}

// The connection

function showConnection(state) {
  const node = document.getElementById("connection");
  node.dataset.state = state;
  node.querySelector(".connection-text").textContent = CONNECTION[state];
  const notice = document.getElementById("notice");
  const text = NOTICES[state];
  notice.hidden = text === undefined;
  if (text === undefined) return;
  const again = element("button", { type: "button", class: "button small", text: "Try now", on: { click: retryNow } });
  replace(notice, icon("alert"), element("span", { text }), again);
}

// The colours

const THEMES = ["", "light", "dark"];
const THEME_NAMES = { "": ["as the system", "auto"], light: ["light", "sun"], dark: ["dark", "moon"] };
const themeButton = document.getElementById("theme");

function showTheme() {
  const theme = document.documentElement.dataset.theme ?? "";
  const [name, image] = THEME_NAMES[theme];
  replace(themeButton, icon(image));
  themeButton.setAttribute("aria-label", `Colours: ${name}. Change`);
  themeButton.title = `Colours: ${name}`;
}

function changeTheme() {
  const theme = document.documentElement.dataset.theme ?? "";
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  if (next === "") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  remember("theme", next);
  showTheme();
}

// The shortcuts

const SHORTCUTS = [
  { key: "1", text: "Phones", run: () => go("phones") },
  { key: "2", text: "Account", run: () => go("account") },
  { key: "3", text: "Requests", run: () => go("requests") },
  { key: "t", text: "Light, dark, or as the system", run: changeTheme },
  { key: "?", text: "Show the shortcuts", run: showHelp },
];

function go(name) {
  location.hash = `#${name}`;
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (recall("shortcuts", "on") === "off" || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"))) return;
  const found = [...(shown?.tab.shortcuts ?? []), ...SHORTCUTS].find((one) => one.key === event.key);
  if (!found) return;
  event.preventDefault();
  found.run(event);
}

function showHelp() {
  const list = (title, shortcuts) =>
    shortcuts?.length
      ? element(
          "section",
          {},
          element("h3", { text: title }),
          element(
            "dl",
            { class: "shortcuts" },
            shortcuts.map((one) =>
              element(
                "div",
                {},
                element("dt", {}, element("kbd", { text: one.name ?? one.key })),
                element("dd", { text: one.text }),
              ),
            ),
          ),
        )
      : null;
  const box = element("input", { type: "checkbox", checked: recall("shortcuts", "on") === "on" });
  box.addEventListener("change", () => remember("shortcuts", box.checked ? "on" : "off"));
  const version = element("p", { class: "muted" });
  dialog({
    title: "Keyboard shortcuts",
    body: element(
      "div",
      { class: "stack" },
      list(shown ? TABS[shown.name].title : "", shown?.tab.shortcuts),
      list("Everywhere", SHORTCUTS),
      element("label", { class: "check" }, box, element("span", { text: "Use keys without Ctrl or Alt as shortcuts" })),
      version,
    ),
  });
  get("/_sandbox/health").then(
    (health) => {
      version.textContent = `msgapi ${health.version} · the HTTP interface is described in /openapi.json`;
    },
    () => {},
  );
}

function start() {
  const help = document.getElementById("help");
  replace(help, icon("help"));
  help.setAttribute("aria-label", "Keyboard shortcuts");
  help.title = "Keyboard shortcuts (?)";
  help.addEventListener("click", showHelp);
  themeButton.addEventListener("click", changeTheme);
  showTheme();
  addEventListener("hashchange", navigate);
  document.addEventListener("keydown", onKey);
  document.querySelector(".skip-link").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  onConnection(showConnection);
  onChange((data) => shown?.tab.change(data));
  void navigate();
  startStream();
}

start();
