"""The compose file and the workflow of the docs: their commands are run without Docker, from an installed wheel.

They are read from the files, so that a test runs what the documentation says. The tests are here since they need the
network for pip, and take a while.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.raw_servers import free_port

pytestmark = pytest.mark.xdist_group("installed")
ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docs/sandbox/compose.yaml").read_text())
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / "docs/sandbox/github-actions.yml").read_text())
PORT = "8025"  # in the files
NAMES = """
import socket

resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **named: resolve("127.0.0.1" if host == "sandbox" else host, *rest, **named)
"""  # what the DNS of compose does
BODY = {
    "agent_id": "ag_live_demo",
    "to": "+4915112345678",
    "message_type": "MESSAGE",
    "traffic_type": "TRANSACTION",
    "content": {"text": "Hello"},
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make a fresh virtual environment in which pip installs msgapi-sdk from a wheel of this checkout."""
    directory = tmp_path_factory.mktemp("installed")
    programs = directory / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", programs.parent], check=True)  # noqa: S603
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1"}
    build = [f"{programs / 'pip'}", "wheel", "--quiet", "--no-deps", "--wheel-dir", f"{directory}", f"{ROOT}"]
    subprocess.run(build, check=True, env=os.environ | quiet)  # noqa: S603
    (wheel,) = directory.glob("*.whl")
    constraint = directory / "constraint.txt"
    _ = constraint.write_text(f"msgapi-sdk=={wheel.name.split('-')[1]}\n")
    cleared = {name: value for name, value in os.environ.items() if not name.startswith(("MSGAPI_", "PYTHON"))}
    links = " ".join(filter(None, (f"{directory}", os.environ.get("PIP_FIND_LINKS"))))
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return cleared | quiet | {"PATH": path, "PIP_CONSTRAINT": str(constraint), "PIP_FIND_LINKS": links}


def adapted(text: str, port: int) -> str:
    """Return a command or an address of the files with a free port."""
    return text.replace(PORT, f"{port}")


def run(command: list[str], environment: Mapping[str, str], directory: Path) -> str:
    done = subprocess.run(command, env=environment, cwd=directory, check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def process_group(
    command: list[str], environment: Mapping[str, str], directory: Path
) -> Iterator["subprocess.Popen[str]"]:
    """Run *command*, and end it and what it has started in the background when the block ends."""
    ended, inherited = os.pipe()
    process = subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=[inherited],
    )
    os.close(inherited)
    with process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            assert os.read(ended, 1) == b""  # once all of them have ended
            os.close(ended)


def test_the_steps_of_the_workflow_pass(environment: dict[str, str], tmp_path: Path) -> None:
    job, port = WORKFLOW["jobs"]["tests"], free_port()
    variables = environment | {name: adapted(value, port) for name, value in job["env"].items()}
    steps = {step["name"]: adapted(step["run"], port) for step in job["steps"] if "run" in step}
    assert list(steps) == ["Install the sandbox", "Start the sandbox", "Test", "Show the log of the sandbox"]
    _ = run(["bash", "-e", "-c", steps["Install the sandbox"]], variables, tmp_path)
    with process_group(["bash", "-e", "-c", steps["Start the sandbox"]], variables, tmp_path) as starting:
        assert starting.stdout is not None
        assert json.loads(starting.stdout.read())["status"] == "ok"
        assert starting.wait() == 0
        sent = run(["bash", "-e", "-c", steps["Test"]], variables, tmp_path)
        assert '"message_id"' in sent
        log = run(["bash", "-e", "-c", steps["Show the log of the sandbox"]], variables, tmp_path)
        assert f"http://127.0.0.1:{port}" in log


def test_the_services_of_the_compose_file_reach_each_other_by_name(environment: dict[str, str], tmp_path: Path) -> None:
    sandbox, app, port = COMPOSE["services"]["sandbox"], COMPOSE["services"]["app"], free_port()
    assert sandbox["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    with process_group([adapted(part, port) for part in sandbox["command"]], environment, tmp_path) as serving:
        assert serving.stdout is not None
        assert any(line.startswith("export MSGAPI_BASE_URL") for line in serving.stdout)
        kind, *check = sandbox["healthcheck"]["test"]
        assert kind == "CMD"
        _ = run([adapted(part, port) for part in check], environment, tmp_path)

        variables = environment | {name: adapted(value, port) for name, value in app["environment"].items()}
        _ = (tmp_path / "sitecustomize.py").write_text(NAMES)
        send = "msgapi send --to +4915112345678 --agent ag_live_demo --traffic TRANSACTION --text Hi --json".split()
        sent = json.loads(run(send, variables | {"PYTHONPATH": str(tmp_path)}, tmp_path))
        found = curl(port, variables, tmp_path, f"/v1/messages/{sent['message_id']}")
        assert found["id"] == sent["message_id"]

        _ = curl(port, variables, tmp_path, "/v1/messages", "--data", json.dumps(BODY))
        refused = curl(port, variables, tmp_path, "/v1/messages", host="other")
        assert (refused["error"], "--allow-host other" in refused["message"]) == ("forbidden", True)


def curl(
    port: int, variables: Mapping[str, str], directory: Path, path: str, *options: str, host: str = "sandbox"
) -> dict[str, Any]:
    """Return the answer to a request by curl, for which *host* is an address of this machine."""
    headers = [f"Authorization: Bearer {variables['MSGAPI_API_KEY']}", "Content-Type: application/json"]
    named = [part for header in headers for part in ("--header", header)]
    resolved = ("--resolve", f"{host}:{port}:127.0.0.1")
    text = run(["curl", "--silent", *resolved, *named, *options, f"http://{host}:{port}{path}"], variables, directory)
    answer: dict[str, Any] = json.loads(text)
    return answer
