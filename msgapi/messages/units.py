"""Units: which of the four billing units a message is billed by (docs: /learn/billing-units)."""

from typing import Final, Literal, TypeAlias

from .models import Carousel, Email, Message, RichCard, Text

Unit: TypeAlias = Literal["basic_message", "single_message", "conversation", "mau"]
BASIC_MAX_LENGTH: Final = 160


def unit(message: Message) -> Unit:
    """Return the billing unit of *message* (docs: /learn/billing-units).

    A text without suggestions is `basic_message` up to 160 characters. The docs do not define a character; here it is
    a Unicode code point. The unit that the service bills is in `billing.message_type` of the answer. Never raise: a
    value that is not a message, or has fields of a wrong type, is `single_message`.
    """
    kind = type(message)
    if kind is Email:
        return "basic_message"
    if kind not in _RCS:
        return "single_message"
    try:
        if message.message_type == "CONVERSATION":
            return "conversation"
        if message.message_type == "NEWSLETTER":
            return "mau"
        return "basic_message" if isinstance(message, Text) and _is_short(message) else "single_message"
    except Exception:  # noqa: BLE001 - a method of a field raised
        return "single_message"


def _is_short(message: Text) -> bool:
    text: object = message.text
    return isinstance(text, str) and len(text) <= BASIC_MAX_LENGTH and message.suggestions == ()


_RCS: Final = frozenset({Text, RichCard, Carousel})
