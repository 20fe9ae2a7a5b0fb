"""Why a connection failed is thrown away: one text for every TLS failure, one for refused, unreachable and EMFILE.

A wrong base URL that redirects is "HTTP 301 without a message". Nobody behind a company's proxy can tell what is wrong.
Right: the verifier's or OpenSSL's own line, the name of the errno, the host of a redirect.
"""

from serve import *

import asyncio

import msgapi


async def result(url):
    async with msgapi.Client(api_key=KEY, base_url=url, retry=msgapi.Retry(attempts=1), timeout=3) as api:
        return await api(call())


unused = Raw(lambda *_: None)
unused.close()
refused = asyncio.run(result(unused.url))
moved = (301, b"", {"Location": "https://api.example.org/v1/messages"})
with Service(answer=lambda *_: moved) as service:
    plain = asyncio.run(result(service.url.replace("http:", "https:")))  # speaks no TLS
    redirected = asyncio.run(result(service.url))
print(f"refused: {refused.message}\nno TLS: {plain.message}\nredirect: {redirected.message}")
causes = "version", "record", "handshake", "protocol", "plain", "speak"
done("refused" not in refused.message.lower() or not any(one in plain.message.lower() for one in causes)
     or "api.example.org" not in redirected.message)
