"""Owner: the one API key that a fleet sends with.

Rules:
- A chunk may be sent by one worker and again by another. Under one key the service knows that it is the same
  operation; under two it may be two. So the first key that works at a fleet is the only one.
- A key that the service refuses sends nothing, and owns nothing.
"""

from typing import Final

from .manifest import Taken
from .quota_name import hashed
from .records import Records

_FLEET: Final = "_fleet"  # no batch can have this name
_KEY: Final = "key"


async def claim(records: Records, fleet: str, api_key: str) -> None:
    """Write down that the *fleet* of *records* sends with *api_key*, as a hash; `Taken` if it is another's."""
    mine = hashed(api_key).encode()
    while True:
        owner, revision = await records.read(_FLEET, _KEY)
        if owner == mine:
            return
        if owner:
            raise Taken(f"the fleet {fleet} sends with another API key: set that one, or name another fleet")
        if await records.write(_FLEET, _KEY, mine, revision):
            return


async def disclaim(records: Records, api_key: str) -> None:
    """Let the fleet of *records* be another's if it is that of *api_key*: the service has refused this one."""
    owner, revision = await records.read(_FLEET, _KEY)
    if owner == hashed(api_key).encode():
        _ = await records.write(_FLEET, _KEY, b"", revision)  # else another has, as well
