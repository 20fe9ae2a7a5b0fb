"""Owner: the one API key that a fleet sends with.

Rules:
- A chunk may be sent by one worker and again by another. Under one key the service knows that it is the same
  operation; under two it may be two. So the first key that works at a fleet is the only one, from before it sends.
- A key that the service refuses sends nothing, and owns nothing. One that nobody has tried should own nothing either.
"""

from typing import Final

from .manifest import Taken
from .quota_name import hashed
from .records import Records, Revision

_FLEET: Final = "_fleet"  # no batch can have this name
_KEY: Final = "key"


async def check(records: Records, fleet: str, api_key: str) -> None:
    """See that the *fleet* of *records* does not send with another key than *api_key*, else it is `Taken`."""
    _ = await _mine(records, fleet, hashed(api_key).encode())


async def claim(records: Records, fleet: str, api_key: str) -> None:
    """Write down that the *fleet* of *records* sends with *api_key*, as a hash; `Taken` if it is another's."""
    mine = hashed(api_key).encode()
    while True:
        done, revision = await _mine(records, fleet, mine)
        if done or await records.write(_FLEET, _KEY, mine, revision):
            return


async def disclaim(records: Records, api_key: str) -> None:
    """Let the fleet of *records* be another's if it is that of *api_key*: the service has refused this one."""
    owner, revision = await records.read(_FLEET, _KEY)
    if owner == hashed(api_key).encode():
        _ = await records.write(_FLEET, _KEY, b"", revision)  # else another has, as well


async def _mine(records: Records, fleet: str, mine: bytes) -> tuple[bool, Revision]:
    owner, revision = await records.read(_FLEET, _KEY)
    if owner and owner != mine:
        raise Taken(f"the fleet {fleet} sends with another API key: set that one, or name another fleet")
    return owner == mine, revision
