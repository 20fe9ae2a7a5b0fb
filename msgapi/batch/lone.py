"""Lone cancellations: what a future of the caller's does when somebody else cancels it."""

import math

import anyio


def explained(error: BaseException, what: str) -> Exception:
    """Make an error of a cancellation that nobody asked for; one that was asked for is raised again."""
    if anyio.current_effective_deadline() == -math.inf:
        raise error
    lone = RuntimeError(f"{what} was cancelled from within: nobody cancelled the batch")
    lone.__cause__ = error
    return lone
