"""The file is written anew, in place, while it is sent: a number that stands in neither list gets a message.

It is half a line of the old file and half of the new one; the rest goes to the new list, and nothing is said.
Right: the change is noticed and the batch stops, or the rows are read from a copy. Nobody outside the first list is sent to.
"""

from serve import *


def lines(first):
    return "to,name\n" + "".join(f"+49151{first + n * 7919:08},N{first + n:08}\n" for n in range(1200))


old, new = lines(10_000_003), lines(70_000_009)  # lines of the same length
with Service() as service:
    file = here / "people.csv"
    file.write_text(old)
    child = start("batch", file, *SEND, "--concurrency", 4, "--rate", 500, url=service.url)
    service.wait_for(10)
    with file.open("r+") as there:
        there.write(new)
    child.communicate()
    got = list(service.to)
strangers = [to for to in got if to not in old and to not in new]
others = sum(to in new for to in got)
done(strangers or others, f"exit {child.returncode}: {len(got)} messages, {others} to the new list, in no list: {strangers}")
