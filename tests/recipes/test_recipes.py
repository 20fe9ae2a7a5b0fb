"""The recipes of the documentation: each is run as a program, against the sandbox on a socket."""

import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from tests.support.programs import SERVER, Ended
from tests.support.served_sandbox import served

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"
TIMEOUT = 120.0  # seconds that no program needs
WITHOUT_RCS = next(magic.phone for magic in MAGIC_RECIPIENTS if magic.digits == "404")
DOWN = next(magic.phone for magic in MAGIC_RECIPIENTS if magic.digits == "503")


def run(env: dict[str, str], directory: Path, *command: str) -> str:
    if command[0] == "-c":
        done: Ended | subprocess.CompletedProcess[str] = SERVER.run(command[1], env, directory)
    else:
        argv = [sys.executable, *command]
        done = subprocess.run(  # noqa: S603 - our own programs
            argv, env=env, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


DJANGO_WSGI = f"""
from concurrent.futures import ThreadPoolExecutor
import django_wsgi
from django.test import Client

def post(to):
    return Client().post("/codes", {{"to": to}}).status_code

with ThreadPoolExecutor(8) as threads:
    print(sorted(threads.map(post, [f"+49151{{number:08}}" for number in range(24)])) == [202] * 24)
print(post("{WITHOUT_RCS}"), post("not a number"), Client().get("/codes").status_code)
"""


def test_django_under_wsgi_sends_codes_from_many_threads(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    assert run(env, tmp_path, "-c", DJANGO_WSGI) == "True\n422 422 405\n"
    assert len(sandbox.messages) == 24


FORKING = """
import os, sys, threading
from wsgiref.simple_server import make_server
from urllib.request import urlopen
import django_wsgi

server = make_server("127.0.0.1", 0, django_wsgi.application)  # the parent listens, and its children accept
workers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        sys.stderr = open(os.devnull, "w")
        for _ in range(5):
            server.handle_request()
        sys.exit(0)
    workers.append(pid)
for number in range(10):
    body = f"to=%2B49151{number:08}".encode()
    assert urlopen(f"http://127.0.0.1:{server.server_port}/codes", body).status == 202
print([os.waitpid(pid, 0)[1] for pid in workers])
"""


def test_django_in_forked_workers_opens_a_client_in_each(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    assert run(env, tmp_path, "-W", "error::ResourceWarning", "-c", FORKING) == "[0, 0]\n"
    assert len(sandbox.messages) == 10


DJANGO_ASGI = """
import asyncio, contextlib, threading
import uvicorn
import django_asgi
from urllib.error import HTTPError
from urllib.request import urlopen

config = uvicorn.Config(django_asgi.application, port=0, log_level="error", lifespan="on", ws="none")
server = uvicorn.Server(config)

def post(body):
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        return urlopen(f"http://127.0.0.1:{port}/notices", body).status
    except HTTPError as error:
        return error.code

async def main():
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print("open" in repr(django_asgi.client), "closed" in repr(django_asgi.client))
    print(await asyncio.to_thread(post, b"to=%2B4915100000001"), await asyncio.to_thread(post, b"to=nobody"))
    server.should_exit = True
    await serving
    print("open" in repr(django_asgi.client), "closed" in repr(django_asgi.client))

asyncio.run(main())
"""


def test_django_under_asgi_opens_the_client_for_its_lifespan(
    env: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    printed = run(env, tmp_path, "-W", "error::ResourceWarning", "-c", DJANGO_ASGI)
    assert printed == "True False\n202 422\nFalse True\n"
    assert len(sandbox.messages) == 1


def test_the_command_of_django_sends_the_rest_when_it_is_repeated(
    env: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    command = (str(RECIPES / "django_command.py"), "november-reminder")
    assert run(env, tmp_path, *command) == "200 accepted, 0 sent earlier\n"
    assert run(env, tmp_path, *command) == "0 accepted, 200 sent earlier\n"
    assert len({message.to for message in sandbox.messages}) == len(sandbox.messages) == 200


@pytest.mark.usefixtures("unmeasured_processes")
def test_the_command_of_django_says_how_to_continue_after_an_empty_balance(tmp_path: Path) -> None:
    with served(Sandbox(balance=Decimal("2.80"))) as env:
        command = [sys.executable, str(RECIPES / "django_command.py"), "november-reminder"]
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    assert done.returncode == 1
    assert done.stdout == "40 accepted, 0 sent earlier\n"
    assert "the batch has stopped (balance): repeat the command to continue" in done.stderr


FLASK = f"""
from flask_app import app

def post(order, to):
    return app.test_client().post(f"/orders/{{order}}/notice", data={{"to": to}}).status_code

print(post(1, "+4915100000001"), post(1, "+4915100000001"), post(2, "{WITHOUT_RCS}"))
"""


def test_flask_sends_one_message_for_two_clicks(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    assert run(env, tmp_path, "-c", FLASK) == "202 202 422\n"
    assert len(sandbox.messages) == 1


CELERY = f"""
import celery_tasks
from celery.contrib.testing.worker import start_worker

celery_tasks.app.conf.result_backend = "cache+memory://"
with start_worker(celery_tasks.app, pool="threads", concurrency=4, perform_ping_check=False, loglevel="CRITICAL"):
    sent = [celery_tasks.send_text.delay(f"+49151{{number:08}}", "Hi") for number in range(20)]
    print(len({{one.get(timeout=20) for one in sent}}))
    refused = celery_tasks.send_text.delay("{WITHOUT_RCS}", "Hi")
    print(type(refused.get(timeout=20, propagate=False)).__name__)
"""


def test_celery_runs_the_task_in_a_worker(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    assert run(env, tmp_path, "-c", CELERY) == "20\nCallFailed\n"
    assert len(sandbox.messages) == 20


CELERY_RETRY = f"""
import celery_tasks
from celery.exceptions import Retry

task = celery_tasks.send_text
task.push_request(id="task-1", args=("{DOWN}", "Hi"), kwargs={{}}, called_directly=False)
try:
    task.run("{DOWN}", "Hi")
except Retry as retry:
    print(retry.when)
"""


def test_celery_tries_again_while_the_service_is_down(env: dict[str, str], tmp_path: Path) -> None:
    assert float(run(env, tmp_path, "-c", CELERY_RETRY)) >= 1


CELERY_SETTINGS = """
import os
from celery_tasks import app

folder = os.path.dirname(__file__)
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}
"""
CELERY_QUEUE = """
from settings import app
from celery_tasks import send_text

for number in range(12):
    send_text.delay(f"+49151{number:08}", "Hi")
"""


def test_celery_opens_a_client_in_each_process_of_a_prefork_worker(
    env: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    env |= {"CELERY_BROKER_URL": "filesystem://", "PYTHONPATH": f"{env['PYTHONPATH']}:{tmp_path}"}
    _ = (tmp_path / "settings.py").write_text(CELERY_SETTINGS)
    _ = run(env, tmp_path, "-c", CELERY_QUEUE)
    options = "-P prefork -c 2 -l ERROR --without-gossip --without-mingle --without-heartbeat"
    command = [sys.executable, "-m", "celery", "-A", "settings", "worker", *options.split()]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as worker:  # noqa: S603
        try:
            deadline = time.monotonic() + TIMEOUT
            while len(sandbox.messages) < 12 and worker.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            worker.terminate()
            _, complaint = worker.communicate(timeout=TIMEOUT)
        finally:
            worker.kill()
    assert len({message.to for message in sandbox.messages}) == len(sandbox.messages) == 12
    assert (b"Traceback" in complaint, worker.returncode) == (False, 0), complaint.decode()


DRAMATIQ = f"""
import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.worker import Worker

broker = StubBroker()
dramatiq.set_broker(broker)
import dramatiq_actors
from msgapi import CallFailed

worker = Worker(broker, worker_timeout=50, worker_threads=4)
worker.start()
for number in range(20):
    dramatiq_actors.send_text.send(f"+49151{{number:08}}", "Hi")
broker.join("default", fail_fast=True)
dramatiq_actors.send_text.send("{WITHOUT_RCS}", "Hi")
try:
    broker.join("default", fail_fast=True)
except CallFailed as failed:
    print("CallFailed", failed.error.code)
worker.join()
worker.stop()
"""


def test_dramatiq_runs_the_actor_in_a_worker(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    assert run(env, tmp_path, "-c", DRAMATIQ) == "CallFailed not_rcs_capable\n"
    assert len(sandbox.messages) == 20


FASTAPI = f"""
import anyio, re
from httpx2 import ASGITransport, AsyncClient
from fastapi_codes import app

async def main():
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as browser,
    ):
        async def post(path, **body):
            answer = await browser.post(path, json=body)
            return answer.status_code, answer.json()

        to = "+4915112345678"
        print(await post("/codes", to=to))
        digits = app.state.codes[to].digits
        for code in ("wrong", digits, digits):
            print((await post("/codes/check", to=to, code=code))[1]["valid"])
        print((await post("/codes", to="{WITHOUT_RCS}"))[0], (await post("/codes", to="nobody"))[0])

anyio.run(main)
"""


def test_fastapi_sends_and_checks_a_code(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    printed = run(env, tmp_path, "-c", FASTAPI)
    assert printed == "(202, {'status': 'sent'})\nFalse\nTrue\nFalse\n422 422\n"
    assert len(sandbox.messages) == 1


NOTEBOOK = f"""
import asyncio, json
from IPython.core.interactiveshell import InteractiveShell

notebook = json.load(open({str(RECIPES / "notebook.ipynb")!r}))
shell = InteractiveShell.instance()
shell.autoawait = True

async def main():
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            done = await shell.run_cell_async("".join(cell["source"]), transformed_cell="".join(cell["source"]))
            done.raise_error()
            print(repr(done.result))
    cell = "import msgapi; msgapi.BlockingClient()(billing.balance())"
    done = await shell.run_cell_async(cell, transformed_cell=cell)
    print("async with msgapi.Client()" in str(done.error_in_exec))

asyncio.run(main())
"""


def test_the_notebook_runs_cell_by_cell(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    printed = run(env, tmp_path, "-W", "error::ResourceWarning", "-c", NOTEBOOK)
    assert "\n20\n" in printed
    assert printed.splitlines()[-1] == "True"
    assert len(sandbox.messages) == 20


def test_every_recipe_has_a_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(path.stem in text for path in RECIPES.iterdir() if path.suffix in {".py", ".ipynb"})
