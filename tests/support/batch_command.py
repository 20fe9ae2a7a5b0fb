"""`msgapi batch` for tests to kill: `batch_command.py ARGUMENTS` gives up each attempt after a second."""

import sys

from msgapi.cli import connection, main

if __name__ == "__main__":
    connection._TIMEOUT = 1.0  # type: ignore[misc]
    sys.exit(main(["batch", *sys.argv[1:]]))
