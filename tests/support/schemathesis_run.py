"""Run schemathesis against the sandbox of the environment: `msgapi sandbox -- python …/schemathesis_run.py`.

No 5xx, no status and no body that the OpenAPI document does not have.
"""

import os
import subprocess
import sys
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    """Run it; *arguments* of the command line go to schemathesis."""
    url, key = os.environ["MSGAPI_BASE_URL"], os.environ["MSGAPI_API_KEY"]
    program = str(Path(sys.executable).with_name("st"))
    options = ["--checks", CHECKS, "--header", f"Authorization: Bearer {key}", "--seed", "1", "--max-examples", "30"]
    environ = {**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("schemathesis_hooks.py"))}
    command = [program, "run", f"{url}/openapi.json", *options, *sys.argv[1:]]
    return subprocess.call(command, env=environ)  # noqa: S603 - our own


if __name__ == "__main__":
    sys.exit(main())
