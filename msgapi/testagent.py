"""Test agent: five messages to one number of one's own, without an approved agent.

Its page is /guides/quickstart-rcs-sandbox. The docs don't show the bodies of the answers: what comes
is kept in `extra`.
"""

import re
from collections.abc import Mapping
from typing import Final, final

from attrs import evolve, field, frozen

from .calls import Call
from .messages import Accepted, Message
from .messages import send as send_message
from .redact import hidden
from .schema.requests import Schema, build_call
from .schema.undocumented import allow_undocumented
from .schema.validators import number
from .schema.wire_mapping import map_flat

__all__ = [
    "SCHEMAS",
    "Registration",
    "Standing",
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
class Standing:
    """How it stands with the test agent; everything that the service told is in *extra*."""

    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


def register(phone: str) -> Call[Standing]:
    """Make the call that sends a code by SMS to *phone* (E.164); never repeated by itself."""
    return build_call("POST", "/v1/test/register", Standing, body=Registration(phone=phone), form=_REGISTRATION)


def verify(phone: str, code: str) -> Call[Standing]:
    """Make the call that binds *phone* to the workspace by the *code* of the SMS; never repeated by itself."""
    return build_call(
        "POST", "/v1/test/verify", Standing, body=Verification(phone=phone, code=code), form=_VERIFICATION
    )


def send(message: Message, *, idempotency_key: str | None = None) -> Call[Accepted]:
    """Make the call that sends *message* through the test agent, as `messages.send` does through one's own.

    At most five, and to the verified number only: anything else is one and the same `Forbidden`, so
    that numbers cannot be found out.
    """
    return evolve(send_message(message, idempotency_key=idempotency_key), path="/v1/test/messages")


def status() -> Call[Standing]:
    """Make the call that reads the quota that is left and the number that is bound."""
    return build_call("GET", "/v1/test/status", Standing)


def _code(value: object) -> str | None:
    # Six digits in the docs' example; the length is not said.
    return None if isinstance(value, str) and _CODE.fullmatch(value) else "must be 4 to 10 digits"


_REGISTRATION: Final = Schema(Registration, {"phone": number})
_VERIFICATION: Final = Schema(Verification, {"phone": number, "code": _code})
SCHEMAS: Final = (_REGISTRATION, _VERIFICATION)
"""What may be sent, for whoever reads it."""

map_flat(Registration, Verification)
allow_undocumented(Standing)
