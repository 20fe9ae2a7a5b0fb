"""Programs in Python as processes of their own, which start quickly.

Half of the time of a small program goes into the import of the libraries below the package. A server imports them once,
and each program is a fork of it: it imports the package itself, has its own environment and directory, and exits as any
other one does.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from attrs import define, field, frozen

from tests.support.served_sandbox import without_coverage

_IMPORTED: Final = ("aiohttp", "anyio._backends._asyncio", "attrs", "cattrs", "orjson")
_TIMEOUT: Final = 120.0  # seconds that no program needs
_SERVER: Final = """
import importlib, json, os, sys, types

for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    asked = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, path in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
        file = os.open(path, os.O_RDWR)
        os.dup2(file, number)
        os.close(file)
    sys.argv, sys.path[1:1] = ["-c"], filter(None, asked["env"].get("PYTHONPATH", "").split(os.pathsep))
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(asked["program"], main.__dict__)
    break
"""


@frozen
class Ended:
    """What a program has printed, and its exit status."""

    stdout: str
    stderr: str
    returncode: int


@define(eq=False)
class ForkServer:
    """A process that runs one program after another, started for the first one. The programs are not measured."""

    _process: "subprocess.Popen[str] | None" = field(default=None, init=False)

    def run(self, program: str, env: Mapping[str, str], directory: Path | None = None) -> Ended:
        """Run *program*, as `python -c` does, to its end."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        overdue = threading.Timer(_TIMEOUT, process.kill)
        with TemporaryDirectory() as files:
            stdout, stderr = Path(files, "stdout"), Path(files, "stderr")
            for path in (stdout, stderr):
                path.touch()
            asked = {"program": program, "env": {**env}, "directory": str(directory or Path.cwd())}
            overdue.start()
            try:
                _ = process.stdin.write(f"{json.dumps(asked | {'stdout': str(stdout), 'stderr': str(stderr)})}\n")
                process.stdin.flush()
                said = process.stdout.readline()
            finally:
                overdue.cancel()
            assert said, f"the program has not ended after {_TIMEOUT:g} seconds: {stderr.read_text()}"
            return Ended(stdout.read_text(), stderr.read_text(), int(said))

    def close(self) -> None:
        """End the process, if one was started."""
        if self._process is not None:
            _ = self._process.communicate()
            self._process = None

    def _start(self) -> "subprocess.Popen[str]":
        command, pipe, env = [sys.executable, "-c", _SERVER, *_IMPORTED], subprocess.PIPE, without_coverage(os.environ)
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)  # noqa: S603 - our own program


SERVER: Final = ForkServer()
"""The server of this process; a fixture of the session closes it."""
