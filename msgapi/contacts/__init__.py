"""Contacts: the people of a workspace, their consent, and the calls about both (docs: /api/contacts/create-contact).

The docs show no route that lists contacts, and none that changes a consent record.
"""

from .models import (
    FORMS,
    MOST_ROWS,
    Changes,
    ChannelType,
    Consent,
    Consents,
    ConsentType,
    Contact,
    Deleted,
    Imported,
    NewConsent,
    NewContact,
    Row,
    Rows,
    Source,
    Status,
)
from .routes import consent, consents, create, delete, get, import_rows, update

__all__ = [
    "FORMS",
    "MOST_ROWS",
    "Changes",
    "ChannelType",
    "Consent",
    "ConsentType",
    "Consents",
    "Contact",
    "Deleted",
    "Imported",
    "NewConsent",
    "NewContact",
    "Row",
    "Rows",
    "Source",
    "Status",
    "consent",
    "consents",
    "create",
    "delete",
    "get",
    "import_rows",
    "update",
]
