"""A DELETE that the service carries out and answers 503 is repeated, without a key, and ends as NotFound: "too late".

The contract (section 3, Retries) allows it on mutating routes only if a key was sent.
Right: as the contract says; or a 404 for a repeat is told apart from a 404 for the first request.
"""

from serve import *

import asyncio

import msgapi
from msgapi import messages

answers = [(503, {"error": "down", "message": "m"}), (404, {"error": "not_found", "message": "m"})]
with Service(answer=lambda *_: answers.pop(0)) as service:

    async def main():
        async with msgapi.Client(api_key=KEY, base_url=service.url, retry=msgapi.Retry(base=0.001)) as api:
            return await api(messages.revoke("msg_1"))

    result = asyncio.run(main())
    keys = ["Idempotency-Key" in headers for _, _, headers, _ in service.requests]
done(len(keys) > 1 and isinstance(result, msgapi.NotFound), f"{len(keys)} DELETE, with a key: {keys}; {result!r}")
