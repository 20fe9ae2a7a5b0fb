"""Models: the decorator of every model, which is `attrs.frozen` and makes the model a type that pydantic knows.

pydantic asks a class for its schema by `__get_pydantic_core_schema__`. The method that is added here imports what it
needs when it is called, so that importing a model loads neither pydantic nor the codec.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from attrs import frozen  # type checkers know it by its name
else:

    def frozen(kind: type | None = None, **options: Any) -> Any:  # noqa: ANN401 - as attrs has it
        """Return the attrs class of *kind*, as `attrs.frozen` does, with the method that pydantic looks for."""

        def decorate(kind: type) -> type:
            made = attrs.frozen(kind, **options)
            made.__get_pydantic_core_schema__ = classmethod(_core_schema)
            return made

        return decorate if kind is None else decorate(kind)


def _core_schema(model: type, source: object, handler: object) -> object:
    # By name: this is the lowest layer, and the module that it needs is above the codec.
    return import_module("msgapi.schema.pydantic_schema").core_schema_of(model, source, handler)


__all__ = ["frozen"]
