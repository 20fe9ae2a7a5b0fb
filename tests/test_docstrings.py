"""The docstrings of the public names are complete: a first sentence, defaults, units, errors, repetition, the API page.

A docstring may refer to another one in place of naming its parameters: "those of `name`", "as in `name`", "as `name`".
"""

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import msgapi

UNITS = re.compile(r"second|Unix|EUR|share|fraction|from 0 to 1|random number", re.IGNORECASE)
REFERENCE = re.compile(r"(those of|that of|as in|as|see|are as in) `[\w.]+`", re.IGNORECASE)
RAISES = re.compile(r"\braise (TypeError|ValueError|RuntimeError|Misconfigured|ControlError)\b")
NO_API = {"msgapi.define_call", "msgapi.extend_call"}  # routes of the caller's own


def exported(module: ModuleType) -> list[str]:
    named = getattr(module, "__all__", None)
    if named is not None:
        return list(named)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def public() -> Iterator[tuple[str, Any]]:
    modules = [getattr(msgapi, name) for name in msgapi.__all__]
    seen: set[int] = set()
    for module in [msgapi, *(one for one in modules if isinstance(one, ModuleType))]:
        for name in exported(module):
            value = getattr(module, name)
            is_named = isinstance(value, type) or inspect.isfunction(value)
            if is_named and value.__module__.startswith("msgapi") and id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__}.{name}", value


def members(owner: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in vars(owner).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and (not name.startswith("_") or name == "__call__"):
            yield name, function


NAMES = dict(public())
FUNCTIONS: dict[str, Callable[..., Any]] = {name: value for name, value in NAMES.items() if inspect.isfunction(value)}
METHODS = {
    f"{name}.{member}": function
    for name, owner in NAMES.items()
    if isinstance(owner, type)
    for member, function in members(owner)
}
EVERY = {**NAMES, **METHODS}


def sources(text: str, name: str) -> bool:
    return re.search(rf"\*{name}\*|`{name}`|\b{name}:", text) is not None


@pytest.mark.parametrize("name", EVERY)
def test_a_public_name_has_a_first_sentence(name: str) -> None:
    first = (inspect.getdoc(EVERY[name]) or "").split("\n\n")[0]
    assert first.endswith((".", ":")), first


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_makes_a_call_says_whether_it_is_repeated_and_names_the_page_of_the_api(name: str) -> None:
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    if (
        str(inspect.signature(FUNCTIONS[name]).return_annotation).startswith("msgapi.calls.Call[")
        and name not in NO_API
    ):
        assert "repeat" in text.lower()
        assert re.search(r"docs: /", text, re.IGNORECASE), text


@pytest.mark.parametrize("name", FUNCTIONS | METHODS)
def test_a_function_says_what_its_optional_parameters_are_and_in_which_unit(name: str) -> None:
    function = (FUNCTIONS | METHODS)[name]
    text = inspect.getdoc(function) or ""
    refers = REFERENCE.search(" ".join(text.split())) is not None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not inspect.Parameter.empty and not refers:
            assert sources(text, parameter.name), parameter.name
        if "float" in str(parameter.annotation) and not refers:
            assert UNITS.search(text), parameter.name


@pytest.mark.parametrize("name", FUNCTIONS | METHODS)
def test_a_function_that_raises_says_so(name: str) -> None:
    function = (FUNCTIONS | METHODS)[name]
    if RAISES.search(inspect.getsource(function)):
        assert re.search(r"\braises?\b", inspect.getdoc(function) or "", re.IGNORECASE)
