"""Trial: how it stands with the test agent: the number that is bound to the workspace, and what was sent there."""

from typing import Final, final

from attrs import define, field

from ...privacy import hidden
from .email_channels import Agent

TEST_AGENT: Final = Agent(agent_id="ag_test_demo", channel_id="ch_rcs_test")
"""The agent by which test messages are sent."""
CODE: Final = "000000"
"""The code that the SMS brings to every number."""
MOST: Final = 5
"""How many test messages may be sent."""


@final
@define(eq=False)
class Trial:
    """The number that waits for its *code*, the one that is verified, and how many messages were sent."""

    waiting: str | None = field(default=None, init=False, repr=hidden)
    phone: str | None = field(default=None, init=False, repr=hidden)
    sent: int = field(default=0, init=False)

    def verify(self, phone: str, code: str) -> bool:
        """Bind *phone* if it waits for this *code*."""
        if (phone, code) != (self.waiting, CODE):
            return False
        self.phone, self.waiting = phone, None
        return True

    def figures(self) -> dict[str, object]:
        """Write how it stands."""
        return {
            "agent_id": TEST_AGENT.agent_id,
            "phone": self.phone,
            "verified": self.phone is not None,
            "sends_used": self.sent,
            "sends_remaining": MOST - self.sent,
        }
