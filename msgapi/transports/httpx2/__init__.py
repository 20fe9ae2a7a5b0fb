"""A transport over httpx2, on asyncio and on trio."""

from ...config import needing_extra

with needing_extra("transports.httpx2", "trio", "httpx2", "httpcore2", "h11"):
    from .transport import open  # noqa: A004 - `transports.httpx2.open`

__all__ = ["open"]
