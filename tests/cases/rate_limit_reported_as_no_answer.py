"""No `Date` in the answers and a clock that is an hour behind: the batch stops as "the service was down for longer than --outage-timeout".

It answered every request. The end of the first window seems an hour away.
Right: the true reason is told; a reset that far away, by a server that says no time, may be doubted.
"""

from serve import *

left = iter(range(19, -1, -1))


def answer(method, path, headers, body):
    limits = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": str(next(left, 0)),
              "X-RateLimit-Reset": str(int(time.time() + 3601))}  # the server's clock, an hour ahead of ours
    return 200, json.dumps(ACCEPTED), limits | {"Content-Type": "application/json"}


with Service(answer=answer, dated=False) as service:
    ended = run("batch", people(60), *SEND, "--outage-timeout", "2", url=service.url)
need(len(service.requests) >= 20)
done("was down" in ended.said, f"exit {ended.returncode}, {len(service.requests)} requests, all answered:",
     *[line for line in ended.said.splitlines() if "stopped" in line])
