"""Layout: where the fields of a model stand on the wire, told beside the models and not in them.

Only models that are laid out here refuse unknown fields: they are requests. Answers stay open.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast, final

from attrs import Attribute, fields, frozen
from cattrs import AttributeValidationNote, ClassValidationError
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter

from ..codec import Mismatch, explaining, fast, kind_of
from ..codegen import Place, Tree, writer

T = TypeVar("T")
Path = tuple[str, ...]
_LAID_OUT: Final[dict[type, tuple[Mapping[str, str], str]]] = {}


@final
@frozen
class FieldCodec:
    """How a string is written where the wire has it in another form, and how it is read again.

    *read* raises `Mismatch` for what was not written by *write*.
    """

    write: Callable[[str], str]
    read: Callable[[object], str]


@final
@frozen
class _Place:
    field: "Attribute[Any]"
    path: Path
    coder: FieldCodec | None

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def optional(self) -> bool:
        return self.field.default is None or self.field.default == ()

    @property
    def omitted(self) -> object:
        # An empty tuple says something where None says nothing, as with tags that are to be replaced.
        return () if self.field.default == () else None


def map_fields(
    model: type, paths: Mapping[str, str], *, mark: str = "", coders: Mapping[str, FieldCodec] | None = None
) -> Mapping[str, str]:
    """Say where on the wire the fields of a request *model* stand, as dotted *paths*, for both ways.

    A field without a path stands under its own name. *mark* is an object that is always written, as
    an action without fields is told by it; *coders* are for fields that the wire has in another
    form. None, and an empty tuple where that is the default, are not written; every other field must
    be there when read. Gives the paths of all fields, for messages about them.
    """
    coders = coders or {}
    places = [
        _Place(one, tuple(paths.get(one.name, one.name).split(".")), coders.get(one.name)) for one in fields(model)
    ]
    marks = tuple(mark.split(".")) if mark else ()
    fast.register_unstructure_hook(model, _writer(places, marks))
    for converter in (fast, explaining):
        converter.register_structure_hook(model, _reader(converter, model, places, marks))
    found = {place.field.name: place.dotted for place in places}
    _LAID_OUT[model] = found, mark
    return found


def map_flat(*models: type) -> None:
    """Say that the fields of request *models* stand under their own names."""
    for model in models:
        _ = map_fields(model, {})


def paths_of(model: type) -> Mapping[str, str] | None:
    """Tell the paths of a model that was laid out, by the names of its fields; None for any other."""
    return _LAID_OUT[model][0] if model in _LAID_OUT else None


def marker_of(model: type) -> tuple[str, ...]:
    """Tell the path of the object that a model is told by where no field stands in it; empty for any other."""
    if model not in _LAID_OUT:
        return ()
    paths, mark = _LAID_OUT[model]
    return () if not mark or any(path.startswith(f"{mark}.") for path in paths.values()) else (mark,)


def _writer(places: list[_Place], mark: Path) -> Callable[[object], Tree]:
    written = [Place(one.field.name, one.path, one.coder.write if one.coder else None, one.omitted) for one in places]
    return writer(written, mark, fast.unstructure)


def _reader(
    converter: OrjsonConverter, model: type[T], places: list[_Place], mark: Path
) -> Callable[[object, object], T]:
    known = _tree([place.path for place in places], mark)

    def part(place: _Place, raw: object) -> object:
        if raw is None:
            raise KeyError(place.dotted)
        return place.coder.read(raw) if place.coder else converter.structure(raw, cast("Any", place.field.type))

    def structure(value: object, _: object) -> T:
        found: Tree = {}
        errors: list[Exception] = list(_strange(value, known, ""))
        for place in places if isinstance(value, dict) else ():
            try:
                raw = value_at(value, place.path)
                if raw is not None or not place.optional:
                    found[place.field.name] = part(place, raw)
            except _Elsewhere:
                continue
            except Exception as error:  # noqa: BLE001 - gathered, and raised as one below
                errors.append(_noted(error, place.dotted))
        if errors:
            raise ClassValidationError("does not fit", errors, model)  # pyright: ignore[reportCallIssue] - its base takes two
        return model(**found)

    return structure


def _noted(error: Exception, path: str) -> Exception:
    error.add_note(AttributeValidationNote("", path, None))
    return error


def _tree(paths: Iterable[Path], mark: Path) -> Tree:
    root: Tree = {}
    for path in paths:
        level = root
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = None
    level = root
    for key in mark:
        level = level.setdefault(key, {})
    return root


def _strange(value: object, known: Tree, path: str) -> Iterable[Exception]:
    # What stands where nothing should, and what is no object where one should be.
    if not isinstance(value, dict):
        problem = Mismatch(f"must be an object, not {kind_of(value)}")
        yield _noted(problem, path) if path else problem
        return
    for key, part in value.items():
        below = f"{path}.{key}" if path else key
        if key not in known:
            yield _noted(Mismatch("is not a known field"), below)
        elif known[key] is not None and part is not None:
            yield from _strange(part, known[key], below)


class _Elsewhere(Mismatch):
    """Something above is no object, which is said there."""


def value_at(value: Any, path: Path) -> Any:  # noqa: ANN401 - JSON has no better type
    """Find what stands in *value* at *path*, None if nothing does; something other than an object on the way raises."""
    for key in path:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _Elsewhere("must be an object")
        value = value.get(key)
    return value


def discriminate(union: object, marks: Mapping[str, type]) -> None:
    """Read a *union* of laid-out models by which one of the paths in *marks* is present."""
    ways = [(tuple(path.split(".")), model) for path, model in marks.items()]

    def pick(converter: OrjsonConverter) -> Callable[[object, object], object]:
        def structure(value: object, _: object) -> object:
            present = [model for path, model in ways if _is_at(value, path)]
            if len(present) != 1:
                raise Mismatch(f"must have exactly one of {', '.join(marks)}")
            return converter.structure(value, present[0])

        return structure

    for converter in (fast, explaining):
        converter.register_structure_hook_func(lambda kind: kind == union, pick(converter))


def _is_at(value: object, path: Path) -> bool:
    try:
        return value_at(value, path) is not None
    except _Elsewhere:
        return False


def normalise(model: type, how: Callable[[Tree], Tree], *, array: str = "") -> None:
    """Read an answer's *model* from what *how* makes of the object that came; *how* must not change it.

    A bare array is read as if it stood in an object under the name *array*, if one is given. The
    model is written with all that it has, but for fields that are None.
    """
    for converter in (fast, explaining):
        converter.register_structure_hook(model, _mended(converter.get_structure_hook(model), how, array))
    kept = {one.name: override(omit_if_default=one.default is None) for one in fields(model)}
    fast.register_unstructure_hook(model, make_dict_unstructure_fn(model, fast, **cast("dict[str, Any]", kept)))


def _mended(structure: Callable[[Any, Any], T], how: Callable[[Tree], Tree], array: str) -> Callable[[Any, Any], T]:
    def read(value: object, model: object) -> T:
        if array and type(value) is list:
            value = {array: value}
        return structure(how(value) if type(value) is dict else value, model)

    return read
