"""`journal.open(":memory:")` is taken and keeps nothing: the next run sends every row again.

Only the service's memory of the keys, of a day, is left against a double send. Right: `journal.Unusable`, as for a folder.
"""

from serve import *

import asyncio

from msgapi import journal

os.chdir(here)
with Service() as service:
    try:
        for _ in range(2):
            asyncio.run(journalled(service.url, 5, ":memory:"))
    except journal.Unusable as error:
        done(False, f"refused: {error}")
done(len(service.requests) > 5, f"two runs with one journal over 5 rows: {len(service.requests)} requests")
