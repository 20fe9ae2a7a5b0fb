"""Request codecs: how the JSON of a request is read into the models that the client sends.

Rules:
- They are the sandbox's own. A client reads answers leniently; a service reads requests strictly.
- A value has exactly the JSON type that the docs show: money is a number, not text, and a boolean is not a number.
- An unknown field is a problem, because a misspelt one would be ignored otherwise.
- Reading never raises. It returns every problem with its path, and no problem quotes a value.
- Limits and enums are not checked here, except those of a form that the models do not keep.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, TypeVar, Union, cast, final, get_args, get_origin

import attrs
from attrs import define, field, frozen

from ...codegen import constructor
from ...messages import (
    Carousel,
    CreateCalendarEvent,
    Dial,
    Email,
    Message,
    OpenUrl,
    OpenUrlInWebview,
    Reply,
    RichCard,
    ShareLocation,
    Suggestion,
    Text,
    ViewLocation,
)
from ...results import Detail
from ...schema.mapping import field_paths, marker_paths

T = TypeVar("T")
Tree: TypeAlias = dict[str, Any]
TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""A time with its zone, as RFC 3339 has it."""
BASE64: Final = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
MAX_POSTBACK: Final = 2048  # characters in base64
_SUGGESTIONS: Final[Mapping[str, type]] = {
    "reply": Reply,
    "action.open_url": OpenUrl,
    "action.open_url_in_webview": OpenUrlInWebview,
    "action.dial": Dial,
    "action.view_location": ViewLocation,
    "action.share_location": ShareLocation,
    "action.create_calendar_event": CreateCalendarEvent,
}
"""The path of the object that identifies a suggestion, and its model."""


@final
@define
class RequestProblems:
    """The problems found so far: *unknown* fields, and values of a *wrong* type or missing ones."""

    unknown: list[Detail] = field(factory=list)
    wrong: list[Detail] = field(factory=list)

    @property
    def details(self) -> tuple[Detail, ...]:
        """All problems, unknown fields first."""
        return (*self.unknown, *self.wrong)

    def refuse(self, path: str, message: str) -> object:
        """Add a value that cannot be read, and return what stands in its place."""
        self.wrong.append(Detail(path, message))
        return None


Reader: TypeAlias = Callable[[Any, str, RequestProblems], Any]
"""Reads a value at a path. If it is not of its type, it adds a problem, and what it returns is not used."""


_READERS: Final[dict[object, Reader]] = {}  # by the model


def json_type_name(value: object) -> str:
    """Return the name of the JSON type of *value* with its article, such as "an object"."""
    names = {
        NoneType: "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        dict: "an object",
    }
    return names.get(type(value), "an array")


def read_model(value: object, model: type[T]) -> tuple[T | None, tuple[Detail, ...]]:
    """Return the *model* read from *value*, a parsed JSON value, and the problems found.

    The model is None if a value is missing or of a wrong type. If there are only unknown fields, it is returned with
    them as problems.
    """
    problems = RequestProblems()
    found = _model_reader(model)(value, "", problems)
    return (None if problems.wrong else cast("T", found)), problems.details


def read_message(value: Mapping[str, object]) -> tuple[Message | None, tuple[Detail, ...]]:
    """Return the message read from *value*, the JSON object of a send without its key, and the problems found.

    The message is None if there is any problem.
    """
    content = value.get("content")
    if type(content) is dict and "rich_card" not in content and "channel_id" not in value:  # nothing is ambiguous
        message, details = read_model(value, Text)
        return (None if details else message), details
    ambiguous: list[Detail] = []
    if value.get("agent_id") is not None and value.get("channel_id") is not None:
        ambiguous.append(Detail("channel_id", "must not be given beside agent_id"))
        value = {name: part for name, part in value.items() if name != "channel_id"}
    if _has(value, "content", "rich_card"):
        if _has(value, "content", "text"):
            ambiguous.append(Detail("content", "must have exactly one of text, rich_card"))
        if _has(value, "content", "rich_card", "standalone") and _has(value, "content", "rich_card", "carousel"):
            ambiguous.append(Detail("content.rich_card", "must have exactly one of standalone, carousel"))
    found, details = read_model(value, _choose_message(value))
    return (None if ambiguous or details else found), (*ambiguous, *details)


