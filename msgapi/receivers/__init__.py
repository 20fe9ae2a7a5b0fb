"""Receivers: where a service's webhooks arrive in an application, mounted in one line.

`asgi` is an ASGI application for FastAPI, Starlette, Litestar and the like; `receivers.aiohttp.handler`
is for aiohttp.web, and imports it.
"""

from .asgi import asgi
from .inbox import Handle, Inbox
from .seen import Remembered, Seen, Standing

__all__ = ["Handle", "Inbox", "Remembered", "Seen", "Standing", "asgi"]
