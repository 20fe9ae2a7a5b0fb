"""Forms: how the functions of a noun turn what they are given into a call, or into what is wrong with it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias, TypeVar, final
from urllib.parse import quote

from attrs import field, frozen

from ..calls import Call
from ..codec import dump, format_time
from ..results import Detail, Invalid
from .validators import Problem, Rule, key, path_id, prefix_path

T = TypeVar("T")
Query: TypeAlias = Mapping[str, tuple[Rule, object]]
"""The parameters of a query: the rule for each, and what was given; None is left out."""


@final
@frozen
class Schema:
    """What a *model* of a request may hold: a rule for each field, and one for *whole* of it."""

    model: type
    rules: Mapping[str, Rule]
    whole: Callable[[Any], Iterable[Detail]] = field(default=lambda _: ())

    def check(self, value: object) -> tuple[Detail, ...]:
        """Tell what is wrong with *value*; nothing if it may be sent. Never raises."""
        if type(value) is not self.model:
            return (Detail("", f"must be a {self.model.__name__}"),)
        found = tuple(one for name, rule in self.rules.items() for one in prefix_path(name, rule(getattr(value, name))))
        return found or tuple(self.whole(value))

    def rule(self, value: object) -> Problem:
        """Ask for a value that this form lets through, as a rule for the field of another model."""
        return self.check(value)


def invalid(details: tuple[Detail, ...]) -> Invalid:
    """Make the value that the service itself gives for a request with these *details*."""
    return Invalid(message="; ".join(f"{one.field} {one.message}".strip() for one in details), details=details)


def check_key(idempotency_key: str) -> Detail | None:
    """Tell what is wrong with an idempotency key: it must be 1 to 255 visible ASCII characters.

    The docs advise a UUID and give no limit (/api/conventions): this is what a header holds safely.
    """
    said = key(idempotency_key)
    return None if said is None else Detail("idempotency_key", said)


def build_call(
    method: str,
    path: str,
    returns: type[T],
    *,
    ids: Mapping[str, str] | None = None,
    query: Query | None = None,
    body: object = None,
    form: Schema | None = None,
    idempotency_key: str | None = None,
) -> Call[T]:
    """Make a call of *path*, whose `{names}` are those of *ids*; what is wrong is in the call's `invalid`."""
    ids, asked = ids or {}, {name: pair for name, pair in (query or {}).items() if pair[1] is not None}
    details = [one for name, given in ids.items() for one in prefix_path(name, path_id(given))]
    details += [one for name, (rule, given) in asked.items() for one in prefix_path(name, rule(given))]
    details += form.check(body) if form else ()
    wrong = None if idempotency_key is None else check_key(idempotency_key)
    name = None if wrong else idempotency_key
    if details or wrong:
        found = (*details, wrong) if wrong else tuple(details)
        return Call(method, path, returns, idempotency_key=name, invalid=invalid(found))
    target = path.format_map({name: quote(given, safe="") for name, given in ids.items()})
    pairs = tuple((name, query_value(given)) for name, (_, given) in asked.items())
    return Call(method, target, returns, pairs, None if body is None else dump(body), name)


def query_value(value: object) -> str:
    """Write one value of a query: a time in UTC with `Z`, a date as it is, true and false as JSON has them."""
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else f"{value}"
