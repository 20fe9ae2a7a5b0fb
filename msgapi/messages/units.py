"""Units: by which of the four a message is billed."""

from typing import Final, Literal, TypeAlias

from .models import Carousel, Email, Message, RichCard, Text

Unit: TypeAlias = Literal["basic_message", "single_message", "conversation", "mau"]
BASIC_MOST: Final = 160


def unit(message: Message) -> Unit:
    """Tell the billing unit of *message* (docs: /learn/billing-units).

    A text without chips is basic up to 160 characters. The docs don't say of which kind; here they
    are Unicode code points. What the service bills is in the answer's `billing.message_type`.
    Raises nothing: what is no message, or has a value of a wrong type in it, is a single message.
    """
    if isinstance(message, Email):
        return "basic_message"
    given: object = message
    if not isinstance(given, Text | RichCard | Carousel):
        return "single_message"
    if message.message_type == "CONVERSATION":
        return "conversation"
    if message.message_type == "NEWSLETTER":
        return "mau"
    return "basic_message" if isinstance(message, Text) and _is_short(message) else "single_message"


def _is_short(message: Text) -> bool:
    said: object = message.text
    return isinstance(said, str) and len(said) <= BASIC_MOST and message.suggestions == ()
