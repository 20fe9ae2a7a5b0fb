"""The type of a decision."""

from typing import final

from attrs import frozen


@final
@frozen
class Decision:
    """One *topic* that the docs leave open, and what the sandbox does.

    *section* names the sections of the API's contract that the topic belongs to, where 8 lists its contradictions and
    holes. *why* is the reason for the choice.
    """

    topic: str
    choice: str
    section: str
    why: str
