"""JSON: models and outcomes from and to JSON and dicts, and the reading of JSON that is not quite valid.

Rules:
- Reading never raises: it returns the model, or `Problems` that name a path and quote no value.
- What `to_dict` and `to_json` write, `from_dict` and `from_json` read as an equal value.
"""

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, Final, TypeVar, cast, final

import attrs
import orjson
from attrs import frozen
from cattrs import ClassValidationError, IterableValidationError, StructureHandlerNotFoundError

from ..codegen import Cache, Tree
from ..results import ApiError, Detail, Result
from .converter import MARKERS, Mismatch, Structure, compiled_reader, detailed, fast, is_answer

T = TypeVar("T")
_ID: Final = re.compile(r'"((?:[a-z]+_)?id)"\s*:\s*"([!#-\[\]-~]{1,255})"')
_MAX_DIGITS: Final = 20  # of a whole number of 64 bits, or 19 and a sign


@final
@frozen
class Problems:
    """Why a value could not be read: each problem with the path at which it was found."""

    details: tuple[Detail, ...]

    def __str__(self) -> str:
        """Return the problems in one line."""
        return "; ".join(self.lines())

    def lines(self) -> tuple[str, ...]:
        """Return each problem as `message @ $.path`."""
        return tuple(
            f"{detail.message} @ {'.'.join(part for part in ('$', detail.field) if part)}" for detail in self.details
        )


def to_dict(value: object) -> dict[str, Any]:
    """Return *value*, a model or an outcome, as a dict of the types of JSON, which `from_dict` reads back.

    The dict has the form that the API has for the model: a message is written as the body of `POST /v1/messages`. An
    answer and an outcome have all their fields, except those that are None, and what was unknown in `extra`. An
    outcome has the field "kind", the name of its class. A Decimal is a number, or a string if no JSON number equals
    it; a datetime is a string in UTC. Raise TypeError for a value that is not a model.
    """
    if not attrs.has(type(value)):
        raise TypeError(f"to_dict takes a model or a result, not {type(value).__name__}")
    written: dict[str, Any] = fast.unstructure(value)
    return written


