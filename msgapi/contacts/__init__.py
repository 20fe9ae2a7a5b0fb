"""Contacts: the recipients of a workspace and their consent (docs: /api/contacts/create-contact).

The docs show no route that lists contacts, and none that changes a consent record.
"""

from .calls import SCHEMAS, create, create_consent, delete, get, import_contacts, list_consents, update
from .models import (
    MAX_IMPORT_ROWS,
    ChannelType,
    Consent,
    Consents,
    ConsentType,
    Contact,
    ContactChanges,
    Deleted,
    Imported,
    ImportRow,
    ImportRows,
    NewConsent,
    NewContact,
    Source,
    Status,
)

__all__ = [
    "MAX_IMPORT_ROWS",
    "SCHEMAS",
    "ChannelType",
    "Consent",
    "ConsentType",
    "Consents",
    "Contact",
    "ContactChanges",
    "Deleted",
    "ImportRow",
    "ImportRows",
    "Imported",
    "NewConsent",
    "NewContact",
    "Source",
    "Status",
    "create",
    "create_consent",
    "delete",
    "get",
    "import_contacts",
    "list_consents",
    "update",
]
