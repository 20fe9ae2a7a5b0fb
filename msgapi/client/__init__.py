"""The client: it carries out calls over a transport, with retries and within the rate limit."""

from .client import BASE_URL, MAX_CONNECTIONS, Client

__all__ = ["BASE_URL", "MAX_CONNECTIONS", "Client"]
