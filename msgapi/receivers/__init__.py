"""Receivers: where a service's webhooks arrive in an application, mounted in one line.

`asgi` is an ASGI application for FastAPI, Starlette, Litestar and the like; `receivers.aiohttp.handler`
is for aiohttp.web, and imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .asgi import asgi
from .inbox import Handle, Inbox
from .seen import Remembered, Seen, Standing

if TYPE_CHECKING:
    from . import aiohttp
else:

    def __getattr__(name: str) -> object:
        """Load what needs aiohttp when it is first asked for."""
        if name == "aiohttp":
            return import_module(".aiohttp", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Handle", "Inbox", "Remembered", "Seen", "Standing", "aiohttp", "asgi"]
