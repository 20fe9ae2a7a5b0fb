"""Every check of this project. `nox` runs lint, typing and tests; the others are asked for by name."""

import re
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

PROJECT = nox.project.load_toml("pyproject.toml")
HERE = ["msgapi", "tests", "benchmarks", "noxfile.py"]


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Style: ruff's rules, and its format."""
    session.install(*group("lint"))
    session.run("ruff", "check", *HERE)
    session.run("ruff", "format", "--check", *HERE)


@nox.session
def typing(session: nox.Session) -> None:
    """Types: mypy strict, pyright with no dropped result, and a public surface that is typed whole."""
    session.install(*group("typing"), ".[cli,fast,nats,otel,redis]")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "msgapi", "--ignoreexternal")


def run_tests(session: nox.Session) -> None:
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Tests, on asyncio and trio, with every branch covered. `nox -s tests -- ARGS` passes ARGS to pytest."""
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis]")
    run_tests(session)
    if not session.posargs:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report")


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """Tests, with the oldest version of each dependency that we allow."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["cli"], *extras["nats"], *extras["otel"], *extras["redis"]]
    oldest = [re.sub(r">=([\w.]+).*", r"==\1", one) for one in wanted]
    constraints = Path(session.create_tmp()) / "oldest.txt"
    _ = constraints.write_text("\n".join(oldest))
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis]", "-c", str(constraints))
    run_tests(session)


@nox.session
def conform(session: nox.Session) -> None:
    """The sandbox over HTTP, against its own OpenAPI document, by schemathesis."""
    session.install(".[cli]", "schemathesis>=4.3,<5")
    program = ["msgapi", "sandbox", "--rate", "1000000", "--", "python", "tests/conforming.py"]
    session.run(*program, *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Batches and fleets that die, of 20,000 rows, behind a hostile proxy; and thousands of schedules in memory.

    `nox -s chaos -- 500 5x2000 2x5000` plays 500 schedules on each loop, 5 rounds of 2,000 rows, and 2 of 5,000 rows
    for each engine and moment at which one of two workers of a fleet is killed.
    """
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis]")
    asked = ("2000", "50x20000", "5x20000")
    schedules, rounds, fleets = [*session.posargs, *asked[len(session.posargs) :]]
    kept = ("--basetemp", str(Path(session.create_tmp()) / "chaos"))  # of a round that failed, to be looked at
    session.run("pytest", "-q", "-s", *kept, "tests/test_chaos.py", env={"MSGAPI_CHAOS": rounds})
    session.run("pytest", "-q", "-s", *kept, "tests/test_fleet_killed.py", env={"MSGAPI_FLEET": fleets})
    states = ("tests/test_batch_states.py", "tests/test_fleet_states.py")
    session.run("pytest", *states, env={"MSGAPI_SCHEDULES": schedules})


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmarks: ratios to raw aiohttp in the same run; then beside the clients of others, each in its environment."""
    session.install(".[cli,fast,otel]", "opentelemetry-sdk>=1.30,<2")
    for program in ("import_time.py", "call_cpu.py", "observed.py", "batch_cost.py", "storm.py", "fleet_cost.py"):
        session.run("python", f"benchmarks/{program}")
    session.run("python", "benchmarks/peers.py", "--markdown", "benchmarks/peers.md", *session.posargs)
