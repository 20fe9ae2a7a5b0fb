"""Mapping: where the fields of a request are in its JSON body, and under which names those of an answer are found.

Both are defined beside the models and not in them. Only models that are mapped as requests refuse unknown fields.

Rules:
- An answer that has exactly the fields of its model is read as it is. Only another one is mapped first.
- What a model of an answer has no field for, or what has another type than the field, is kept in its `extra` unchanged.
- Reading an answer fails only if a required field is missing, or if it is ambiguous which one is meant.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast, final, get_args

from attrs import Attribute, fields, frozen
from cattrs import ClassValidationError
from cattrs.preconf.orjson import OrjsonConverter

from ..codec.converter import (
    Mismatch,
    answer_writer,
    compiled_reader,
    detailed,
    fast,
    json_type_name,
    located,
    tolerant_reader,
)
from ..codegen import EXTRA, Place, Tree, Unusual, unknown_fields, writer
from .cursor_pages import find_cursor, is_last_page
from .free_json import plain_json

T = TypeVar("T")
Path = tuple[str, ...]
_MAPPED: Final[dict[type, tuple[Mapping[str, str], str]]] = {}  # the paths of the fields, and the marker
_CURSOR: Final = "next_cursor"
_LIKELY_ARRAYS: Final = ("items", "data", "results", "entries", "rows")

# Requests.


@final
@frozen
class FieldCodec:
    """How a string is encoded where its form on the wire differs, and how it is decoded.

    *decode* raises `Mismatch` for a value that *encode* cannot have written.
    """

    encode: Callable[[str], str]
    decode: Callable[[object], str]


@final
@frozen
class _MappedField:
    field: "Attribute[Any]"
    path: Path
    codec: FieldCodec | None

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def optional(self) -> bool:
        return is_optional_in_request(self.field)

    @property
    def omitted(self) -> object:
        # An empty tuple is omitted only where it is the default: elsewhere it differs from None, as in tags to replace.
        return () if self.field.default == () else None


def map_fields(
    model: type, paths: Mapping[str, str], *, marker: str = "", codecs: Mapping[str, FieldCodec] | None = None
) -> Mapping[str, str]:
    """Define where in the JSON body the fields of a request *model* are, for writing and reading.

    *paths* are dotted. A field without a path is at its own name. *marker* is the path of an object that is always
    written, since its presence identifies the model. *codecs* are for fields whose form on the wire differs.
    None, and an empty tuple where that is the default, are not written; every other field is required on reading.
    Return the paths of all fields, for error messages.
    """
    codecs = codecs or {}
    mapped = [
        _MappedField(one, tuple(paths.get(one.name, one.name).split(".")), codecs.get(one.name))
        for one in fields(model)
    ]
    marker_path = tuple(marker.split(".")) if marker else ()
    fast.register_unstructure_hook(model, _writer(mapped, marker_path))
    for converter in (fast, detailed):
        converter.register_structure_hook(model, _reader(converter, model, mapped, marker_path))
    all_paths = {one.field.name: one.dotted for one in mapped}
    _MAPPED[model] = all_paths, marker
    return all_paths


def map_fields_by_name(*models: type) -> None:
    """Define that the fields of request *models* are at their own names."""
    for model in models:
        _ = map_fields(model, {})


def field_paths(model: type) -> Mapping[str, str] | None:
    """Return the path of each field of *model*, by the name of the field. If *model* is not mapped, return None."""
    return _MAPPED[model][0] if model in _MAPPED else None


def marker_paths(model: type) -> tuple[str, ...]:
    """Return the path of the marker of *model* if no field is inside it; otherwise an empty tuple."""
    if model not in _MAPPED:
        return ()
    paths, marker = _MAPPED[model]
    return () if not marker or any(path.startswith(f"{marker}.") for path in paths.values()) else (marker,)


def is_optional_in_request(one: "Attribute[Any]") -> bool:
    """Return whether a field of a mapped request may be absent or null: whether it is not always written."""
    return one.default is None or one.default == ()


def _writer(mapped: list[_MappedField], marker: Path) -> Callable[[object], Tree]:
    places = [Place(one.field.name, one.path, _encoder(one), one.omitted) for one in mapped]
    return writer(places, marker, fast.unstructure)


def _encoder(one: _MappedField) -> Callable[[Any], object] | None:
    if one.codec is not None:
        return one.codec.encode
    return plain_json if Mapping[str, object] in get_args(one.field.type) else None


def _reader(
    converter: OrjsonConverter, model: type[T], mapped: list[_MappedField], marker: Path
) -> Callable[[object, object], T]:
    known = _tree([one.path for one in mapped], marker)

    def read_field(one: _MappedField, raw: object) -> object:
        if raw is None:
            raise KeyError(one.dotted)
        return one.codec.decode(raw) if one.codec else converter.structure(raw, cast("Any", one.field.type))

    def structure(value: object, _: object) -> T:
        found: Tree = {}
        errors: list[Exception] = list(_unknown_fields(value, known, ""))
        for one in mapped if isinstance(value, dict) else ():
            try:
                raw = value_at(value, one.path)
                if raw is not None or not one.optional:
                    found[one.field.name] = read_field(one, raw)
            except _ParentIsNoObject:
                continue
            except Exception as error:  # noqa: BLE001 - collected, and raised as one below
                errors.append(located(error, one.dotted))
        if errors:
            raise ClassValidationError("does not fit", errors, model)  # pyright: ignore[reportCallIssue] - its base takes two
        return model(**found)

    return structure


def _tree(paths: Iterable[Path], marker: Path) -> Tree:
    root: Tree = {}
    for path in paths:
        level = root
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = None
    level = root
    for key in marker:
        level = level.setdefault(key, {})
    return root


def _unknown_fields(value: object, known: Tree, path: str) -> Iterable[Exception]:
    # Yields an error for each unknown field, and for each value that should be an object and is not.
    if not isinstance(value, dict):
        problem = Mismatch(f"must be an object, not {json_type_name(value)}")
        yield located(problem, path) if path else problem
        return
    for key, part in value.items():
        if not isinstance(key, str):  # in a dict of Python, or one that YAML was read into
            problem = Mismatch("has a field whose name is not a string")
            yield located(problem, path) if path else problem
            continue
        child_path = f"{path}.{key}" if path else key
        if key not in known:
            yield located(Mismatch("is not a known field"), child_path)
        elif known[key] is not None and part is not None:
            yield from _unknown_fields(part, known[key], child_path)


class _ParentIsNoObject(Mismatch):
    """A parent of the value is not an object, which is reported for the parent."""


def value_at(value: Any, path: Path) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return what is at *path* in *value*, or None if nothing is. Raise `Mismatch` if a parent is not an object."""
    for key in path:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _ParentIsNoObject("must be an object")
        value = value.get(key)
    return value


