"""The email channels and the email templates of the account."""

from typing import Final, final

from attrs import frozen


@final
@frozen(kw_only=True)
class EmailChannel:
    """An email channel, and the message types that it may send; it is verified by default."""

    channel_id: str
    verified: bool = True
    message_types: tuple[str, ...] = ("MESSAGE", "NEWSLETTER")


@final
@frozen(kw_only=True)
class EmailTemplate:
    """An email template: its published *versions*, oldest first, and whether it has a subject."""

    template_id: str
    versions: tuple[str, ...]
    has_subject: bool = True


CHANNELS: Final = (
    EmailChannel(channel_id="ch_demo"),
    EmailChannel(channel_id="ch_receipts", message_types=("MESSAGE",)),
    EmailChannel(channel_id="ch_unverified", verified=False),
)
"""The email channels of a new sandbox."""

TEMPLATES: Final = (
    EmailTemplate(template_id="tpl_welcome", versions=("1", "2", "3", "4")),
    EmailTemplate(template_id="tpl_bare", versions=("1",), has_subject=False),
    EmailTemplate(template_id="tpl_draft", versions=()),
)
"""The email templates of a new sandbox."""
