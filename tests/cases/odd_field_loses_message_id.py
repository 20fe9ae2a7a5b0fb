"""A success in which one field of no account is of another type is Unreadable, and the message id is nowhere.

Paid for, but it can't be revoked, looked up or matched with events. A byte order mark does the same, and costs a 402 its
`required_amount`. Right: a field that can't be read is set aside in `extra`, as elsewhere; at the least the id is kept.
"""

from serve import *

import asyncio

import attrs
import msgapi

BOM = b"\xef\xbb\xbf"
ODD = {
    "created_at as a number": json.dumps(ACCEPTED | {"created_at": 1777879800}).encode(),
    "a leap second": json.dumps(ACCEPTED | {"created_at": "2026-12-31T23:59:60Z"}).encode(),
    "a price with a comma": json.dumps(ACCEPTED | {"billing": {"message_price": "0,07"}}).encode(),
    "billing is a list": json.dumps(ACCEPTED | {"billing": []}).encode(),
    "a byte order mark": BOM + json.dumps(ACCEPTED).encode(),
}
POOR = BOM + json.dumps({"error": "insufficient_balance", "message": "m", "required_amount": 0.07}).encode()


async def result(status, body):
    async def transport(_):
        return msgapi.Response(status, {"Content-Type": "application/json"}, body)

    async with msgapi.Client(transport=transport, api_key=KEY) as api:
        return await api(call())


wrong = False
for name, body in ODD.items():
    found = asyncio.run(result(200, body))
    kept = "msg_1" in str(attrs.asdict(found))
    wrong |= not kept
    print(f"{name}: {type(found).__name__}, the id is {'kept' if kept else 'lost'}")
poor = asyncio.run(result(402, POOR))
done(wrong or poor.required_amount is None, f"402 with a byte order mark: required_amount={poor.required_amount}")
