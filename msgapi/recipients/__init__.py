"""Recipients: phone numbers and e-mail addresses as people write them, brought into the form that can be sent."""

from .cleaning import (
    CHANGES,
    Normalized,
    Recipient,
    RecipientChange,
    RecipientKind,
    RefusalReason,
    RefusedRecipient,
)
from .country_codes import find_region
from .normalization import normalize

__all__ = [
    "CHANGES",
    "Normalized",
    "Recipient",
    "RecipientChange",
    "RecipientKind",
    "RefusalReason",
    "RefusedRecipient",
    "find_region",
    "normalize",
]
