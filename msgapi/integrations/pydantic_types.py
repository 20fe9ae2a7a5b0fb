"""Types of pydantic: any model, event or result of this package as a field, and in FastAPI as a body or a response.

Rules:
- A value is read and written in the form of `values.to_dict`. A value that is one of the type already stays the same.
- pydantic is not imported here: it calls the methods of the annotation, and passes what they need.
- The JSON Schema is that of the emulated API (`sandbox.openapi`), so it is made from the models too. Models inside it
  are written out, since names of components belong to the application.
"""

from collections.abc import Callable, Mapping
from inspect import getdoc
from typing import Annotated, Any, Final, TypeAlias, TypeVar, get_args, get_origin

from attrs import frozen

from ..results import ApiError, Meta, Ok
from ..schema.mapping import field_paths
from ..webhooks import EVENT_TYPES, UnknownEvent
from ..webhooks.delivery import wire_name
from .values import check_kind, from_dict, parts_of, to_dict

T = TypeVar("T")
Schema: TypeAlias = dict[str, Any]
_EVENT_NAMES: Final = {kind: name for name, kind in EVENT_TYPES.items()}


@frozen
class _OfAnyType:
    """The annotation of `AsJson`; pydantic passes the type that is annotated."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:  # noqa: ANN401 - as pydantic has it
        """Return the schema of the type *source*."""
        check_kind(source)
        return handler.generate_schema(Annotated[Any, _OfType(source)])


@frozen
class _OfType:
    """The annotation for the type *kind*."""

    kind: Any

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> Any:  # noqa: ANN401 - as pydantic has it
        """Return a schema that reads and writes values in the form of `to_dict`."""
        from pydantic_core import PydanticCustomError, core_schema

        classes = tuple(get_origin(part) or part for part in parts_of(self.kind))

        def validate(value: object) -> object:
            if isinstance(value, classes):
                return value
            try:
                return from_dict(value, self.kind)
            except ValueError as error:
                raise PydanticCustomError("msgapi_value", "{problems}", {"problems": f"{error}"}) from None

        written = core_schema.plain_serializer_function_ser_schema(to_dict)
        return core_schema.no_info_plain_validator_function(validate, serialization=written)

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> Schema:  # noqa: ANN401 - as pydantic has it
        """Return the JSON Schema."""
        return json_schema(self.kind)


AsJson: TypeAlias = Annotated[T, _OfAnyType()]
"""`AsJson[X]` is X for type checkers, and a type of pydantic: a model, an event, a result, or a union of these.

For example `AsJson[messages.Text]` or `AsJson[Result[messages.Accepted]]`, as a field of a pydantic model, in a
`TypeAdapter`, as a response model of FastAPI, or with `Body()` as a request body. Values have the form of `to_dict`.
Only types are checked: what the API does not accept, such as a text that is too long, is the `Invalid` of the call.
"""


def json_schema(kind: object) -> Schema:
    """Return the JSON Schema of values of *kind* in the form of `to_dict`. Raise TypeError for another kind."""
    check_kind(kind)
    schemas = [_schema_of(part) for part in parts_of(kind)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _schema_of(kind: Any) -> Schema:  # noqa: ANN401 - a class
    if get_origin(kind) is Ok:
        return _with_kind("Ok", {"value": _schema_of(get_args(kind)[0]), "meta": _model_schema(Meta)}, ["value"])
    if kind in get_args(ApiError):
        schema = _model_schema(kind)
        return schema | _with_kind(kind.__name__, schema["properties"], [])
    if kind in _EVENT_NAMES or kind is UnknownEvent:
        return _event_schema(kind)
    return _model_schema(kind)


def _with_kind(name: str, properties: Schema, required: list[str]) -> Schema:
    properties = {"kind": {"enum": [name]}, **properties}
    return {"title": name, "type": "object", "properties": properties, "required": ["kind", *required]}


def _event_schema(kind: type) -> Schema:
    whole = _model_schema(kind)
    envelope = {one: whole["properties"].pop(one) for one in ("id", "timestamp")}
    name: Schema = {"type": "string"}
    data: Schema = {"type": "object"}
    if kind is not UnknownEvent:
        name = {"enum": [_EVENT_NAMES[kind]]}
        fields = {wire_name(kind, one): part for one, part in whole["properties"].items()}
        data = {"type": "object", "properties": fields}
    return {**whole, "properties": {**envelope, "event": name, "data": data}, "required": ["id", "event"]}


def _model_schema(kind: type) -> Schema:
    from ..sandbox.openapi.schemas import request_schema, response_schema

    components: dict[str, Schema] = {}
    make: Callable[[Any, dict[str, Schema]], Schema] = response_schema if field_paths(kind) is None else request_schema
    schema: Schema = _inlined(make(kind, components), components)
    description = (getdoc(kind) or "").partition("\n\n")[0]
    return {"title": kind.__name__, "description": description, **schema}


def _inlined(schema: Any, components: Mapping[str, Schema]) -> Any:  # noqa: ANN401 - a part of a JSON Schema
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(components[schema["$ref"].rpartition("/")[2]], components)
        schema = {name: part for name, part in schema.items() if name != "raw_postback_data"}  # not on the wire
        return {name: _inlined(part, components) for name, part in schema.items()}
    return [_inlined(part, components) for part in schema] if isinstance(schema, list) else schema