def to_json(value: object) -> bytes:
    """Return *value*, a model or an outcome, as JSON in UTF-8: what `to_dict` returns for it. `from_json` reads it.

    Raise TypeError for a value that JSON cannot hold, such as an object of a class in `extra`.
    """
    # orjson keeps its buffer of 4 kB alive behind each result; a copy keeps only the bytes that were written.
    return memoryview(orjson.dumps(_fast_writers[type(value)](value))).tobytes()


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return *value*, a model or a part of one such as a Decimal or a tuple, as the types of JSON."""
    return fast.unstructure(value)


def parse(body: bytes) -> object | Problems:
    """Return the JSON value in *body*. If *body* is not JSON, return one problem without a path.

    A byte order mark is skipped; the body may then be UTF-16 too.
    """
    try:
        value: object = orjson.loads(_without_mark(body))
        return value
    except ValueError:
        return Problems((Detail("", "is not JSON" if body else "is empty"),))


def _without_mark(body: bytes) -> bytes | str:
    if body.startswith(BOM_UTF8):
        return body.removeprefix(BOM_UTF8)
    return body.decode("utf-16") if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else body


def parse_leniently(body: bytes) -> object | Problems:
    """Return the JSON value in *body* as `parse` does, or with what strict parsers refuse replaced.

    Invalid Unicode, such as half of a surrogate pair, becomes U+FFFD. NaN and numbers beyond a float become None.
    """
    value = parse(body)
    if not isinstance(value, Problems):
        return value
    try:
        text = _without_mark(body)
        text = text if isinstance(text, str) else text.decode(errors="replace")
        read = json.loads(text, parse_constant=_none, parse_int=_whole_number, parse_float=_finite_number)
        return _without_surrogates(read)
    except (ValueError, RecursionError):
        return value


def _none(_: str) -> None:
    return None


def _whole_number(digits: str) -> int | float | None:
    # orjson reads and writes 64 bits, and reads a longer number as a float.
    if len(digits) <= _MAX_DIGITS and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    return _finite_number(digits)


def _finite_number(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        tree = cast("dict[str, object]", value)
        return {cast("str", _without_surrogates(name)): _without_surrogates(part) for name, part in tree.items()}
    return [_without_surrogates(part) for part in cast("list[object]", value)] if isinstance(value, list) else value


def salvage(body: bytes, deepest: int) -> Tree:
    """Return what can be read of *body*, which is no answer: the fields of a JSON object, or the ids in a part of one.

    If objects and arrays are nested in more than *deepest* levels, return the fields that are strings.
    """
    value = parse_leniently(body)
    if isinstance(value, dict):
        whole = not is_nested_deeper(value, deepest)
        return value if whole else {name: part for name, part in value.items() if isinstance(part, str)}
    text = body.decode(errors="replace").lstrip("\ufeff \t\r\n")
    return dict(reversed(_ID.findall(text))) if text.startswith("{") else {}  # of two ids with one name, the first


_fast_writers: Final[Cache[Any, Callable[[Any], Any]]] = Cache(fast.get_unstructure_hook)


def _reader(model: Any) -> Structure[Any]:  # noqa: ANN401 - any type
    try:
        return fast.get_structure_hook(model)
    except (NameError, StructureHandlerNotFoundError):
        raise
    except Exception:  # noqa: BLE001 - such as a generic class, or one with an optional field of itself
        return detailed.get_structure_hook(model)


_fast_readers: Final[Cache[Any, Structure[Any]]] = Cache(_reader)
_fast_unmarked_readers: Final[Cache[Any, Structure[Any]]] = Cache(compiled_reader)


def from_json(body: bytes, model: type[T]) -> T | Problems:
    """Return the *model* read from the JSON in *body*, or the problems found. Never raise.

    *model* and its form are as in `from_dict`. An answer is also read from JSON that is not quite valid, as
    `parse_leniently` does.
    """
    try:
        read: T = _fast_readers[model](orjson.loads(body), model)
        return read
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        value = parse_leniently(body) if attrs.has(model) and is_answer(model) else parse(body)
        return value if isinstance(value, Problems) else _read_in_detail(value, model)


def is_readable(model: object) -> bool:
    """Return whether JSON can be read as *model*: a class or another type, all parts of which have a hook.

    A class with annotations that cannot be resolved yet is readable: they are resolved when it is first read.
    """
    if model is None:
        return False  # cattrs takes it for any JSON
    try:
        _ = _fast_readers[model]
    except StructureHandlerNotFoundError:
        return False
    except NameError:
        return isinstance(model, type)
    except Exception:  # noqa: BLE001 - it cannot be hashed, or is no type that cattrs can take apart
        return False
    return True


def error_from_json(body: bytes) -> ApiError | Problems:
    """Return the error that `to_json` wrote to *body*, or the problems found."""
    return from_json(body, cast("type[ApiError]", ApiError))


def from_dict(value: object, model: type[T]) -> T | Problems:
    """Return the *model* read from *value*, a parsed JSON value, or the problems found. Never raise.

    *model* is a class of this package, or `Ok[...]` with one. The form is that of the API, which `to_dict` returns.
    A request that has unknown fields is refused; those of an answer or an outcome are kept in its `extra`. Types are
    checked, limits and enums are not: `messages.check` and the functions that build calls check them.
    """
    try:
        read: T = _fast_readers[model](value, model)
        return read
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        return _read_in_detail(value, model)


def from_fields(value: Tree, model: type[T]) -> T | Problems:
    """Return the marked *model* read from its fields alone, without its marker, or the problems found. Never raise."""
    try:
        read: T = _fast_unmarked_readers[model](value, model)
        return read
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        name, marker = MARKERS[model]
        return _read_in_detail({**value, name: marker}, model)


def result_from_dict(value: object, model: type[T]) -> Result[T] | Problems:
    """Return the result that `to_dict` returned as *value*, or the problems found. Never raise.

    *model* is the class of the value that an `Ok` holds.
    """
    kind: Any = Result
    return from_dict(value, cast("type[Result[T]]", kind[model]))


def is_nested_deeper(value: object, levels: int) -> bool:
    """Return True if objects and arrays in *value* are nested in more than *levels* levels."""
    layer: list[object] = [value]
    for _ in range(levels + 2):  # the body itself, and the leaves
        layer = [
            child
            for one in layer
            for child in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not layer:
            return False
    return True


def _read_in_detail(value: object, model: type[T]) -> T | Problems:
    try:
        return detailed.structure(value, model)
    except Exception as error:  # noqa: BLE001 - reading never raises; every error becomes a problem
        return Problems(tuple(_details(error, "")))


def _details(error: BaseException, path: str) -> Iterable[Detail]:
    if isinstance(error, ClassValidationError):
        named, bare = error.group_exceptions()
        for inner, note in named:
            yield from _details(inner, f"{path}.{note.name}" if path else note.name)
        for inner in bare:
            yield from _details(inner, path)
    elif isinstance(error, IterableValidationError):
        for inner, index in error.group_exceptions()[0]:
            yield from _details(inner, f"{path}[{index.index}]")
    elif isinstance(error, KeyError):
        yield Detail(path, "is required")
    else:
        yield Detail(path, str(error) if isinstance(error, Mismatch) else "is not of the expected form")
