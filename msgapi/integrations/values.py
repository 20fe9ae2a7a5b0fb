"""Values: models, events and results as dicts of JSON types and as JSON, and back.

Rules:
- A dict has the form of the API: a request as it is sent, an answer as it is received, an event as it is delivered.
  `Ok` and errors have the name of their class as `kind` in addition.
- What is read from a dict that was written is equal to what was written.
- A `ValueError` names the fields that are wrong and quotes no value.
"""

from types import UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, overload

import attrs
import orjson

from ..codec import Problems, from_plain, parse, to_plain
from ..results import ApiError, Detail, Ok
from ..webhooks import EVENT_TYPES, Event, InvalidDelivery, UnknownEvent, write
from ..webhooks.delivery import read_event

T = TypeVar("T")
_EVENTS: Final = (*EVENT_TYPES.values(), UnknownEvent)
_ERRORS: Final = cast("tuple[type, ...]", get_args(ApiError))
_NOUNS: Final = frozenset(
    ["results", "messages", "contacts", "agents", "campaigns", "billing", "testagent", "webhooks"]
)
_KINDS: Final = {kind.__name__: kind for kind in (Ok, *_ERRORS)}


def to_dict(value: object) -> dict[str, Any]:
    """Return a model, an event or a result as a dict of strings, numbers, booleans, lists and dicts.

    A request has the form in which it is sent, an event that of a delivery, and an answer that in which it was
    received, with the fields that the model does not know in `extra`. A result has its class in `kind`, such as `Ok`
    or `Throttled`; the value of an `Ok` is in `value`. Fields at their default are left out. A time is a string in UTC,
    and an amount a number, or a string where no number is exactly equal.

    The dict holds what a repr hides: recipients, contents and idempotency keys. Raise TypeError for any other value.
    """
    if isinstance(value, _EVENTS):
        written: dict[str, Any] = orjson.loads(write(value))
        return written
    if isinstance(value, type) or not is_value_type(type(value)):
        raise TypeError(f"to_dict takes a model, an event or a result of msgapi, not {type(value).__name__}")
    return cast("dict[str, Any]", to_plain(value))


def to_json(value: object) -> str:
    """Return a model, an event or a result as JSON, in the form that `to_dict` describes."""
    return orjson.dumps(to_dict(value)).decode()


@overload
def from_dict(data: object, kind: type[T]) -> T: ...
@overload
def from_dict(data: object, kind: object) -> Any: ...  # noqa: ANN401 - a union has no type of its own
def from_dict(data: object, kind: Any) -> Any:
    """Return the value of the type *kind* that `to_dict` has written to *data*.

    *kind* is a model, such as `messages.Text`; an event or `webhooks.Event`; or the type of a result, such as
    `Result[messages.Accepted]`, `Ok[messages.Accepted]`, `ApiError` or one error; or a union of these, of which the
    first that fits is read. mypy wants a name for the type of a result: `SendResult: TypeAlias =
    Result[messages.Accepted]`. Only types are checked, not the documented limits: a call checks those.

    Raise ValueError if *data* do not fit; its text names each field that is wrong, and quotes no value. Raise TypeError
    for another *kind*.
    """
    check_kind(kind)
    found = _read(data, kind)
    if isinstance(found, Problems):
        raise ValueError(f"{found}")  # noqa: TRY004 - the data are wrong, and not the type of an argument
    return found


@overload
def from_json(text: str | bytes, kind: type[T]) -> T: ...
@overload
def from_json(text: str | bytes, kind: object) -> Any: ...  # noqa: ANN401 - as above
def from_json(text: str | bytes, kind: Any) -> Any:
    """Return the value of the type *kind* that `to_json` has written to *text*. Raise what `from_dict` raises."""
    data = parse(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
    if isinstance(data, Problems):
        raise ValueError(f"{data}")  # noqa: TRY004 - the text is wrong, and not the type of an argument
    return from_dict(data, kind)


def is_value_type(kind: object) -> bool:
    """Return whether *kind* is one class of a model, an event or a result of this package."""
    origin = get_origin(kind) or kind
    if not isinstance(origin, type) or not attrs.has(origin):
        return False
    package, _, rest = origin.__module__.partition(".")
    # A store or a receiver is compared by identity, and is no value.
    return package == "msgapi" and rest.partition(".")[0] in _NOUNS and origin.__eq__ is not object.__eq__


def parts_of(kind: object) -> tuple[Any, ...]:
    """Return the classes of a union, or *kind* alone."""
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def check_kind(kind: object) -> None:
    """Raise TypeError if *kind* is not a type that `from_dict` can read."""
    for part in parts_of(kind):
        if part is Ok or (get_origin(part) is Ok and not is_value_type(get_args(part)[0])):
            raise TypeError("Ok needs the model of its value, such as Ok[messages.Accepted]")
        if not is_value_type(part):
            raise TypeError(f"kind must be a model, an event or a result of msgapi, or a union of these, not {part!r}")


def _read(data: object, kind: Any) -> object:  # noqa: ANN401 - a class or a union
    parts = parts_of(kind)
    classes = tuple(get_origin(part) or part for part in parts)
    if all(one in _EVENTS for one in classes):
        return _expect(_read_event(data), classes)
    if any(one in _KINDS.values() for one in classes):
        return _read_result(data, {one.__name__: part for one, part in zip(classes, parts, strict=True)})
    return _read_model(data, parts)


def _read_event(data: object) -> Event | Problems:
    event = read_event(data)
    return _problem(event.reason) if isinstance(event, InvalidDelivery) else event


def _expect(event: Event | Problems, classes: tuple[type, ...]) -> object:
    if isinstance(event, (Problems, *classes)):
        return event
    if isinstance(event, UnknownEvent) and event.problems:
        return _problem("; ".join(event.problems))
    return _problem(f"is the event of another class, {type(event).__name__}")


def _read_result(data: object, parts: dict[str, Any]) -> object:
    name = data.get("kind") if isinstance(data, dict) else None
    if isinstance(name, str) and name in parts:
        kind: Any = parts[name] if name == "Ok" else ApiError
        return from_plain(data, kind)
    models = tuple(part for one, part in parts.items() if one not in _KINDS)
    return _read_model(data, models) if models else _problem(f"kind must be one of {', '.join(parts)}")


def _read_model(data: object, models: tuple[Any, ...]) -> object:
    # Requests refuse unknown fields, so at most one of them fits.
    found = [from_plain(data, model) for model in models]
    problems = [one for one in found if isinstance(one, Problems)]
    if len(problems) < len(found):
        return next(one for one in found if not isinstance(one, Problems))
    if len(problems) == 1:
        return problems[0]
    names = ", ".join(model.__name__ for model in models)
    return _problem(f"fits none of {names}; the nearest is {min(problems, key=lambda one: len(one.details))}")


def _problem(text: str) -> Problems:
    return Problems((Detail("", text),))
