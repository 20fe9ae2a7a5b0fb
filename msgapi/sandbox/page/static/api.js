// The HTTP interface of the sandbox, and its stream of changes.
//
// Rules:
// - A read needs the cookie of the page, a change the token of the page, too. A server that was restarted has new ones:
//   the page is fetched anew for them, and a refused request is repeated once, since it changed nothing.
// - The stream is read with fetch and not with EventSource, which hides the status of a refusal, the comments that show
//   that the connection lives, and closes for good after some errors.
// - A page that is hidden has no stream, because a browser has six connections per host for all its tabs.

const QUIET_TIMEOUT = 40_000; // milliseconds without a byte; the server sends a comment every 15 s
const RETRY = [250, 500, 1000, 2000];
const STOPPED_AFTER = 3; // attempts
const HIDDEN_FOR = 20_000;
const PARTS = ["messages", "requests", "account", "webhooks", "agents", "contacts", "campaigns", "clock", "faults"];
const EVERYTHING = Object.fromEntries(PARTS.map((name) => [name, true]));

/** The error of a request. `status` is 0 and `code` is "unreachable" if there was no answer. */
class ApiError extends Error {
  constructor(message, { status = 0, code = "unreachable", details = [] } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

const meta = (name) => document.querySelector(`meta[name="${name}"]`);

/** Return a value that the server wrote into the page: `token`, `key` or `version`. */
export function pageValue(name) {
  return meta(`sandbox-${name}`)?.content ?? "";
}

/** Return the parsed answer to a GET. `params` that are null, undefined or "" are left out. */
export function get(path, params = {}) {
  return request("GET", path, { params });
}

/** Return the parsed answer to a POST with a JSON object. */
export function post(path, body = {}) {
  return request("POST", path, { body });
}

/** Return the parsed answer to a PUT with a JSON object. */
export function put(path, body) {
  return request("PUT", path, { body });
}

/** Return the parsed answer to a request; throw ApiError for every other answer than 2xx. */
async function request(method, path, { params = {}, body }) {
  const url = withParams(path, params);
  let answer = await send(method, url, body);
  if (answer.status === 401 || (answer.status === 403 && method !== "GET")) {
    const before = pageValue("token");
    if ((await renew()) && (answer.status === 401 || pageValue("token") !== before)) {
      answer = await send(method, url, body);
    }
  }
  const text = await answer.text();
  const parsed = parse(text);
  if (answer.ok) return parsed;
  throw new ApiError(describe(parsed, answer), {
    status: answer.status,
    code: parsed?.error ?? "error",
    details: parsed?.details ?? [],
  });
}

function withParams(path, params) {
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function send(method, url, body) {
  const headers = { accept: "application/json" };
  if (method !== "GET") headers["x-sandbox-token"] = pageValue("token");
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    return await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError("The sandbox does not answer. Is `msgapi sandbox` still running?");
  }
}

function parse(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function describe(parsed, answer) {
  const details = (parsed?.details ?? []).map((one) => (one.field ? `${one.field} ${one.message}` : one.message));
  const message = parsed?.message ?? `The sandbox answered with ${answer.status}.`;
  return details.length ? `${message} ${details.join("; ")}` : message;
}

let renewing = null;

// Fetch the page for a new cookie and token; return whether it was answered.
function renew() {
  renewing ??= (async () => {
    try {
      const answer = await fetch("/", { cache: "no-store", credentials: "same-origin" });
      if (!answer.ok) return false;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const value = (name) => page.querySelector(`meta[name="sandbox-${name}"]`)?.content ?? "";
      if (pageValue("version") !== value("version")) {
        location.reload(); // another version of the sandbox has another page
        return false;
      }
      for (const name of ["token", "key"]) meta(`sandbox-${name}`)?.setAttribute("content", value(name));
      return true;
    } catch {
      return false;
    } finally {
      renewing = null;
    }
  })();
  return renewing;
}

// The stream of changes

const changeListeners = new Set();
const connectionListeners = new Set();
let state = "connecting";
let lastId = "";
let running = null; // the AbortController of the stream, if it is wanted

/** Call the listener with the data of each change, or with `{reset: true}`. */
export function onChange(listener) {
  changeListeners.add(listener);
}

/**
 * Call the listener with the state of the connection, now and whenever it changes: `connecting`, `connected`,
 * `reconnecting`, `stopped` (nothing listens there) or `refused` (the page may not read).
 */
export function onConnection(listener) {
  connectionListeners.add(listener);
  listener(state);
}

/** Start the stream of changes. It is paused while the page is hidden. */
export function startStream() {
  let timer = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(stop, HIDDEN_FOR);
    else start();
  });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", start);
  addEventListener("online", retryNow);
  start();
}

/** Try to connect now, without the rest of the wait. */
export function retryNow() {
  wake?.();
}

function start() {
  if (running !== null) return;
  running = new AbortController();
  void run(running);
}

function stop() {
  running?.abort();
  running = null;
}

async function run(controller) {
  let failures = 0;
  while (!controller.signal.aborted) {
    const outcome = await readStream(controller.signal, () => {
      failures = 0;
    });
    if (controller.signal.aborted) return;
    if (outcome === "refused") {
      setState("refused");
    } else {
      failures += 1;
      setState(failures > STOPPED_AFTER ? "stopped" : "reconnecting");
    }
    await pause(RETRY[Math.min(failures, RETRY.length - 1)], controller.signal);
  }
}

let wake = null;

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { once: true });
  });
}

