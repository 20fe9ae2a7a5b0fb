"""Plain http: to this machine, and to the hosts that the program or the environment names; sandboxes in the repr."""

from collections.abc import Collection

import anyio
import pytest

from msgapi import Client, Misconfigured, webhooks
from msgapi.config import may_use_http
from msgapi.sandbox import Sandbox
from msgapi.transports import Faulty

pytestmark = pytest.mark.anyio
URLS = ("http://sandbox:8025", "http://host.docker.internal:8025/v1")


@pytest.mark.parametrize("url", URLS)
async def test_a_named_host_may_be_reached_over_plain_http(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = url.split("/")[2].partition(":")[0]
    with pytest.raises(Misconfigured) as error:
        Client(base_url=url)
    assert f"MSGAPI_ALLOW_HTTP={host}" in str(error.value)
    assert f"Client(allow_http=({host!r},))" in str(error.value)
    transport = Sandbox()
    for allowed in ((host,), [host.upper()], {"a.test", f"{host}."}, frozenset({host})):
        async with Client(api_key="sk", base_url=url, allow_http=allowed, transport=transport) as client:
            assert url.removesuffix("/v1") in repr(client)
    monkeypatch.setenv("MSGAPI_ALLOW_HTTP", f"other, {host},")
    assert isinstance(Client(base_url=url), Client)
    monkeypatch.setenv("MSGAPI_BASE_URL", url)
    async with Client(api_key="sk", transport=transport):
        pass
    monkeypatch.setenv("MSGAPI_ALLOW_HTTP", "other")
    with pytest.raises(Misconfigured, match="must be https"):
        async with Client(api_key="sk", transport=transport):
            pass
    async with Client(api_key="sk", transport=transport, allow_http=(host,)):
        pass


@pytest.mark.parametrize(
    ("allow_http", "kind"),
    [
        ("sandbox", TypeError),
        (None, TypeError),
        (True, TypeError),
        ((1,), TypeError),
        (("*",), ValueError),
        (("",), ValueError),
        (("sandbox:8025",), ValueError),
        (("http://sandbox",), ValueError),
    ],
)
def test_a_wrong_list_of_hosts_is_one_sentence(allow_http: Collection[str], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r'allow_http must .*such as \("sandbox",\)'):
        Client(allow_http=allow_http)


def test_only_whole_names_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_ALLOW_HTTP", "sandbox,*, ,10.0.0.5")
    assert may_use_http("SANDBOX.")
    assert may_use_http("10.0.0.5")
    assert may_use_http("::1")
    assert not any(may_use_http(host) for host in ("a.sandbox", "sandbox.test", "sandboxes", "", "10.0.0.50"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_webhook_may_be_sent_over_plain_http_to_a_named_host(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = webhooks.NewEndpoint(url="http://app:8000/hook", events=("message.read",), secret="whsec_1")
    refused = webhooks.create(endpoint).invalid
    assert refused is not None
    assert refused.details[0].message.endswith("unless MSGAPI_ALLOW_HTTP lists its host")
    monkeypatch.setenv("MSGAPI_ALLOW_HTTP", "app")
    sandbox = Sandbox()
    async with Client(api_key=sandbox.api_key, transport=sandbox) as client:
        created = (await client(webhooks.create(endpoint))).unwrap()
        changes = webhooks.EndpointChanges(url="http://app:9000/hook")
        (await client(webhooks.update(created.id, changes))).unwrap()
        (endpoint_now,) = (await client(webhooks.list())).unwrap().webhooks
        assert endpoint_now.url == "http://app:9000/hook"
        monkeypatch.delenv("MSGAPI_ALLOW_HTTP")
        call = webhooks.create(endpoint)
        assert call.invalid is not None


async def test_a_client_over_a_sandbox_shows_it() -> None:
    named = Sandbox(api_key="sk_of_its_own")
    for client in (
        Client(transport=named, api_key=named.api_key),
        Client(transport=Faulty(Sandbox()), api_key="sk_sandbox"),
        Client(base_url="http://127.0.0.1:8025", api_key="sk_sandbox"),
        Client(transport=Sandbox(), api_key="sk_sandbox").with_options(timeout=1.0),
    ):
        assert repr(client).endswith(", over a sandbox)")
        await anyio.lowlevel.checkpoint()
    assert "sandbox" not in repr(Client(api_key="sk_live_1"))
