"""What the tests of the nouns share: a call's body as JSON, and an answer read as the client would."""

from typing import TypeVar

import orjson

from msgapi import Call, Ok, Response
from msgapi.decode import decode

T = TypeVar("T")


def sent(call: Call[object]) -> object:
    assert call.invalid is None, call.invalid
    return None if call.body is None else orjson.loads(call.body)


def route(call: Call[object]) -> tuple[str, str]:
    return call.method, call.target


def wrong(call: Call[object]) -> dict[str, str]:
    assert call.invalid is not None
    assert call.body is None
    return {detail.field: detail.message for detail in call.invalid.details}


def answered(call: Call[T], body: object, status: int = 200) -> T:
    result = decode(call, Response(status, {}, orjson.dumps(body)))
    assert isinstance(result, Ok), result
    return result.value
