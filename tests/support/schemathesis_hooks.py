"""Hooks of schemathesis: a request that waits for a message does not wait, since no message comes meanwhile."""

from importlib import import_module
from typing import Any


def before_call(_: Any, case: Any, __: Any) -> None:  # noqa: ANN401 - those of schemathesis
    """Set the timeout of a wait to 0, unless it is one that is refused."""
    if case.operation.path == "/_sandbox/messages/wait" and str(case.query.get("timeout", "0")).isdecimal():
        case.query["timeout"] = 0


import_module("schemathesis").hook(before_call)  # which is not installed where the types are checked
