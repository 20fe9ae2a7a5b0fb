"""What the benchmarks of single calls share: the message, how calls are made, and how their cost is measured."""

import asyncio
import cProfile
import pstats
import resource
import time
from collections.abc import Awaitable, Callable

KEY = "sk_bench"
BODY = {
    "agent_id": "ag_live_demo",
    "to": "+4915112345678",
    "message_type": "MESSAGE",
    "traffic_type": "TRANSACTION",
    "content": {"text": "Your parcel is here"},
}
Once = Callable[[], Awaitable[None]]


async def spend(once: Once, calls: int, concurrency: int) -> tuple[float, float]:
    """Make *calls* calls by *concurrency* workers: seconds of CPU, and of wall time."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await once()

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


async def function_calls(once: Once, calls: int) -> float:
    """Count the function calls of one call, as cProfile sees them: a figure without noise."""
    profile = cProfile.Profile()
    profile.enable()
    await spend(once, calls, 64)
    profile.disable()
    total: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return total / calls
