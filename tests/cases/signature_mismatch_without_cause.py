"""`msgapi webhooks verify` "tells why a body was refused", but of a body that a framework wrote anew only that it differs.

A secret with a line break at its end, as from a file, is taken without a word (an API key is not).
Right: it says that the body was changed, and how, where that can be told; such a secret is refused.
"""

from serve import *

import re

from msgapi import webhooks


async def handle(event):
    pass


body = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{}}'
signature = webhooks.sign(body, secret="whsec_1")
(here / "indented.json").write_text(json.dumps(json.loads(body), indent=2))
(here / "crlf.json").write_bytes(body + b"\r\n")
vague = []
for name in ("indented.json", "crlf.json"):
    said = run("webhooks", "verify", name, "--signature", signature, "--secret", "whsec_1").said
    print(name, said.strip())
    if not re.search(r"format|indent|encoded|written|white ?space|line|changed|compact", said):
        vague.append(name)
try:
    webhooks.asgi(handle, secret="whsec_1\n")
    taken = True
except ValueError:
    taken = False
done(vague or taken, f"no cause told: {vague}; a secret that ends in a line break is {'taken' if taken else 'refused'}")
