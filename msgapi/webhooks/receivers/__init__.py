"""Receivers: answer the deliveries of a service inside a web application.

`webhooks.aiohttp` is not exported here, since its module imports aiohttp.
"""

from .asgi_app import asgi
from .event_store import EventState, EventStore, MemoryEventStore
from .receiver import Handler, Receiver

__all__ = ["EventState", "EventStore", "Handler", "MemoryEventStore", "Receiver", "asgi"]
