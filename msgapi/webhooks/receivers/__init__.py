"""Receivers: where a service's webhooks arrive in an application, mounted in one line."""

from .asgi_app import asgi
from .event_store import Remembered, Seen, Standing
from .receiver import Handle, Inbox

__all__ = ["Handle", "Inbox", "Remembered", "Seen", "Standing", "asgi"]
