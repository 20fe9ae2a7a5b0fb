"""Codec: models and results as dicts and JSON, and back."""

from .json import Problems, from_dict, from_json, result_from_dict, to_dict, to_json

__all__ = ["Problems", "from_dict", "from_json", "result_from_dict", "to_dict", "to_json"]
