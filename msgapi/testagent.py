"""Test agent: send five messages to one verified number, without an approved agent.

Docs: /guides/quickstart-rcs-sandbox. They do not show the bodies of the answers, so their fields are in `extra`.
"""

import re
from collections.abc import Mapping
from typing import Final, final

from attrs import evolve, field

from .calls import Call
from .messages import Accepted, Message
from .messages import send as send_message
from .models import frozen
from .redact import hidden
from .schema.mapping import map_answer, map_fields_by_name
from .schema.requests import Schema, build_call
from .schema.validators import phone_number, single_line

__all__ = [
    "SCHEMAS",
    "Registration",
    "TestAgentStatus",
    "Verification",
    "register",
    "send",
    "status",
    "verify",
]

_CODE: Final = re.compile(r"[0-9]{4,10}")


@final
@frozen(kw_only=True)
class Registration:
    """The body of `register`."""

    phone: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class Verification:
    """The body of `verify`."""

    phone: str = field(repr=hidden)
    code: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class TestAgentStatus:
    """The status of the test agent. All fields of the answer are in *extra*."""

    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


def register(phone: str) -> Call[TestAgentStatus]:
    """Return the call that sends a code by SMS to *phone*, in E.164 (docs: /guides/quickstart-rcs-sandbox).

    If *phone* is not valid, the call returns `Invalid` with details and is not sent. The call is not repeated
    automatically once a byte may have been sent.
    """
    body = Registration(phone=phone)
    return build_call("POST", "/v1/test/register", TestAgentStatus, body=body, schema=_REGISTRATION)


def verify(phone: str, code: str, *, strict: bool = True) -> Call[TestAgentStatus]:
    """Return the call that binds *phone* to the workspace with the *code* of the SMS.

    *code* is 4 to 10 digits if *strict*, otherwise any text. If the input is not valid, the call returns `Invalid` with
    details and is not sent.
    The call is not repeated automatically once a byte may have been sent.
    Docs: /guides/quickstart-rcs-sandbox.
    """
    body = Verification(phone=phone, code=code)
    return build_call("POST", "/v1/test/verify", TestAgentStatus, body=body, schema=_VERIFICATION, strict=strict)


def send(message: Message, *, idempotency_key: str | None = None, strict: bool = True) -> Call[Accepted]:
    """Return the call that sends *message* through the test agent (docs: /guides/quickstart-rcs-sandbox).

    *idempotency_key*, validation and *strict* are as in `messages.send`, and it may be repeated as well. At most five
    messages can be sent, and only to the verified number. Everything else is the same `Forbidden`, so that numbers
    cannot be enumerated.
    """
    return evolve(send_message(message, idempotency_key=idempotency_key, strict=strict), path="/v1/test/messages")


def status() -> Call[TestAgentStatus]:
    """Return the call that reads the remaining quota and the verified number. It may be repeated.

    Docs: /guides/quickstart-rcs-sandbox.
    """
    return build_call("GET", "/v1/test/status", TestAgentStatus)


def _code(value: object) -> str | None:
    # The example in the docs has six digits; they do not state the length.
    return None if isinstance(value, str) and _CODE.fullmatch(value) else "must be 4 to 10 digits"


_REGISTRATION: Final = Schema(Registration, {"phone": phone_number})
_VERIFICATION: Final = Schema(Verification, {"phone": phone_number, "code": _code}, documented={"code": single_line})
SCHEMAS: Final = (_REGISTRATION, _VERIFICATION)
"""The schemas of all request bodies."""

map_fields_by_name(Registration, Verification)
map_answer(TestAgentStatus)
