"""The one converter between models and JSON: dump, load, and what is wrong where.

Rules:
- Reading never raises: it gives the model, or `Problems` that name a path and quote no value.
- The fast converter reads first; only what it refuses is read again by the one that explains.
- How each type is read and written is told in `hooks`.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast, final, get_args

import orjson
from attrs import frozen
from cattrs import ClassValidationError, IterableValidationError

from ..results import ApiError, Detail, Ok
from .converter import Mismatch, converter

T = TypeVar("T")
KIND: Final = "kind"


@final
@frozen
class Problems:
    """Why something could not be read: what was wrong at which path."""

    details: tuple[Detail, ...]

    def __str__(self) -> str:
        """Put the problems in one line."""
        return "; ".join(self.lines())

    def lines(self) -> tuple[str, ...]:
        """Write each problem as `message @ $.path`."""
        return tuple(
            f"{detail.message} @ {'.'.join(part for part in ('$', detail.field) if part)}" for detail in self.details
        )


fast: Final = converter(detailed=False)
explaining: Final = converter(detailed=True)


def dump(value: object) -> bytes:
    """Write *value*, a model or an outcome, as JSON; fields at their default are left out."""
    # orjson keeps its buffer of 4 kB behind each result; a copy keeps only what was written.
    return memoryview(orjson.dumps(fast.unstructure(value))).tobytes()


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Turn *value* into what JSON knows: dicts, lists, strings, numbers, booleans and None."""
    return fast.unstructure(value)


def parse(body: bytes) -> object | Problems:
    """Read *body* as JSON; anything that is not JSON is one problem at the root."""
    try:
        value: object = orjson.loads(body)
        return value
    except orjson.JSONDecodeError:
        return Problems((Detail("", "is not JSON" if body else "is empty"),))


def load(body: bytes, model: type[T]) -> T | Problems:
    """Read JSON *body* into a *model*, or say what is in the way. Unknown fields are passed over."""
    try:
        return fast.structure(orjson.loads(body), model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading tells it by its path
        value = parse(body)
        return value if isinstance(value, Problems) else _explain(value, model)


def load_error(body: bytes) -> ApiError | Problems:
    """Read an error value that `dump` wrote."""
    return load(body, cast("type[ApiError]", ApiError))


def read(value: object, model: type[T]) -> T | Problems:
    """Read a parsed JSON *value* into a *model*, or say what is in the way."""
    try:
        return fast.structure(value, model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading tells it by its path
        return _explain(value, model)


def is_deeper(value: object, levels: int) -> bool:
    """Tell whether objects and arrays in *value* are nested in more than so many *levels*."""
    layer: list[object] = [value]
    for _ in range(levels + 2):  # the body itself, and the leaves
        layer = [
            below
            for one in layer
            for below in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not layer:
            return False
    return True


def _explain(value: object, model: type[T]) -> T | Problems:
    try:
        return explaining.structure(value, model)
    except Exception as error:  # noqa: BLE001 - reading never raises; every error becomes a Problem
        return Problems(tuple(_problems(error, "")))


def _problems(error: BaseException, path: str) -> Iterable[Detail]:
    if isinstance(error, ClassValidationError):
        named, bare = error.group_exceptions()
        for inner, note in named:
            yield from _problems(inner, f"{path}.{note.name}" if path else note.name)
        for inner in bare:
            yield from _problems(inner, path)
    elif isinstance(error, IterableValidationError):
        for inner, index in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}[{index.index}]")
    elif isinstance(error, KeyError):
        yield Detail(path, "is required")
    else:
        yield Detail(path, str(error) if isinstance(error, Mismatch) else "is not of the expected form")


# Errors and Ok, tagged with their kind so that a written one says what it is.


def _tagged(kind: type) -> Callable[[object], dict[str, object]]:
    plainly: Callable[[object], dict[str, object]] = fast.gen_unstructure_attrs_fromdict(kind)
    return lambda value: {KIND: kind.__name__, **plainly(value)}


_KINDS: Final = {kind.__name__: kind for kind in get_args(ApiError)}


def _error(value: object, _: object) -> object:
    name = value.get(KIND) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise Mismatch("must be an object with the kind of an error")
    return explaining.structure(value, _KINDS[name])


def _prepare() -> None:
    _ = fast.register_unstructure_hook_factory(lambda kind: kind is Ok or kind in _KINDS.values(), _tagged)
    for one in (fast, explaining):
        one.register_structure_hook_func(lambda kind: kind == ApiError, _error)


_prepare()
