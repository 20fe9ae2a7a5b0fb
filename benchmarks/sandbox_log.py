"""The cost of a sandbox by the number of its messages: memory and time of each 50,000, and their ratios.

The messages are sent to the sandbox in memory, each with its own key and recipient. The clock advances by one second
for every 1,000 messages, so that deliveries fall due. Memory is the resident memory after each part, in MB, and its
growth, in bytes a message. Keys, transactions and counts are never dropped.
"""

import argparse
import gc
import json
import os
import resource
import sys
import time
from decimal import Decimal
from pathlib import Path

from msgapi import Request
from msgapi.sandbox import Sandbox
from msgapi.sandbox.account import Account

PART = 50_000
PER_SECOND = 1_000
START = 1_777_852_800.0


def resident() -> float:
    """Return the resident memory of this process in MB; its peak where the system shows no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def send(account: Account, key: str, number: int) -> None:
    """Send one message."""
    body = {
        "agent_id": "ag_live_demo",
        "to": f"+49151{number:08}",
        "message_type": "MESSAGE",
        "traffic_type": "TRANSACTION",
        "content": {"text": f"Hello {number}, your parcel is here"},
    }
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"01d68482-0b3b-8635-887d-{number:012x}",
    }
    request = Request("POST", "http://127.0.0.1/v1/messages", headers, json.dumps(body).encode())
    status = account.handle(request, START + number / PER_SECOND).response.status
    assert status == 200, status


def main() -> None:
    """Send the parts, and print what each of them takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    _ = parser.add_argument("--parts", type=int, default=4)
    _ = parser.add_argument("--keep", type=int, help="keep so many final messages")
    given = parser.parse_args()
    options = {} if given.keep is None else {"keep_messages": given.keep}
    sandbox = Sandbox(balance=Decimal(10**8), rate_limit=10**9, **options)
    print(f"{'messages':>9} {'resident MB':>12} {'bytes each':>11} {'CPU µs':>8} {'dropped':>8}")
    times, sizes, memory = [], [], resident()
    for part in range(given.parts):
        begin = time.process_time()
        for number in range(part * PART, (part + 1) * PART):
            send(sandbox.account, sandbox.api_key, number)
        times.append((time.process_time() - begin) / PART * 1e6)
        _ = gc.collect()
        before, memory = memory, resident()
        sizes.append((memory - before) * 1e6 / PART)
        dropped = sandbox.account.state.log.dropped
        print(f"{(part + 1) * PART:>9,} {memory:>12.1f} {sizes[-1]:>11.0f} {times[-1]:>8.1f} {dropped:>8,}")
    print(f"a message of the last part takes {times[-1] / times[0]:.2f} of the CPU time of one of the first,")
    print(f"and {sizes[-1] / sizes[0]:.2f} of its memory")


if __name__ == "__main__":
    main()
