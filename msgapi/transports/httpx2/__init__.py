"""A transport over httpx2, on asyncio and on trio."""

from .transport import open  # noqa: A004 - `transports.httpx2.open`

__all__ = ["open"]
