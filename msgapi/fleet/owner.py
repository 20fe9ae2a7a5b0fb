"""Owner: the one API key that a fleet sends with.

Rule: a chunk may be sent by one worker and again by another. Under one key the service knows that it is the same
operation; under two it may be two. So the first key that works at a fleet is the only one.
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
    if await records.write(_FLEET, _KEY, mine, 0):
        return
    owner, _ = await records.read(_FLEET, _KEY)
    if owner != mine:
        raise Taken(f"the fleet {fleet} sends with another API key: set that one, or name another fleet")
