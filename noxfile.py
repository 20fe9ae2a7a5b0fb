"""Every check of this project. `nox` runs lint, both of typing, and tests; the others run with `nox -s NAME`."""

import re
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "typing_recipes", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

PROJECT = nox.project.load_toml("pyproject.toml")
HERE = ["msgapi", "tests", "benchmarks", "docs/conf.py", "docs/generate.py", "docs/recipes", "noxfile.py"]
# `worksteal`: a process that has no test left takes some from another, so a few long tests do not delay the end.
ALL_TESTS = ["-n", "auto", "--dist", "worksteal"]
SEND = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION"]


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style: the rules and the format of ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check", *HERE)
    session.run("ruff", "format", "--check", *HERE)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy and pyright; every result must be used, and every public name must be typed."""
    session.install(*group("typing"), ".[cli,fast,nats,otel,redis,xlsx]")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "msgapi", "--ignoreexternal")


@nox.session
def typing_recipes(session: nox.Session) -> None:
    """Check the types of the recipes, with the stubs of their libraries, which the tests do without."""
    session.install(*group("typing-recipes"), ".[cli,fast,nats,otel,redis,trio,xlsx]")
    session.run("mypy", "docs/recipes")
    session.run("pyright", "--project", "docs/recipes")


def run_tests(session: nox.Session) -> None:
    """Run pytest under coverage: all tests in one process per core, or with ARGS what they name, in one process."""
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or ALL_TESTS))


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, on asyncio and trio, in one process per core; fail if a branch is not covered.

    `nox -s tests -- ARGS` passes ARGS to pytest, which then runs in one process (add `-n auto` for more) and requires
    no coverage.
    """
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis,xlsx]")
    run_tests(session)
    if not session.posargs:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report")


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """Run all tests with the oldest allowed version of each dependency."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["cli"], *extras["nats"], *extras["otel"], *extras["redis"]]
    oldest = [re.sub(r">=([\w.]+).*", r"==\1", one) for one in wanted]
    constraints = Path(session.create_tmp()) / "oldest.txt"
    _ = constraints.write_text("\n".join(oldest))
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis,xlsx]", "-c", str(constraints))
    run_tests(session)


@nox.session
def tests_prerelease(session: nox.Session) -> None:
    """Run the tests of the transports with aiohttp's newest pre-release; say so if none can be installed."""
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis,xlsx]")
    allow = "--prerelease=allow" if session.venv_backend == "uv" else "--pre"
    session.install("--upgrade", allow, "aiohttp", success_codes=[0, 1, 2])  # a pre-release may fail to build
    version = str(session.run("python", "-c", "import aiohttp; print(aiohttp.__version__)", silent=True)).strip()
    if not re.search(r"(a|b|rc|dev)\d+$", version):
        session.skip(f"no pre-release of aiohttp can be installed: the newest version is {version}")
    session.run("python", "-m", "pytest", *(session.posargs or [*ALL_TESTS, "tests/transports"]))


def install_browser_tests(session: nox.Session) -> None:
    if shutil.which("chromium") is None:
        session.error("this session needs Chromium: apt-get install chromium")
    session.install(*group("browser"), ".[cli]")


@nox.session
def browser(session: nox.Session) -> None:
    """Test the page of the sandbox in Chromium, with Playwright and axe-core; and the commands of docs/sandbox."""
    install_browser_tests(session)
    in_two = ["-n", "2", "--dist", "loadgroup"]  # the tests of one group share what was installed for them
    session.run("pytest", *(session.posargs or [*in_two, "tests/browser"]))


@nox.session
def screenshots(session: nox.Session) -> None:
    """Write the screenshots of the sandbox's page in docs/images."""
    install_browser_tests(session)
    session.run("python", "-m", "tests.browser.screenshots")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation as HTML, in docs/_build; a warning, such as a link that leads nowhere, is an error."""
    session.install(*group("docs"), ".[cli,fast,nats,otel,pytest,redis,trio,xlsx]")
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-q", "-b", "html", "docs", "docs/_build/html")


@nox.session
def package(session: nox.Session) -> None:
    """Build both distributions, check their metadata and contents, and run the command of the installed wheel."""
    session.install(*group("package"))
    folder = Path(session.create_tmp()) / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
    session.run("twine", "check", "--strict", *map(str, folder.iterdir()))
    session.run("check-wheel-contents", str(folder))
    session.run("python", "tests/support/check_distribution.py", str(folder))
    (wheel,) = folder.glob("*.whl")
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.install(f"msgapi-sdk[cli] @ {wheel.absolute().as_uri()}")
    session.cd(folder)  # where the package of the checkout is not found
    session.run("msgapi", "send", "--sandbox", "--to", "+4915112345678", "--text", "Hi", *SEND)


@nox.session
def conform(session: nox.Session) -> None:
    """Test the sandbox over HTTP against its own OpenAPI document, with schemathesis."""
    session.install(".[cli]", "schemathesis>=4.3,<5")
    program = ["msgapi", "sandbox", "--rate", "1000000", "--", "python", "tests/support/schemathesis_run.py"]
    session.run(*program, *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill batches and fleets of 20,000 rows behind a proxy that injects faults; run thousands of schedules in memory.

    Batches are also run by the command, over a file that is edited between the kills.
    `nox -s chaos -- 500 5x2000 2x5000` runs 500 schedules on each event loop, 5 batches of 2,000 rows, and, for each
    engine and each moment at which one of two workers of a fleet is killed, 2 batches of 5,000 rows.
    """
    session.install(*group("tests"), ".[cli,fast,nats,otel,redis,xlsx]")
    asked = ("2000", "50x20000", "5x20000")
    schedules, rounds, fleets = [*session.posargs, *asked[len(session.posargs) :]]
    kept = ("--basetemp", str(Path(session.create_tmp()) / "chaos"))  # keeps the files of a batch that failed
    programs = ("tests/test_chaos.py", "tests/test_chaos_edits.py")
    session.run("pytest", "-q", "-s", *kept, *programs, env={"MSGAPI_CHAOS": rounds})
    session.run("pytest", "-q", "-s", *kept, "tests/fleet/test_killed.py", env={"MSGAPI_FLEET": fleets})
    states = ("tests/batch/test_states.py", "tests/fleet/test_states.py")
    session.run("pytest", *states, env={"MSGAPI_SCHEDULES": schedules})


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks: ratios to raw aiohttp in one run, then other clients, each in an environment of its own."""
    session.install(".[cli,fast,otel]", "opentelemetry-sdk>=1.30,<2")
    programs = (
        "import_time",
        "call_cpu",
        "blocking",
        "observed",
        "batch_cost",
        "command",
        "storm",
        "fleet_cost",
        "sandbox_log",
        "sandbox_speed",
    )
    for program in programs:
        session.run("python", f"benchmarks/{program}.py")
    session.run("python", "benchmarks/peers.py", "--markdown", "benchmarks/peers.md", *session.posargs)
