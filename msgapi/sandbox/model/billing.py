"""Payments: the means of payment of the account, and what is to happen when its balance falls."""

from decimal import Decimal
from typing import Final, final

from attrs import define, field, frozen

from ...billing import AutoReload
from ..http.responses import iso
from .sessions import DAY

FAILURES: Final = ("card_declined", "insufficient_funds", "payment_method_expired")
"""Why a payment fails, other than for want of a method: a method that was added with one as its token fails so."""
_MOST_A_DAY: Final = 3


@final
@frozen(kw_only=True)
class Method:
    """A card or a SEPA mandate; *fails* says why every payment by it fails, if it does."""

    id: str
    type: str
    created_at: float
    fails: str | None

    def figures(self) -> dict[str, object]:
        """Write the method as the API shows it (docs: /api/billing)."""
        return {"id": self.id, "type": self.type, "created_at": iso(self.created_at)}


@final
@define(eq=False, repr=False)
class Payments:
    """The payment methods, the auto-reload, and the *threshold* below which a low balance is told."""

    methods: dict[str, Method] = field(factory=dict, init=False)
    reload: AutoReload = field(default=AutoReload(enabled=False), init=False)
    threshold: Decimal | None = field(default=None, init=False)
    _day: float = field(default=-1.0, init=False)
    _reloads: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _failed_at: float = field(default=0.0, init=False)

    def method(self) -> Method | None:
        """Tell by what a reload is paid: the method that was added last."""
        return next(reversed(self.methods.values()), None)

    @property
    def again_at(self) -> float | None:
        """When a reload that failed is tried once more, in Unix seconds; None if none has, or if it was."""
        return self._failed_at + DAY if self._failures == 1 else None

    def may_reload(self, now: float) -> bool:
        """Tell whether a reload may be tried: three a day in UTC; after one that failed once more, a day later."""
        if self._failures:
            return self.again_at is not None and self.again_at <= now
        return self._day != now // DAY or self._reloads < _MOST_A_DAY

    def count(self, now: float, *, failed: bool) -> None:
        """Count a reload that was tried *now*."""
        if failed:
            self._failures, self._failed_at = self._failures + 1, now
            return
        self._failures = 0
        self._reloads = self._reloads + 1 if self._day == now // DAY else 1
        self._day = now // DAY

    def forgive(self) -> None:
        """Forget that reloads failed: the method or the setting is another now."""
        self._failures = 0
