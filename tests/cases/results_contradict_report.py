"""After SIGTERM the report counts no row as interrupted, but --results calls many "Unknown": may have been sent.

They never left. Right: the files and the report say the same of every row.
"""

from serve import *

import signal

with Service(pace=0.004) as service:
    child = start("batch", people(800), *SEND, "--json", "--results", "results.jsonl", url=service.url)
    service.wait_for(100)
    child.send_signal(signal.SIGTERM)
    told = json.loads(child.communicate(timeout=20)[0])
kinds = Counter(json.loads(line)["kind"] for line in (here / "results.jsonl").read_text().splitlines())
report = {name: told[name] for name in ("accepted", "interrupted", "not_sent_yet")}
done(kinds["Unknown"] != told["interrupted"], f"the report: {report}; the file: {dict(kinds)}")
