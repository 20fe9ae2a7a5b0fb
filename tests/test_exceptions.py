"""Every exception of the package survives pickle and copy, so that process pools and task queues can report it."""

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import msgapi
from msgapi import NotSent
from msgapi.cli.output import CliError, Exit
from msgapi.journal import Unusable


def exceptions() -> Iterator[type[BaseException]]:
    seen = set[type[BaseException]]()
    for module in pkgutil.walk_packages(msgapi.__path__, "msgapi."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            ours = isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == module.name
            if ours and value not in seen:
                seen.add(value)
                yield value


def example(kind: type[BaseException]) -> BaseException:
    """Return an exception of this *kind*; one with arguments of its own must be listed here."""
    examples: dict[str, tuple[object, ...]] = {
        "Unusable": ("in use", "the journal is in use"),
        "CliError": ("a text", Exit.STOPPED),
        "CallFailed": (NotSent("a reason"),),
        "ConnectFailed": (NotSent("a reason"),),
    }
    return kind(*examples.get(kind.__name__, ("a text",)))


@pytest.mark.parametrize("kind", list(exceptions()), ids=lambda kind: kind.__name__)
def test_an_exception_survives_pickle_and_copy(kind: type[BaseException]) -> None:
    error = example(kind)
    error.add_note("a note")
    for back in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):  # noqa: S301 - our own
        assert type(back) is kind
        assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


def test_the_exceptions_of_the_package_are_found() -> None:
    assert {"Unusable", "Misconfigured", "CliError", "Refused"} <= {kind.__name__ for kind in exceptions()}


def test_an_exception_with_arguments_of_its_own_keeps_them() -> None:
    unusable = pickle.loads(pickle.dumps(Unusable("in use", "the journal is in use")))  # noqa: S301 - our own
    assert (unusable.reason, str(unusable)) == ("in use", "the journal is in use")
    error = CliError("a text", Exit.STOPPED, facts={"missing": "1.00"})
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (back.status, back.facts, str(back)) == (Exit.STOPPED, {"missing": "1.00"}, "a text")
