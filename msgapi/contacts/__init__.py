"""Contacts: the people of a workspace, their consent, and the calls about both (docs: /api/contacts/create-contact).

The docs show no route that lists contacts, and none that changes a consent record.
"""

from .calls import create, create_consent, delete, get, import_contacts, list_consents, update
from .models import (
    MOST_ROWS,
    SCHEMAS,
    ChannelType,
    ConsentRecord,
    ConsentRecords,
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
    "MOST_ROWS",
    "SCHEMAS",
    "ChannelType",
    "ConsentRecord",
    "ConsentRecords",
    "ConsentType",
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
