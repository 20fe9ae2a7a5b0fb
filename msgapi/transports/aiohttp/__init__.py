"""A transport over aiohttp, on asyncio."""

from .opening import open  # noqa: A004 - `transports.aiohttp.open`

__all__ = ["open"]
