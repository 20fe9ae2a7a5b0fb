"""JSON Schema, as far as the OpenAPI document of the sandbox has it."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

Schema = Mapping[str, Any]
_KINDS: Mapping[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in {int, float},
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
_FORMATS: Mapping[str, Any] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "email": lambda value: value.index("@"),
}


def resolved(schema: Schema, document: Schema) -> dict[str, Any]:
    """A schema without its reference; what stands beside that counts too."""
    if "$ref" not in schema:
        return {**schema}
    *_, kind, name = schema["$ref"].split("/")
    found = document["components"][kind][name]
    beside = {part: value for part, value in schema.items() if part != "$ref"}
    properties = {**found.get("properties", {}), **beside.get("properties", {})}
    return {**resolved(found, document), **beside, **({"properties": properties} if properties else {})}


def problems(value: Any, schema: Schema, document: Schema, *, strict: bool = False, at: str = "$") -> Iterator[str]:  # noqa: ANN401 - JSON
    """What of *value* is not as *schema* has it; *strict* lets no object have what the schema does not name."""
    schema = resolved(schema, document)
    if "anyOf" in schema:
        tried = [[*problems(value, one, document, strict=strict, at=at)] for one in schema["anyOf"]]
        if all(tried):
            yield from min(tried, key=len)
        return
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if kinds and not any(_KINDS[kind](value) for kind in kinds):
        yield f"{at} is no {kinds}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is none of {schema['enum']}"
    yield from _bounds(value, schema, at)
    if isinstance(value, dict):
        yield from _object(value, schema, document, strict=strict, at=at)
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from problems(part, schema.get("items", {}), document, strict=strict, at=f"{at}[{number}]")


def _bounds(value: Any, schema: Schema, at: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at} is not like {schema['pattern']}"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{at} is too long or too short"
        try:
            _FORMATS.get(schema.get("format", ""), len)(value)
        except ValueError:
            yield f"{at} is no {schema['format']}"
    if type(value) in {int, float} and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{at} is too much or too little"
    if isinstance(value, list) and len(value) < schema.get("minItems", 0):
        yield f"{at} has too few"


def _object(value: dict[str, Any], schema: Schema, document: Schema, *, strict: bool, at: str) -> Iterator[str]:
    known = schema.get("properties", {})
    yield from (f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    more = schema.get("additionalProperties", not (strict and "properties" in schema))
    for name, part in value.items():
        if name in known:
            yield from problems(part, known[name], document, strict=strict, at=f"{at}.{name}")
        elif more is False:
            yield f"{at}.{name} is not in the document"
        elif isinstance(more, dict):
            yield from problems(part, more, document, strict=strict, at=f"{at}.{name}")
