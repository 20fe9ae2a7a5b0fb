"""What the tests in a browser share: a sandbox that can be restarted, watched pages, and the check by axe-core.

Rules:
- Playwright's event loop runs in the thread of the test, so a test of a page is a plain function, and calls of the
  sandbox run in other threads.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread
from typing import Any, Literal, TypeVar, final
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal
from attrs import define, field
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

import msgapi
from msgapi import Call
from msgapi.sandbox import Sandbox, ServedSandbox, serve_in_thread

T = TypeVar("T")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example 127.0.0.1",  # hosts of attackers, which are this machine
)
TIMEOUT = 10_000  # milliseconds until what a test waits for must be there
_HEAD = "<!doctype html><html lang=en><head><title>Test</title></head><body><main><h1>Test</h1>"
_SERIOUS = {"serious", "critical"}
_AXE = "axe-core {version}: {count} serious findings\n{findings}"


@contextmanager
def start_chromium() -> Iterator[Browser]:
    """Run Chromium for the duration of a `with`, with a user data directory of its own, which is empty at first."""
    path = shutil.which("chromium")
    if path is None:
        message = "the browser needs Chromium: apt-get install chromium"
        raise FileNotFoundError(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@final
@define(eq=False)
class PageSandbox:
    """A sandbox on a socket. `stop` and `start` are a restart at the same address."""

    sandbox: Sandbox
    _served: ServedSandbox | None = field(default=None, init=False)
    _stack: ExitStack = field(factory=ExitStack, init=False)
    url: str = field(default="", init=False)

    @property
    def api_key(self) -> str:
        return self.sandbox.api_key

    def start(self, sandbox: Sandbox | None = None) -> None:
        """Serve the sandbox, or another one from now on; after a stop at the port of before."""
        self.sandbox = sandbox or self.sandbox
        serving = serve_in_thread(self.sandbox, port=urlsplit(self.url).port or 0)
        self._served = self._stack.enter_context(serving)
        self.url = self._served.url

    def stop(self) -> None:
        self._stack.close()
        self._served = None

    def use(self, function: Callable[[Sandbox], T]) -> T:
        """Return the result of *function*, which is called with the sandbox in the thread of the server."""
        assert self._served is not None, "the sandbox is stopped"
        return self._served.call(function)

    def send(self, call: Call[T]) -> T:
        """Carry out *call* with a client, over HTTP; return its value."""
        (value,) = self.send_all(call)
        return value

    def send_all(self, *calls: Call[T]) -> list[T]:
        """Carry out *calls*, one after another, over one connection; return their values."""

        async def send() -> list[T]:
            async with msgapi.Client(base_url=self.url, api_key=self.api_key) as client:
                return [(await client(call)).unwrap() for call in calls]

        with start_blocking_portal() as portal:
            return portal.call(send)


@contextmanager
def serve_page(sandbox: Sandbox | None = None) -> Iterator[PageSandbox]:
    """Serve a sandbox with its page for the duration of a `with`."""
    running = PageSandbox(sandbox or Sandbox())
    running.start()
    try:
        yield running
    finally:
        running.stop()


@final
@define(eq=False, slots=False)  # Playwright sets an attribute beside a method that handles its events
class Pages:
    """Opens pages, each in a browser context of its own unless one is given, and keeps the *problems* of all of them.

    A problem is an error in the console, an uncaught exception, a violation of the CSP, or a request to another origin.
    `allow` takes a pattern of the problems that a test provokes.
    """

    browser: Browser
    url: str
    problems: list[str] = field(factory=list, init=False)
    _allowed: list[re.Pattern[str]] = field(factory=list, init=False)
    _contexts: list[BrowserContext] = field(factory=list, init=False)

    def open(
        self,
        target: str = "/",
        *,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1280,
        height: int = 800,
        context: BrowserContext | None = None,
    ) -> Page:
        """Open *target*, a path or a whole URL, and return the page."""
        if context is None:
            context = self.browser.new_context(
                color_scheme=scheme,
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
                permissions=["clipboard-read", "clipboard-write"],
            )
            context.set_default_timeout(TIMEOUT)
            self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught {error}"))
        page.on("request", self._on_request)
        _ = page.goto(target if "://" in target else f"{self.url}{target}")
        return page

    def allow(self, pattern: str) -> None:
        """Accept the problems in which *pattern*, a regular expression, is found."""
        self._allowed.append(re.compile(pattern))

    def close(self) -> None:
        """Close the pages. Raise AssertionError if one of them had a problem that is not allowed."""
        while self._contexts:
            self._contexts.pop().close()
        found = [one for one in self.problems if not any(pattern.search(one) for pattern in self._allowed)]
        assert found == [], "\n".join(["the page had these problems:", *found])

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in {"data", "blob", "about"} and not request.url.startswith(f"{self.url}/"):
            self.problems.append(f"a request to another origin: {request.method} {request.url}")


@contextmanager
def serve_site(body: str, script: str = "", policy: str | None = None) -> Iterator[int]:
    """Serve one page with *body*, and `/script.js` with *script*, on every name of this machine; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = "text/html; charset=utf-8", f"{_HEAD}{body}"
            if self.path == "/script.js":
                kind, content = "text/javascript", script
            self.send_response(204 if self.path == "/favicon.ico" else 200)
            self.send_header("Content-Type", kind)
            if policy is not None:
                self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            _ = self.wfile.write(b"" if self.path == "/favicon.ico" else content.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def assert_accessible(page: Page) -> None:
    """Fail if axe-core has a serious or critical finding in the current state of *page*."""
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    _ = page.evaluate(f"() => {{ {script} }}")
    report: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    found = [one for one in report["violations"] if one["impact"] in _SERIOUS]
    findings = [_describe(one) for one in found]
    version = report["testEngine"]["version"]
    assert found == [], _AXE.format(version=version, count=len(found), findings="\n".join(findings))


def _describe(finding: dict[str, Any]) -> str:
    nodes = finding["nodes"]
    targets = "; ".join(str(node["target"]) for node in nodes[:5])
    head = f"- {finding['id']} ({finding['impact']}): {finding['help']}"
    return f"{head}\n  {targets}\n  {nodes[0]['html'][:200]}\n  {nodes[0].get('failureSummary', '')}"
