"""The sandbox can't be a container beside the tests: http://sandbox:8025 is refused, and nothing says how to allow it.

The rule is right in production. Right: an explicit way, in code and environment, which the message names.
"""

from serve import *

import asyncio
import re

import msgapi


async def main(url):
    try:
        async with msgapi.Client(api_key="sk_sandbox", base_url=url):
            return "accepted"
    except msgapi.Misconfigured as error:
        return str(error)


said = {url: asyncio.run(main(url)) for url in ("http://sandbox:8025", "http://host.docker.internal:8025")}
ways = r"accepted|MSGAPI_(?!API_KEY|BASE_URL)\w+|\w+=True|allow"
done(not all(re.search(ways, one) for one in said.values()), said)
