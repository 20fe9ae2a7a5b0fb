"""JSON: write a model or an outcome as JSON, and read it back.

Rules:
- Reading never raises: it returns the model, or `Problems` that name a path and quote no value.
- The fast converter reads first; only what it refuses is read again by the detailed one, which locates the problems.
- How each type is read and written is defined in `converter`.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast, final, get_args

import orjson
from attrs import frozen
from cattrs import ClassValidationError, IterableValidationError

from ..results import ApiError, Detail, Ok
from .converter import Mismatch, detailed, fast

T = TypeVar("T")
_KIND: Final = "kind"


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


def dump(value: object) -> bytes:
    """Return *value*, a model or an outcome, as JSON. Fields at their default are omitted."""
    # orjson keeps its buffer of 4 kB alive behind each result; a copy keeps only the bytes that were written.
    return memoryview(orjson.dumps(fast.unstructure(value))).tobytes()


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return *value* as the types of JSON: dicts, lists, strings, numbers, booleans and None."""
    return fast.unstructure(value)


def parse(body: bytes) -> object | Problems:
    """Return the JSON value in *body*. If *body* is not JSON, return one problem without a path."""
    try:
        value: object = orjson.loads(body)
        return value
    except orjson.JSONDecodeError:
        return Problems((Detail("", "is not JSON" if body else "is empty"),))


def load(body: bytes, model: type[T]) -> T | Problems:
    """Return the *model* read from the JSON in *body*, or the problems found. Unknown fields are ignored."""
    try:
        return fast.structure(orjson.loads(body), model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        value = parse(body)
        return value if isinstance(value, Problems) else _read_in_detail(value, model)


def load_error(body: bytes) -> ApiError | Problems:
    """Return the error value that `dump` wrote to *body*, or the problems found."""
    return load(body, cast("type[ApiError]", ApiError))


def from_plain(value: object, model: type[T]) -> T | Problems:
    """Return the *model* read from *value*, a parsed JSON value, or the problems found."""
    try:
        return fast.structure(value, model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        return _read_in_detail(value, model)


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


# Errors and `Ok` are written with a field "kind", the name of their class.


def _write_with_kind(kind: type) -> Callable[[object], dict[str, object]]:
    write: Callable[[object], dict[str, object]] = fast.gen_unstructure_attrs_fromdict(kind)
    return lambda value: {_KIND: kind.__name__, **write(value)}


_ERRORS: Final = {kind.__name__: kind for kind in get_args(ApiError)}


def _read_error(value: object, _: object) -> object:
    name = value.get(_KIND) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _ERRORS:
        raise Mismatch("must be an object with the kind of an error")
    return detailed.structure(value, _ERRORS[name])


def _register_outcomes() -> None:
    _ = fast.register_unstructure_hook_factory(lambda kind: kind is Ok or kind in _ERRORS.values(), _write_with_kind)
    for converter in (fast, detailed):
        converter.register_structure_hook_func(lambda kind: kind == ApiError, _read_error)


_register_outcomes()
