"""The rate limit of an API key: when the next request may leave, in one process or shared by many workers."""

from .pace import Lane, Pace
from .shared import Grant, LocalSharedRate, RateState, SharedRate

__all__ = ["Grant", "Lane", "LocalSharedRate", "Pace", "RateState", "SharedRate"]
