"""Bad luck: the recipients to which things happen, and faults that strike any request by chance.

Rules:
- Recipients bring the same luck every time; the numbers are from a range that is kept for fiction.
- Chance is drawn from the seed and the request, so it does not depend on the order of requests.
- A request that chance has struck is not struck again under the same idempotency key.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen
from attrs.validators import and_, ge, le

from ...http import Response
from ..http.responses import Reply, refuse

Fate: TypeAlias = Literal[
    "402", "403", "404", "422", "429", "430", "500", "502", "503", "500-once", "503-once", "429-once", "lost", "slow"
]


@final
@frozen
class Luck:
    """One kind of bad luck: the last three digits of its phone number, and what happens."""

    fate: Fate
    digits: str
    happens: str

    @property
    def phone(self) -> str:
        """The phone number that brings it."""
        return f"+447700900{self.digits}"

    @property
    def email(self) -> str:
        """The e-mail address that brings it."""
        return f"{self.fate}@luck.example"


LUCK: Final = (
    Luck("402", "402", "402 insufficient_balance, however much there is"),
    Luck("403", "403", "403 forbidden by a policy"),
    Luck("404", "404", "404 not_rcs_capable; by e-mail 404 not_found"),
    Luck("422", "422", "422 recipient_suppressed: no consent, or suppressed"),
    Luck("429", "429", "429 rate_limit_exceeded with retry_after 1, every time"),
    Luck("430", "430", "429 newsletter_daily_cap with retry_after up to a day, every time"),
    Luck("500", "500", "500 internal_error before acceptance, every time"),
    Luck("502", "502", "an HTML page of a proxy with status 502, every time"),
    Luck("503", "503", "503 service_unavailable before acceptance, every time"),
    Luck("500-once", "501", "500 internal_error once for each idempotency key, then accepted"),
    Luck("503-once", "504", "503 service_unavailable once for each idempotency key, then accepted"),
    Luck("429-once", "428", "429 rate_limit_exceeded once for each idempotency key, then accepted"),
    Luck("lost", "600", "accepted, but the answer is lost; a repeat under the same key is answered"),
    Luck("slow", "601", "accepted, but the answer takes its time; a repeat under the same key is quick"),
)
"""Every recipient that brings bad luck."""

_FATES: Final[Mapping[str, Fate]] = {to: luck.fate for luck in LUCK for to in (luck.phone, luck.email)}
KEPT = 100_000  # names that were struck; beyond it the oldest go
_FAULTS: Final[tuple[Fate, ...]] = ("500", "503", "429", "lost", "502")
_ENVELOPES: Final = {
    "403": ("forbidden", "A policy forbids this message."),
    "404": ("not_found", "There is no such recipient."),
    "422": ("recipient_suppressed", "The recipient is suppressed or has not consented."),
    "429": ("rate_limit_exceeded", "Too many requests."),
    "500": ("internal_error", "Something went wrong on our side."),
    "503": ("service_unavailable", "A service behind this one is down."),
}
_PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


def fate_of(to: str) -> Fate | None:
    """Tell what bad luck the recipient *to* brings."""
    return _FATES.get(to)


def strike(fate: Fate, *, wait: float = 1.0) -> Reply | None:
    """Answer as *fate* has it; None if it refuses nothing, or needs the account to say it.

    *wait* is the `retry_after` in seconds of a 429.
    """
    name = fate.removesuffix("-once")
    if name == "502":
        return Reply(Response(502, {"content-type": "text/html; charset=utf-8", "server": "proxy"}, _PAGE))
    if name not in _ENVELOPES:
        return None
    code, message = _ENVELOPES[name]
    fields: Mapping[str, Mapping[str, object]] = {"429": {"retry_after": wait}, "422": {"details": []}}
    return refuse(int(name), code, message, **fields.get(name, {}))


@final
@define(eq=False, repr=False)
class Chance:
    """Faults by chance: *rate* of the requests are struck, which ones follows from *seed*."""

    rate: float = field(validator=and_(ge(0), le(1)))
    seed: int
    _struck: dict[bytes, None] = field(factory=dict, init=False)

    def draw(self, name: bytes) -> Fate | None:
        """Tell which fault strikes the request called *name*, None for none or if it was struck before."""
        drawn = int.from_bytes(blake2b(name, digest_size=8, key=str(self.seed).encode()[:64]).digest(), "big")
        if drawn / 2**64 >= self.rate or not self.first(name):
            return None
        return _FAULTS[drawn % len(_FAULTS)]

    def first(self, name: bytes) -> bool:
        """Tell whether *name* comes for the first time, and remember it."""
        if name in self._struck:
            return False
        self._struck[name] = None
        if len(self._struck) > KEPT:
            del self._struck[next(iter(self._struck))]
        return True
