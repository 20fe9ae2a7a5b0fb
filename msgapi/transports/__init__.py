"""Ways to send a request: the protocol, and the doubles that ship with it.

The transport over aiohttp is `msgapi.transports.aiohttp.open`; importing this loads no HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .protocol import Answer, Transport

if TYPE_CHECKING:
    from .faulty import Fault, Faulty
    from .recording import Recording, Replay
else:

    def __getattr__(name: str) -> object:
        """Load a double when it is first asked for, so that `import msgapi` stays quick."""
        if name in _DOUBLES:
            return getattr(import_module(_DOUBLES[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Answer", "Fault", "Faulty", "Recording", "Replay", "Transport"]

_DOUBLES: Final = {"Fault": ".faulty", "Faulty": ".faulty", "Recording": ".recording", "Replay": ".recording"}
