"""The API key stands in the local variables of `Client` when it raises Misconfigured: an error tracker gets it.

Right: the URL is checked first, and no frame of ours that can raise holds the key as text.
"""

from serve import *

import asyncio

import msgapi

os.environ["MSGAPI_API_KEY"] = KEY


async def main():
    async with msgapi.Client(base_url="http://api.example.org"):
        pass


found = []
try:
    asyncio.run(main())
    need(False)
except msgapi.Misconfigured as error:
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if f"{os.sep}msgapi{os.sep}" in code.co_filename:
            found += [f"{code.co_name}: {name}" for name, value in trace.tb_frame.f_locals.items() if KEY in repr(value)]
        trace = trace.tb_next
done(found, "the key is in", found)
