"""A result that is dropped is reported by pyright: this file is never executed, only checked."""

from msgapi import Call, Client, messages


async def a_dropped_result_is_reported(api: Client, call: Call[messages.Accepted]) -> None:
    await api(call)  # pyright: ignore[reportUnusedCallResult]
