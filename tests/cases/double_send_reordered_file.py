"""A batch stops half-way, the file is sorted, the same command goes on: people get the message twice, others never.

Right: a row is known by what it says, so that an order does not matter; or the changed file is refused before a row leaves.
"""

from serve import *

with Service(free=1.40) as service:
    file = people(60)
    run("batch", file, *SEND, "--concurrency", 4, url=service.url)
    need(len(service.got) == 20)  # then the balance was used up
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([head, *reversed(rows)]) + "\n")
    service.free = 1000.0
    again = run("batch", file, *SEND, url=service.url)
done(
    service.twice or (again.returncode == 0 and len(service.to) < 60),
    f"exit {again.returncode}: {service.twice} of 60 people got it twice, {60 - len(service.to)} not at all",
)
