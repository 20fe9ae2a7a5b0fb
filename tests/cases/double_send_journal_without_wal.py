"""kill -9, then the file and its journal are moved to another folder: the same command sends everything again.

The name of the batch is only in the file `-wal` until SQLite writes it back, and nothing says that it belongs to the
journal. Right: the journal itself names its batch from the first row on.
"""

from serve import *

import shutil

with Service(pace=0.008) as service:
    file = people(200)
    child = start("batch", file, *SEND, "--concurrency", 8, url=service.url)
    service.wait_for(60)
    child.kill()
    child.wait()
    sent, service.pace = len(service.got), 0
    (here / "other").mkdir()
    for name in ("people.csv", "people.csv.journal"):
        shutil.move(here / name, here / "other" / name)
    again = run("batch", here / "other" / "people.csv", *SEND, url=service.url)
done(service.twice, f"{sent} sent before the kill; exit {again.returncode}, {service.twice} people got it twice")