def _choose_message(value: Mapping[str, object]) -> type[Message]:
    if value.get("channel_id") is not None:
        return Email
    if _has(value, "content", "rich_card", "carousel"):
        return Carousel
    return RichCard if _has(value, "content", "rich_card") else Text


@final
@frozen
class RequestField:
    """A field of a request model: its *path* in the JSON object, how its value is read, and whether it is required.

    *dotted* is the path as text.
    """

    name: str
    dotted: str
    read: Reader
    required: bool
    path: tuple[str, ...]


def is_required(model: Any, one: "attrs.Attribute[Any]") -> bool:  # noqa: ANN401 - an attrs class
    """Return whether a field of a request *model* must be given and not null.

    A message is read as a whole: its enums are required, though the client has defaults for them.
    """
    paths = field_paths(model) or {}
    nested = any(path != name for name, path in paths.items())
    return one.default is attrs.NOTHING or (nested and one.default not in {None, ()})


def _model_reader(model: Any) -> Reader:  # noqa: ANN401 - an attrs class
    if model not in _READERS:
        _READERS[model] = _make_model_reader(model)
    return _READERS[model]


def _make_model_reader(model: Any) -> Reader:  # noqa: ANN401 - an attrs class
    attributes: tuple[attrs.Attribute[Any], ...] = attrs.fields(attrs.resolve_types(model))
    paths: Mapping[str, str] = field_paths(model) or {one.name: one.name for one in attributes}
    fields = [
        RequestField(
            one.name,
            paths[one.name],
            _reader(model, one),
            is_required(model, one),
            tuple(paths[one.name].split(".")),
        )
        for one in attributes
    ]
    make = constructor(model)
    known = _known([one.path for one in fields], marker_paths(model))
    places = _places(fields)
    required = {one.name for one in fields if one.required}

    def read(value: Any, path: str, problems: RequestProblems) -> object:  # noqa: ANN401 - JSON
        before, found = len(problems.wrong), dict[str, Any]()
        if _read_strings(value, places, found) and required <= found.keys():
            return make(**found)
        found.clear()
        if not _check_names(value, known, path, problems):
            return None
        for one in fields:
            raw = value.get(one.name) if one.dotted == one.name else _value_at(value, one.path)
            if raw is not None:
                found[one.name] = one.read(raw, _join(path, one.dotted), problems)
            elif one.required and not _is_inside_other(value, one.path):
                _ = problems.refuse(_join(path, one.dotted), "is required")
        return None if len(problems.wrong) > before else make(**found)

    return read


def _reader(model: Any, one: "attrs.Attribute[Any]") -> Reader:  # noqa: ANN401 - an attrs class
    return _read_postback if (model, one.name) == (Reply, "postback_data") else _reader_of(one.type)


def _known(paths: Iterable[tuple[str, ...]], markers: Iterable[str]) -> Tree:
    # The names that an object may have; None for a field, and a tree for an object on the way to one.
    root: Tree = {}
    for path in paths:
        level = root
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = None
    for marker in markers:
        level = root
        for key in marker.split("."):
            level = level.setdefault(key, {})
    return root


def _places(fields: Iterable[RequestField]) -> Tree:
    # Where the strings of a model are: the name of the field, and a tree for an object on the way to one.
    root: Tree = {}
    for one in fields:
        level = root
        for key in one.path[:-1]:
            level = level.setdefault(key, {})
        if one.read is _SIMPLE[str]:
            level[one.path[-1]] = one.name
    return root


def _read_strings(value: Any, places: Tree, found: Tree) -> bool:  # noqa: ANN401 - JSON
    # Read a value in which every field is a string, as those of a text are, in a third of the time that `read` needs
    # for any value. Return False if it is not one.
    if type(value) is not dict:
        return False
    for name, part in value.items():
        place = places.get(name)
        if type(part) is str and type(place) is str:
            found[place] = part
        elif type(place) is not dict or not _read_strings(part, place, found):
            return False
    return True


