"""`contacts.import_contacts` over the rows of a CSV export: an empty cell is "", and makes the whole call Invalid.

One bad row of 12,000 keeps 1,999 others out, and is named by its place in its call: row 11,000 is `contacts[1000]`.
Right: "" is taken as absent, or one clear sentence; one bad row costs one row, and is named by its place in the input.
"""

from serve import *

import asyncio

import msgapi
from msgapi import contacts
from msgapi.sandbox import Sandbox

empty = [contacts.ImportRow(email=f"p{n}@example.org", phone="") for n in range(20)]
one_bad = [contacts.ImportRow(phone=number(n) if n != 11_000 else "no number") for n in range(12_000)]


async def main(rows):
    sandbox = Sandbox()
    async with msgapi.Client(transport=sandbox, api_key=sandbox.api_key) as api:
        return [await api(made) for made in contacts.import_contacts(rows)]


cells = asyncio.run(main(empty))
bad = asyncio.run(main(one_bad))
imported = sum(one.value.imported for one in bad if isinstance(one, msgapi.Ok))
fields = [detail.field for one in bad if not isinstance(one, msgapi.Ok) for detail in one.details]
print(f"empty cells: {[type(one).__name__ for one in cells]}\none bad row of 12,000: {imported} imported, named {fields}")
done(not isinstance(cells[0], msgapi.Ok) or imported < 11_999 or not any("11000" in field or "11001" in field for field in fields))
