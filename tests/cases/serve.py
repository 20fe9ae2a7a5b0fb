"""What the cases share: a service and a raw server on loopback, the command, and an end in bounded time.

A case ends with 1 while the fault is there, with 0 once the behaviour is right, and with 2 if it could not run itself.
"""

import atexit
import contextlib
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "key_case_0123456789"
SEND = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]
ACCEPTED = {
    "message_id": "msg_1", "status": "queued", "created_at": "2026-05-04T07:30:00Z",
    "billing": {"channel": "RCS", "message_type": "basic_message", "hold_amount": 0.07, "message_price": 0.07},
}
here = Path(tempfile.mkdtemp(prefix="case-"))  # the folder of this run, gone at its end
_children: list[subprocess.Popen] = []


# The end of a case.


def done(fault, *told):
    """Print what happened, and end: 1 if *fault*, else 0."""
    if told:
        print(*told)
    print("FAULT" if fault else "right")
    _leave(1 if fault else 0)


def need(premise):
    """End with 2 if *premise* does not hold: then the case shows nothing, as after a change of the API."""
    if not premise:
        raise RuntimeError("what this case relies on does not hold any more")


def limit(seconds, status=1):
    """End with *status* if the case is still running after *seconds*: for a case in which something never ends."""
    def late():
        print(f"no end after {seconds} s\n{'FAULT' if status == 1 else 'the case could not run'}")
        _leave(status)
    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()


def _leave(status):
    sys.stdout.flush()
    _tidy()
    os._exit(status)


@atexit.register
def _tidy():
    for child in _children:
        with contextlib.suppress(OSError):
            child.kill()
    shutil.rmtree(here, ignore_errors=True)


def _broken(kind, error, trace):
    traceback.print_exception(kind, error, trace)
    print("the case could not run")
    _leave(2)


sys.excepthook = _broken
limit(55, status=2)


# The service, as far as these cases need it.


class Service:
    """Accepts messages on loopback: a key is one operation, a message costs 0.07 EUR of the *free* balance.

    *pace*: seconds for each message, one after the other. *answer*: a function of (method, path, headers, body) that
    may give (status, body, headers) in place of the usual answer. *dated*: whether answers have a Date.
    """

    def __init__(self, free=1000.0, pace=0.0, answer=None, dated=True):
        self.free, self.pace, self.answer, self.dated = free, pace, answer, dated
        self.requests, self.got, self.known, self.lock = [], [], {}, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
            service = self

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with contextlib.suppress(ConnectionError):
                    self.say(*self.service.take(self.command, self.path, self.headers, body))

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

            def say(self, status, body=b"", headers=()):
                if isinstance(body, dict):
                    body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **dict(headers)}
                body = body.encode() if isinstance(body, str) else body
                self.send_response(status) if self.service.dated else self.send_response_only(status)
                for name, value in {**dict(headers), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 512

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def take(self, method, path, headers, body):
        self.requests.append((method, path, dict(headers), body))
        given = self.answer and self.answer(method, path, headers, body)
        if given:
            return given
        if (method, path) == ("GET", "/v1/billing/balance"):
            return 200, {"free": self.free, "reserved": 0.0, "total": self.free}
        if (method, path) != ("POST", "/v1/messages"):
            return 404, {"error": "not_found", "message": f"no such route: {path}"}
        with self.lock:
            time.sleep(self.pace)
            key, asked = headers.get("Idempotency-Key"), json.loads(body)
            if key and key in self.known:
                return 200, self.known[key]
            if self.free < 0.07:
                left = {"free": self.free, "reserved": 0.0, "total": self.free}
                return 402, {"error": "insufficient_balance", "message": "m", "balance": left, "required_amount": 0.07}
            self.free = round(self.free - 0.07, 2)
            self.got.append(asked)
            answer = ACCEPTED | {"message_id": f"msg_{len(self.got)}"}
            if key:
                self.known[key] = answer
            return 200, answer

    @property
    def to(self):
        """How many messages each recipient got."""
        return Counter(body["to"] for body in self.got)

    @property
    def twice(self):
        return sum(count > 1 for count in self.to.values())

    def wait_for(self, count, seconds=15):
        until = time.monotonic() + seconds
        while len(self.got) < count:
            if time.monotonic() > until:
                raise RuntimeError(f"only {len(self.got)} of {count} messages came")
            time.sleep(0.005)


# A server whose every byte is the case's own.


class Raw:
    """Calls *handle(connection, number)* in a thread for each connection that comes in."""

    def __init__(self, handle):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._handle = handle

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        for number in itertools.count(1):
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection, number), daemon=True).start()

    def _run(self, connection, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError, EOFError):
            self._handle(connection, number)


def request_from(connection):
    """Read one request: its method, path and body. EOFError if the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        some = connection.recv(65536)
        if not some:
            raise EOFError
        data += some
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    sizes = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
    while len(body) < sum(sizes):
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return method, path, body


def reply(body=b"{}", status="200 OK", **headers):
    """Write an answer with a Content-Length; a header name is given with _ for -."""
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{named}Content-Length: {len(body)}\r\n\r\n".encode() + body


def reset(connection):
    """End a connection by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# The command, and messages.


def environment(url=None, **more):
    """The environment of a command that talks to *url*."""
    keep = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    keep |= {"MSGAPI_API_KEY": KEY, "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "COLUMNS": "140"}
    return keep | ({"MSGAPI_BASE_URL": url} if url else {}) | more


def command(*arguments):
    return [sys.executable, "-m", "msgapi.cli", *map(str, arguments)]


def run(*arguments, url=None, env=None, timeout=40, **options):
    """Run the command `msgapi` to its end, in the folder of this run; `said` is all that it printed."""
    ended = subprocess.run(command(*arguments), cwd=here, env=env or environment(url), timeout=timeout,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", **options)
    ended.said = ended.stdout + ended.stderr
    return ended


def start(*arguments, url=None, **options):
    """Start the command `msgapi`; it is killed when the case ends."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    child = subprocess.Popen(command(*arguments), cwd=here, env=environment(url), stdin=subprocess.DEVNULL, **pipes)
    _children.append(child)
    return child


def number(n):
    return f"+49151{n:08}"


def people(count, name="people.csv"):
    """Write a file of so many recipients."""
    file = here / name
    file.write_text("to,name\n" + "".join(f"{number(n)},P{n}\n" for n in range(1, count + 1)))
    return file


def call(n=1, **more):
    """A message to the n-th recipient, as a call."""
    from msgapi import messages

    text = messages.Text(agent_id="ag_live_demo", to=number(n), traffic_type="TRANSACTION", text="Hi")
    return messages.send(text, **more)


async def journalled(url, rows, path):
    """Send so many rows to *url* with a journal at *path*; gives why it was stopped, if it was."""
    import msgapi
    from msgapi import batch, journal

    calls = ((f"r{n}", call(n)) for n in range(rows))
    async with (
        msgapi.Client(api_key=KEY, base_url=url, retry=msgapi.Retry(attempts=1)) as api,
        journal.open(str(path), batch="b") as record,
        batch.send(api, calls, journal=record, outage_timeout=0) as outcomes,
    ):
        async for _ in outcomes:
            pass
    return outcomes.stopped and outcomes.stopped.reason


def readme():
    """The README, as it was installed."""
    from importlib.metadata import metadata

    return metadata("msgapi-sdk").get_payload()


if __name__ == "__main__":  # a service in a process of its own; the first line it prints is its URL
    with Service(pace=float(sys.argv[1]) if sys.argv[1:] else 0.0) as service:
        print(service.url, flush=True)
        sys.stdin.read()
        _leave(0)
