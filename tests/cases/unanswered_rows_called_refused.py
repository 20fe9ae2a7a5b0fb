"""Rows that the service failed on (503) are counted as refused, "to be mended and sent".

There is nothing to mend, and they may have been accepted. Right: a word of its own for rows without a verdict.
"""

from serve import *

later = (503, {"error": "down", "message": "m"}, {"Retry-After": "600"})  # too long to wait for: given out as it is
with Service(answer=lambda *asked: later if b"00000003" in asked[3] else None) as service:
    ended = run("batch", people(5), *SEND, "--outage-timeout", "0", "--failed", "failed.csv", url=service.url)
need(len(service.got) == 4)
wrong = [line for line in ended.said.splitlines() if "refused" in line and "0 refused" not in line]
done(wrong, f"4 accepted, one answered 503; exit {ended.returncode}:", *wrong)
