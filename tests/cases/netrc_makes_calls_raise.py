"""With `ClientSession(trust_env=True)`, the only way to a proxy of the environment, and a .netrc, every call raises.

ValueError out of `api(call)`: aiohttp adds an Authorization beside ours. Right: ours stands, and nothing is raised.
"""

from serve import *

import asyncio

import aiohttp
import msgapi
from msgapi.transports import aiohttp as over_aiohttp

(here / "netrc").write_text("default login user password word\n")
(here / "netrc").chmod(0o600)
os.environ["NETRC"] = str(here / "netrc")


async def main(url):
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        over_aiohttp.open(session=session) as send,
        msgapi.Client(api_key=KEY, base_url=url, transport=send) as api,
    ):
        return await api(call())


with Service() as service:
    try:
        result = asyncio.run(main(service.url))
    except ValueError as error:
        done(True, f"raised {error!r}")
done(not isinstance(result, msgapi.Ok), result)
