"""A virtual environment for each client, made once and kept until its requirements change."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from peer_list import ENVIRONMENTS, OURS

ROOT = Path(__file__).resolve().parent.parent


class NotInstalled(Exception):
    """An environment could not be made; says why."""


def digest() -> str:
    """Return a digest that identifies the state of this tree."""
    files = sorted((ROOT / "msgapi").rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in (ROOT / "pyproject.toml", *files))).hexdigest()


def wanted(name: str) -> str:
    """Write down all that an environment's content depends on."""
    return "\n".join((*ENVIRONMENTS[name], sys.version, digest() if name == OURS else ""))


def run(*program: str) -> None:
    """Run a program quietly; what it says last is the reason if it fails."""
    done = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotInstalled(next((line for line in lines if line.startswith("ERROR")), lines[-1]))


def prepared(name: str, under: Path) -> Path:
    """Make the environment unless it stands already; gives its interpreter."""
    directory = (under / name).absolute()
    python, holds = directory / "bin" / "python", directory / "holds.txt"
    if holds.exists() and holds.read_text() == wanted(name) and python.exists():
        return python
    print(f"making the environment of {name}", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    run(sys.executable, "-m", "venv", str(directory))
    tree = [f"{ROOT}[fast]"] if name == OURS else []
    run(str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *ENVIRONMENTS[name], *tree)
    _ = holds.write_text(wanted(name))
    return python


def clean() -> dict[str, str]:
    """Copy the environment variables that have no say in what is measured: no proxy, no Python settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("PYTHON")
    }
