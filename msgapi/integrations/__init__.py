"""Values of this package in other programs: as plain dicts and JSON, and as types of pydantic and FastAPI.

`AsJson` makes a model, an event or a result a type of pydantic. It needs pydantic only where pydantic uses it.
"""

from .pydantic_types import AsJson
from .values import from_dict, from_json, to_dict, to_json

__all__ = ["AsJson", "from_dict", "from_json", "to_dict", "to_json"]
