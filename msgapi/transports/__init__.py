"""Ways to send a request: the protocol, and the doubles that ship with it."""

from .protocol import Answer, Transport

__all__ = ["Answer", "Transport"]
