"""The sandbox answers whatever the Host is, under a key that everybody knows: a page that rebinds its name can use it.

It can read what was sent, and have the sandbox POST to other addresses of the machine and its network.
Right: 403 or 421 for a Host that is no loopback name while bound to loopback; or a random key.
"""

from serve import *

import asyncio
import http.client
from urllib.parse import urlsplit

from msgapi.sandbox import Sandbox
from msgapi.sandbox import serve


def ask(url):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.request("GET", "/v1/messages", headers={
        "Host": "evil.example:8025", "Origin": "http://evil.example:8025", "Authorization": "Bearer sk_sandbox"})
    answer = connection.getresponse()
    return answer.status, answer.read()[:60]


async def main():
    async with serve(Sandbox()) as url:
        return await asyncio.to_thread(ask, url)


status, body = asyncio.run(main())
done(status == 200, status, body)
