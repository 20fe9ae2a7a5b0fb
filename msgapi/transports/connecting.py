"""Connecting: what the transports that open their own connections share."""

import ssl
from functools import lru_cache
from typing import Final, final

from ..results import NotSent


@final
class NotConnected(Exception):
    """There is no connection, and *answer* is why: nothing was sent."""

    def __init__(self, answer: NotSent) -> None:
        super().__init__()
        self.answer: Final = answer


@lru_cache(1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the context with the system's certificates, made once: making it reads all of them."""
    return ssl.create_default_context()
