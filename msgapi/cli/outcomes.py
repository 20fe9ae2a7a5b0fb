"""The words for the outcomes of rows, as used in progress lines, tables, files and JSON."""

from enum import Enum
from typing import final


@final
class RowOutcome(Enum):
    """The outcomes of a row. The value is the JSON key.

    - ACCEPTED: the service has queued the message for delivery.
    - REFUSED: the service has refused the row.
    - INVALID: the row was refused before anything was sent.
    - DUPLICATE: the row repeats an earlier one and was not sent.
    - UNKNOWN: the row may have been sent, but there is no verdict of the service.
    - NOT_SENT_YET: the row was not sent, or was not carried out; the next run sends it.
    - CHANGED: the row differs from one that was sent, and was not sent.
    - SENT_EARLIER: the row was accepted in an earlier run.
    - NOT_IN_THE_FILE: the row is one of an earlier run, and the file does not have it any more.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    NOT_SENT_YET = "not_sent_yet"
    CHANGED = "changed"
    SENT_EARLIER = "sent_earlier"
    NOT_IN_THE_FILE = "not_in_the_file"

    @property
    def words(self) -> str:
        """The outcome in lower case, for a sentence: `not sent yet`."""
        return self.value.replace("_", " ")

    @property
    def title(self) -> str:
        """The outcome as the first cell of a table: `Not sent yet`."""
        return self.words.capitalize()

    @property
    def kind(self) -> str:
        """The outcome as the `kind` in a file of results, where errors stand under their class: `NotSentYet`."""
        return self.words.title().replace(" ", "")

    @property
    def choice(self) -> str:
        """The outcome as the value of an option: `not-sent-yet`."""
        return self.value.replace("_", "-")
