"""Advice for an attribute that a client does not have: the line to write instead."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Final

_NOUNS: Final = ("messages", "contacts", "agents", "campaigns", "billing", "webhooks", "testagent")


def advice_for(name: str) -> str | None:
    """Return the line to write instead of `client.<name>`, or None if the API has nothing of this name."""
    if name == "close":
        return "await client.aclose()"
    if name == "batch":
        return "a batch takes the client: batch.send(client, calls)"
    if name.startswith("_"):
        return None
    lines = [_usage(name, *_functions(name)[0])] if name in _NOUNS else [*_usages(name)]
    return f"a call is a value: {' or '.join(lines)}" if lines else None


def _usages(wanted: str) -> Iterator[str]:
    for noun in _NOUNS:
        for name, function in _functions(noun):
            if name == wanted:
                yield _usage(noun, name, function)


def _usage(noun: str, name: str, function: object) -> str:
    if inspect.isasyncgenfunction(function):
        what = "item" if name.startswith("iterate") else "page"
        return f"async for {what} in {noun}.{name}(client)"
    return f"await client({noun}.{name}(...))"


def _functions(noun: str) -> list[tuple[str, object]]:
    # The functions that return a call or take a client; `send` or `create` is the first if there is one.
    module = import_module(f"..{noun}", __package__)
    found = [(name, getattr(module, name)) for name in module.__all__]
    functions = [(name, value) for name, value in found if inspect.isfunction(value)]
    return sorted(functions, key=lambda item: (item[0] not in {"send", "create"}, item[0]))