def _check_names(value: Any, known: Tree, path: str, problems: RequestProblems) -> bool:  # noqa: ANN401 - JSON
    if type(value) is not dict:
        _ = problems.refuse(path, f"must be an object, not {json_type_name(value)}")
        return False
    for name, part in value.items():
        if name not in known:
            problems.unknown.append(Detail(_join(path, name), "is not a known field"))
        elif known[name] is not None and part is not None:
            _ = _check_names(part, known[name], _join(path, name), problems)
    return True


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _value_at(value: Any, path: Iterable[str]) -> Any:  # noqa: ANN401 - JSON
    # None if nothing is there, or if a parent is not an object, which is reported for the parent.
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def _is_inside_other(value: Any, path: tuple[str, ...]) -> bool:  # noqa: ANN401 - JSON
    parents = (_value_at(value, path[:depth]) for depth in range(1, len(path)))
    return any(parent is not None and type(parent) is not dict for parent in parents)


def _has(value: Mapping[str, object], *path: str) -> bool:
    return _value_at(value, path) is not None


# The readers of the types that fields have.


def _reader_of(kind: Any) -> Reader:  # noqa: ANN401 - any type of a field
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return _SIMPLE[str]
    if kind == Suggestion:
        return _read_suggestion
    if origin in {Union, UnionType}:  # null is read before: it is as good as a missing field
        return _reader_of(next(part for part in parts if part is not NoneType))
    if origin is tuple:
        return _array_reader(_reader_of(parts[0]))
    return _model_reader(kind) if attrs.has(kind) else _exact(dict, "an object")


def _exact(kind: type, name: str) -> Reader:
    def read(value: object, path: str, problems: RequestProblems) -> object:
        if type(value) is kind:
            return value
        return problems.refuse(path, f"must be {name}, not {json_type_name(value)}")

    return read


def _array_reader(inner: Reader) -> Reader:
    def read(value: object, path: str, problems: RequestProblems) -> object:
        if type(value) is not list:
            return problems.refuse(path, f"must be an array, not {json_type_name(value)}")
        return tuple([inner(part, f"{path}[{at}]", problems) for at, part in enumerate(value)])

    return read


def _read_integer(value: Any, path: str, problems: RequestProblems) -> object:  # noqa: ANN401 - JSON
    # JSON has one type of number: 310.0 is an integer.
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    return problems.refuse(path, f"must be a whole number, not {json_type_name(value)}")


def _read_float(value: Any, path: str, problems: RequestProblems) -> object:  # noqa: ANN401 - JSON
    if type(value) in {int, float}:
        return float(value)
    return problems.refuse(path, f"must be a number, not {json_type_name(value)}")


def _read_decimal(value: object, path: str, problems: RequestProblems) -> object:
    if type(value) in {int, float}:
        return Decimal(repr(value))
    return problems.refuse(path, f"must be a number, not {json_type_name(value)}")


def _read_time(value: object, path: str, problems: RequestProblems) -> object:
    if type(value) is not str:
        return problems.refuse(path, f"must be a string, not {json_type_name(value)}")
    try:
        if TIME.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return problems.refuse(path, "must be a time with its zone, such as 2026-05-04T07:30:00Z")


def _read_postback(value: object, path: str, problems: RequestProblems) -> object:
    # Any bytes are allowed. The model has text only, and nothing needs it: replies get it from the body as it was sent.
    if type(value) is not str:
        return problems.refuse(path, f"must be a string, not {json_type_name(value)}")
    if len(value) > MAX_POSTBACK:
        return problems.refuse(path, f"must have at most {MAX_POSTBACK} characters in base64, and has {len(value)}")
    return None if BASE64.fullmatch(value) else problems.refuse(path, "must be base64")


def _read_suggestion(value: object, path: str, problems: RequestProblems) -> object:
    if type(value) is not dict:
        return problems.refuse(path, f"must be an object, not {json_type_name(value)}")
    models = [model for marker, model in _SUGGESTIONS.items() if _has(value, *marker.split("."))]
    if len(models) != 1:
        return problems.refuse(path, f"must have exactly one of {', '.join(_SUGGESTIONS)}")
    return _model_reader(models[0])(value, path, problems)


_SIMPLE: Final[Mapping[object, Reader]] = {
    str: _exact(str, "a string"),
    bool: _exact(bool, "true or false"),
    int: _read_integer,
    float: _read_float,
    Decimal: _read_decimal,
    datetime: _read_time,
}
