"""The file is still being written when the batch starts: IndexError, a traceback, and exit 1, "finished with refusals".

Right: one sentence (the file has changed), exit 3, and the rows that were counted are accounted for.
"""

from serve import *

with Service(pace=0.01) as service:
    file = people(50)
    child = start("batch", file, *SEND, "--concurrency", 2, "--rate", 40, url=service.url)
    service.wait_for(3)
    with file.open("a") as more:
        more.writelines(f"{number(n)},P{n}\n" for n in range(51, 120))
    out, err = child.communicate(timeout=30)
print(*(line for line in (out + err).splitlines() if "accepted" in line or "Error" in line), sep="\n")
done("Traceback" in err or child.returncode == 1, f"exit {child.returncode}, {len(service.got)} messages")
