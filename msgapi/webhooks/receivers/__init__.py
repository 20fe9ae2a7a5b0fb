"""Receivers: answer the deliveries of a service inside a web application, and call a handler once for each event."""

from .asgi_aiohttp import aiohttp, asgi
from .django_flask import django, flask
from .event_store import EventState, EventStore, EventStoreError, MemoryEventStore, SqliteEventStore
from .receiver import Handler, Receiver
from .redis_event_store import RedisEventStore

__all__ = [
    "EventState",
    "EventStore",
    "EventStoreError",
    "Handler",
    "MemoryEventStore",
    "Receiver",
    "RedisEventStore",
    "SqliteEventStore",
    "aiohttp",
    "asgi",
    "django",
    "flask",
]
