"""An event's `postback_data` that came as plain text is decoded if it happens to be base64: "MENU" arrives as "0CT".

The contract (8.4) shows both forms. What came is kept nowhere, so a bot takes the wrong branch. 35% of four capitals are hit.
Right: what came can be had too, whatever is guessed.
"""

from serve import *

import attrs
from msgapi import webhooks

body = json.dumps({
    "id": "evt_1", "event": "conversation.started", "timestamp": "2026-05-04T07:30:00Z",
    "data": {"agent_id": "ag_1", "from": "+4915100000001", "session_expires_at": "2026-05-05T07:30:00Z",
             "user_message": {"type": "suggested_reply", "text": "Menu", "postback_data": "MENU"}},
}).encode()
event = webhooks.read({webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="s")}, body, secret="s")
done("MENU" not in str(attrs.asdict(event)), f"sent MENU, read {event.user_message.postback_data!r}")