// Read the stream until it ends; return "ended", "unreachable" or "refused".
async function readStream(signal, opened) {
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  signal.addEventListener("abort", abort, { once: true });
  let watchdog = setTimeout(abort, QUIET_TIMEOUT);
  try {
    const answer = await openStream(attempt.signal);
    if (!answer.ok) return answer.status === 401 || answer.status === 403 ? "refused" : "ended";
    const again = state !== "connecting";
    opened();
    setState("connected");
    let resumed = again;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = eventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "ended";
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, QUIET_TIMEOUT);
      for (const event of parser(value)) {
        // The same sandbox goes on where it was, but what the page asked for meanwhile was not answered. Another one
        // sends a reset.
        const same = resumed && event.id !== null && instanceOf(event.id) === instanceOf(lastId);
        resumed = resumed && event.id === null;
        receive(event);
        if (same) emit(EVERYTHING);
      }
    }
  } catch {
    return "unreachable";
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", abort);
  }
}

function instanceOf(id) {
  return id.slice(0, id.lastIndexOf("-"));
}

async function openStream(signal) {
  const headers = { accept: "text/event-stream" };
  if (lastId !== "") headers["last-event-id"] = lastId;
  const open = () => fetch("/_sandbox/events", { headers, signal, cache: "no-store", credentials: "same-origin" });
  const answer = await open();
  return answer.status === 401 && (await renew()) ? open() : answer;
}

function receive({ event, id, data }) {
  if (id !== null) lastId = id;
  if (event === "reset") emit({ reset: true });
  else if (event === "change") {
    const parsed = parse(data);
    if (parsed !== null) emit(parsed);
  }
}

/** Return a function that takes text of the stream, and returns the events that are complete with it. */
export function eventParser() {
  let rest = "";
  let current = { event: "message", id: null, data: [] };
  return (text) => {
    const events = [];
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (current.data.length || current.event === "reset" || current.id !== null)
          events.push({ ...current, data: current.data.join("\n") });
        current = { event: "message", id: null, data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue; // a comment
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "event") current.event = value;
      else if (name === "id") current.id = value;
      else if (name === "data") current.data.push(value);
    }
    return events;
  };
}

function emit(data) {
  for (const listener of changeListeners) listener(data);
}

function setState(next) {
  if (next === state) return;
  state = next;
  for (const listener of connectionListeners) listener(state);
}
