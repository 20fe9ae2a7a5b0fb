"""Transports: the protocol, and the test doubles `Faulty`, `Recording` and `Replay`.

Each real transport is a package with an `open` function: `transports.aiohttp`, `transports.httptools` and
`transports.httpx2`. Importing this package loads no HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .protocol import Answer, Transport

if TYPE_CHECKING:
    from .faults import Fault, Faulty
    from .recording import Recording, Replay
else:

    def __getattr__(name: str) -> object:
        """Import a test double when it is first used, so that `import msgapi` stays fast."""
        if name in _LAZY:
            return getattr(import_module(_LAZY[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Answer", "Fault", "Faulty", "Recording", "Replay", "Transport"]

_LAZY: Final = {"Fault": ".faults", "Faulty": ".faults", "Recording": ".recording", "Replay": ".recording"}
