"""`webhooks.write` raises TypeError for an event that `webhooks.read` gave: one with NaN, and a whole number over 64 bits.

Right: what can be read can be written, or is InvalidDelivery.
"""

from serve import *

from msgapi import webhooks

body = (b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1",'
        b'"agent_id":"ag_1","to":"+4915100000001","status":"read","read_at":"2026-05-04T07:30:00Z","n":%d,"x":NaN}}' % 2**70)
event = webhooks.read({webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="s")}, body, secret="s")
if isinstance(event, webhooks.InvalidDelivery):
    done(False, event)
try:
    webhooks.write(event)
except TypeError as error:
    done(True, f"{type(event).__name__}: raised {error!r}")
done(False, "written")
