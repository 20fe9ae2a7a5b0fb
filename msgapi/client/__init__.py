"""The client: it carries out calls over a transport, with retries and within the rate limit."""

from .client import Client
from .lifetime import BASE_URL

__all__ = ["BASE_URL", "Client"]
