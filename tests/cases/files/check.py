"""Feeds the files of cases/ to `msgapi batch` and compares what left with what an ops person should get.

Each case is cases/NAME/ with the input and expect.json:
  file      the input, relative to the case
  args      what follows `msgapi batch FILE` (default: RCS, 'Hi {name}'); "@region:DE" and "@encoding:cp1252" stand for
            whatever option --help offers for that
  steps     instead of one run: a list of {args, file, between} runs, with `between` a command for the shell
            and `during` one that begins together with the run
  outcomes  the results that are right, the best first: {sent: [[to, text], ...] | null, only: what may be sent, each
            person once, exit: [..], says: [regex], never_says: [regex]}; `says` is looked for in what the dry run, the run and its results file print
  why       the reason, in one line
What left is what a server on loopback, which is not the project's own, has received.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = sys.executable  # run by the PYTHON that `run` was given
ONLY = sys.argv[2:]
RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    got: list = []
    by_key: dict = {}
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def _answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(raw))),
                            ("X-RateLimit-Limit", "100000"), ("X-RateLimit-Remaining", "99999"),
                            ("X-RateLimit-Reset", "4102444800")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        self._answer(200, {"free": 1000.0, "reserved": 0.0, "total": 1000.0})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body, key = json.loads(raw), self.headers.get("Idempotency-Key")
        with self.lock:
            if key and key in self.by_key:  # the safest reading of the docs: a key is one operation
                return self._answer(200, self.by_key[key])
            answer = {"message_id": f"msg_{len(self.got):08x}", "status": "queued", "created_at": "2026-05-04T07:30:00Z",
                      "billing": {"channel": "RCS", "message_type": "basic_message", "hold_amount": 0.07,
                                  "message_price": 0.07, "balance": {"free": 1000.0, "reserved": 0.0, "total": 1000.0}}}
            self.got.append(body)
            if key:
                self.by_key[key] = answer
        self._answer(200, answer)


def help_of(command):
    return subprocess.run([PYTHON, "-m", "msgapi.cli", *command, "--help"], capture_output=True, text=True).stdout


HELP = help_of(["batch"])


def option(kind, value):
    names = {"region": r"--(?:default-)?(?:region|country)\b", "encoding": r"--encoding\b"}[kind]
    found = re.search(names, HELP)
    return [found[0], value] if found else None


def filled(args):
    out = []
    for one in args:
        if one.startswith("@"):
            kind, value = one[1:].split(":")
            made = option(kind, value)
            if made is None:
                return None
            out += made
        else:
            out.append(one)
    return out


def run(args, cwd, env, stdin=None):
    try:
        done = subprocess.run([PYTHON, "-m", "msgapi.cli", "batch", *args], cwd=cwd, env=env, capture_output=True,
                              timeout=90, stdin=stdin if stdin is not None else subprocess.DEVNULL)
        return done.returncode, (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        return "timeout", ""


def text_of(body):
    content = body.get("content") or {}
    return content.get("text") or content.get("html") or ""


FACTS = {}


def found(pattern, said):
    """In one line, unless the pattern begins with (?s)."""
    return re.search(pattern, said, re.I)


def told(said):
    lines = [line.strip() for line in said.splitlines()]
    wanted = [line for line in lines if re.match(r"(msgapi: (?!\d|every row|the same|\d+ rows)|line \d+:|\w*Error)", line)]
    return re.sub(r"/\S*/", "", (wanted or [""])[0].removeprefix("msgapi: "))[:110]


def case(path, port):
    want = json.loads((path / "expect.json").read_text())
    problems = []
    with tempfile.TemporaryDirectory() as tmp:
        there = Path(tmp) / path.name
        shutil.copytree(path, there)
        env = {**os.environ, "MSGAPI_API_KEY": "key_files", "MSGAPI_BASE_URL": f"http://127.0.0.1:{port}",
               "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        Server.got, Server.by_key = [], {}
        said, status, planned = "", None, None
        steps = want.get("steps") or [{"file": want["file"], "args": want.get("args", RCS)}]
        single = "steps" not in want
        for number, step in enumerate(steps):
            if step.get("between"):
                subprocess.run(step["between"], shell=True, cwd=there, check=True, env={**env, "PYTHON": PYTHON})
            args = filled(step["args"])
            if args is None:
                return ["no option for " + ", ".join(one for one in step["args"] if one.startswith("@"))]
            begin = [step["file"], *args]
            if single:
                _, dry = run([*begin, "--dry-run", "--json"], there, env)
                _, shown = run([*begin, "--dry-run"], there, env)
                said += shown
                try:
                    planned = json.loads(dry[: dry.rindex("}") + 1])
                except ValueError:
                    planned = None
                begin += ["--no-journal", "--results", "results.jsonl"]
            during = step.get("during") and subprocess.Popen(step["during"], shell=True, cwd=there)
            status, out = run(begin, there, env)
            if during:
                during.wait(60)
            said += out
        results = there / "results.jsonl"
        if results.exists():
            said += results.read_text()
        for name in {str(there), *(step["file"] for step in steps)}:  # what the path says is no answer
            said = said.replace(name, "FILE")
        sent = sorted([body["to"], text_of(body)] for body in Server.got)
        if "Traceback" in said:
            problems.append("a traceback")
        if planned and "units" in planned:
            if sum(planned["units"].values()) != len(sent):
                problems.append(f"the dry run promised {sum(planned['units'].values())}, {len(sent)} left")
            if single and results.exists() and len(results.read_text().splitlines()) != planned["rows"]:
                problems.append("the results do not tell of every row")
    near = []
    FACTS.update(status=status, sent=len(sent), rows=(planned or {}).get("rows"), invalid=(planned or {}).get("invalid"),
                 duplicate=(planned or {}).get("duplicate"), said=told(said), which=None)
    for FACTS["which"], outcome in enumerate(want["outcomes"], 1):
        wrong = []
        if outcome.get("sent") is not None and sent != sorted(outcome["sent"]):
            wrong.append(f"sent {json.dumps(sent, ensure_ascii=False)[:300]}")
        if "only" in outcome and (strangers := [one for one in sent if one not in outcome["only"]]):
            wrong.append(f"sent what is in no file: {json.dumps(strangers, ensure_ascii=False)[:200]}")
        if "only" in outcome and len({to for to, _ in sent}) < len(sent):
            wrong.append("sent twice to somebody")
        if status not in outcome["exit"]:
            wrong.append(f"exit {status}")
        wrong += [f"does not say /{one}/" for one in outcome.get("says", []) if not found(one, said)]
        wrong += [f"says /{one}/" for one in outcome.get("never_says", []) if found(one, said)]
        if not wrong:
            break
        near.append("; ".join(wrong))
    else:
        problems.append(" | or ".join(near))
    if "-v" in sys.argv:
        print(said)
    return problems


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.handle_error = lambda *_: None  # a client that went away
    threading.Thread(target=server.serve_forever, daemon=True).start()
    passed = failed = 0
    table = open(os.environ["FILES_TABLE"], "w") if "FILES_TABLE" in os.environ else None
    for path in sorted((HERE / "cases").iterdir()):
        if ONLY and not any(one in path.name for one in ONLY if one != "-v"):
            continue
        FACTS.clear()
        problems = case(path, server.server_port)
        if table:
            mark = "FAIL" if problems else "ok" if FACTS.get("which") == 1 else f"ok ({FACTS.get('which')})"
            shown = [FACTS.get(name) for name in ("status", "rows", "sent", "invalid", "duplicate")]
            print("|", " | ".join([path.name, *("-" if one is None else str(one) for one in shown),
                                   FACTS.get("said", "").replace("|", "/"), mark]), "|", file=table, flush=True)
        if problems:
            failed += 1
            why = json.loads((path / "expect.json").read_text())["why"]
            print(f"FAIL {path.name}: {'; '.join(problems)}\n     expected: {why}")
        else:
            passed += 1
            print(f"ok   {path.name}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
