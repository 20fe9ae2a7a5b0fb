"""The recipe that uses models in the endpoints of FastAPI."""

import json
from pathlib import Path

from msgapi import Ok, codec, messages
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from tests.recipes.test_recipes import run

GOOD = "+4915112345678"
WITHOUT_RCS = next(magic.phone for magic in MAGIC_RECIPIENTS if magic.digits == "404")

RELAY = f"""
import json
import anyio
from httpx2 import ASGITransport, AsyncClient
from fastapi_relay import app
from msgapi import codec, messages

def body(to):
    text = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Hi")
    return codec.to_dict(text)

async def main():
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as browser,
    ):
        async def post(path, body):
            answer = await browser.post(path, json=body)
            print(json.dumps([answer.status_code, answer.json()]))
            return answer.json()

        await post("/texts", body("{GOOD}"))
        await post("/texts", body("{WITHOUT_RCS}"))
        await post("/texts", body("nobody"))
        job = await post("/jobs", {{"message": body("{GOOD}")}})
        await post("/jobs", job)

anyio.run(main)
"""


def test_fastapi_takes_and_returns_models_and_a_job_keeps_its_result(
    env: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    sent, refused, wrong, job, again = [json.loads(one) for one in run(env, tmp_path, "-c", RELAY).splitlines()]
    assert sent[0] == 202
    assert isinstance(codec.from_dict(sent[1], messages.Accepted), messages.Accepted)
    assert refused == [422, {"detail": {"kind": "NotFound", "code": "not_rcs_capable"}}]
    assert (wrong[0], wrong[1]["detail"][0]["loc"]) == (422, ["body", "to"])
    assert job == again
    assert isinstance(codec.result_from_dict(job[1]["result"], messages.Accepted), Ok)
    assert len(sandbox.messages) == 2