def map_union(union: object, markers: Mapping[str, type]) -> None:
    """Read a *union* of mapped models as the model of the one path in *markers* that is present."""
    candidates = [(tuple(path.split(".")), model) for path, model in markers.items()]

    def union_reader(converter: OrjsonConverter) -> Callable[[object, object], object]:
        def structure(value: object, _: object) -> object:
            present = [model for path, model in candidates if _is_present(value, path)]
            if len(present) != 1:
                raise Mismatch(f"must have exactly one of {', '.join(markers)}")
            return converter.structure(value, present[0])

        return structure

    for converter in (fast, detailed):
        converter.register_structure_hook_func(lambda kind: kind == union, union_reader(converter))


def _is_present(value: object, path: Path) -> bool:
    try:
        return value_at(value, path) is not None
    except _ParentIsNoObject:
        return False


# Answers, where the docs show several forms or none.


def map_answer(model: type, *, array: str = "", aliases: Mapping[str, str] | None = None) -> None:
    """Read the answer *model*, whose body the docs do not show, and keep what it has no field for in its `extra`.

    *aliases* maps other names under which a field may arrive to the name of the field. If *array* is given, a bare
    array is read as an object that has it under that name; an array under another name is read as it if it is the
    only candidate. The `next_cursor` may have any name that `cursor_pages.find_cursor` knows.
    """
    names, aliases = {one.name for one in fields(model)} - {EXTRA}, aliases or {}

    def transform(value: Tree) -> Tree:
        known, extra = _split(value, names, aliases)
        if array and array not in known:
            found = _find_array(extra)
            if found is not None:
                known[array] = extra.pop(found)
        if _CURSOR in names and is_last_page(value):
            extra |= {_CURSOR: cursor} if (cursor := known.pop(_CURSOR, None)) else {}
        elif _CURSOR in names and _CURSOR not in value:
            known[_CURSOR] = find_cursor(extra)
        return {**known, EXTRA: {**unknown_fields(value, value.keys()), **extra}}

    map_answer_by(transform, model, array=array, names=None if array or _CURSOR in names else frozenset(aliases))


def map_answer_by(
    transform: Callable[[Tree], Tree],
    model: type,
    *,
    array: str = "",
    names: frozenset[str] | None = None,
    hooks: Mapping[str, Callable[[Any, Any], Any]] | None = None,
) -> None:
    """Read the answer *model* from what *transform* returns for the object that arrived, which it must not change.

    *transform* is only called if a required field is absent, or if the object has a field of *names*, which are not
    those of the model; None stands for any such field. *array* is as in `map_answer`. *hooks* read the fields that
    they name. The model is written with all fields, except those that are None by default and in value, and an empty
    `extra`.
    """
    fast.register_unstructure_hook(model, answer_writer(model))
    transformed = _transforming(compiled_reader(model, hooks=hooks or {}), transform)
    read = compiled_reader(model, Unusual(transformed, names), hooks or {})
    fast.register_structure_hook(model, _accepting_array(read, array))
    tolerant: Callable[[Any, Any], Any] = _transforming(tolerant_reader(model, hooks or {}), transform)
    detailed.register_structure_hook(model, _accepting_array(tolerant, array))


def _transforming(structure: Callable[[Any, Any], T], transform: Callable[[Tree], Tree]) -> Callable[[Any, Any], T]:
    return lambda value, model: structure(transform(value) if type(value) is dict else value, model)


def _accepting_array(structure: Callable[[Any, Any], T], array: str) -> Callable[[Any, Any], T]:
    if not array:
        return structure
    return lambda value, model: structure({array: value} if type(value) is list else value, model)


def _split(value: Tree, names: set[str], aliases: Mapping[str, str]) -> tuple[Tree, Tree]:
    known, extra = {}, {}
    for given, part in value.items():
        name = given if aliases.get(given) in value else aliases.get(given, given)
        if name in names and name not in known:
            known[name] = part
        elif given != EXTRA:
            extra[given] = part
    return known, extra


def _find_array(extra: Tree) -> str | None:
    several = [name for name, part in extra.items() if type(part) is list]
    if not several:
        return None
    filled = [name for name in several if extra[name] and all(type(one) is dict for one in extra[name])]
    empty = [name for name in several if not extra[name]]
    for candidates in ([name for name in _LIKELY_ARRAYS if name in several], filled or empty[:1], several):
        if len(candidates) == 1:
            return candidates[0]
    return None
