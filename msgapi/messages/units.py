"""Units: by which of the four a message is billed."""

from typing import Final, Literal, TypeAlias

from .models import Email, Message, Text

Unit: TypeAlias = Literal["basic_message", "single_message", "conversation", "mau"]
BASIC_MOST: Final = 160


def unit(message: Message) -> Unit:
    """Tell the billing unit of *message* (docs: /learn/billing-units).

    A text without chips is basic up to 160 characters. The docs don't say of which kind; here they
    are Unicode code points. What the service bills is in the answer's `billing.message_type`.
    """
    if isinstance(message, Email):
        return "basic_message"
    if message.message_type == "CONVERSATION":
        return "conversation"
    if message.message_type == "NEWSLETTER":
        return "mau"
    short = isinstance(message, Text) and len(message.text) <= BASIC_MOST and not message.suggestions
    return "basic_message" if short else "single_message"
