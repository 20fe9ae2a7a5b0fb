"""Transports: the protocol, the test doubles `Faulty`, `Recording`, `Replay` and `Cassette`, and `asgi`.

Each real transport has a module with an `open` function: `transports.aiohttp`, `transports.httptools` and
`transports.httpx2`. Importing this package loads no HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .protocol import Answer, Transport

if TYPE_CHECKING:
    from .asgi_app import AsgiApp, AsgiTransport, asgi
    from .faults import Fault, Faulty
    from .recording import Cassette, NotRecorded, Recording, RecordMode, Replay
else:

    def __getattr__(name: str) -> object:
        """Import a test double when it is first used, so that `import msgapi` stays fast."""
        if name in _LAZY:
            return getattr(import_module(_LAZY[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Return all names, those that are imported on first use too."""
        return sorted(globals().keys() | set(__all__))


__all__ = [
    "Answer",
    "AsgiApp",
    "AsgiTransport",
    "Cassette",
    "Fault",
    "Faulty",
    "NotRecorded",
    "RecordMode",
    "Recording",
    "Replay",
    "Transport",
    "asgi",
]

_LAZY: Final = {
    "AsgiApp": ".asgi_app",
    "AsgiTransport": ".asgi_app",
    "asgi": ".asgi_app",
    "Cassette": ".recording",
    "Fault": ".faults",
    "Faulty": ".faults",
    "NotRecorded": ".recording",
    "RecordMode": ".recording",
    "Recording": ".recording",
    "Replay": ".recording",
}
