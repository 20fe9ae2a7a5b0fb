"""How each client is opened and makes one call: one POST of a message or its equivalent, and its answer.

Every client has its defaults, which is asserted for its retries; only its address is changed. A library is imported
when its client is opened, because each environment has one library.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from spending import BODY, KEY, Once

TO, TEXT = "+4915112345678", "Your parcel is here"


def raw(url: str) -> AbstractAsyncContextManager[Once]:
    """Open raw aiohttp with orjson, by hand."""
    from raw import raw as opened

    return opened(url)


def ours(url: str) -> AbstractAsyncContextManager[Once]:
    """Open our client, over aiohttp."""
    from call_cpu import typed

    from msgapi import Retry

    assert Retry().attempts == 5
    return typed(url)


def ours_fast(url: str) -> AbstractAsyncContextManager[Once]:
    """Open our client, over the transport of the extra `fast`."""
    from call_cpu import fast

    from msgapi import Retry

    assert Retry().attempts == 5
    return fast(url)


@asynccontextmanager
async def gidgethub(url: str) -> AsyncIterator[Once]:
    """Open gidgethub, which repeats nothing and answers with what the JSON holds."""
    from aiohttp import ClientSession
    from gidgethub.aiohttp import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        GitHubAPI,
    )

    async with ClientSession() as session:
        api = GitHubAPI(session, "bench", oauth_token=KEY, base_url=url)

        async def once() -> None:
            answer = await api.post("/v1/messages", data=BODY)
            assert answer["message_id"] == "msg_9f01aa22"

        yield once


@asynccontextmanager
async def slack_in_session(url: str) -> AsyncIterator[Once]:
    """Open slack_sdk with a session of the benchmark, which keeps its connections."""
    from aiohttp import ClientSession

    async with ClientSession() as session, slack(url, session=session) as once:
        yield once


@asynccontextmanager
async def slack(url: str, **options: Any) -> AsyncIterator[Once]:  # noqa: ANN401 - its own options
    """Open slack_sdk, which makes a session for each call unless it is given one."""
    from slack_sdk.web.async_client import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        AsyncWebClient,
    )

    api = AsyncWebClient(token=KEY, base_url=f"{url}/", **options)
    assert [handler.max_retry_count for handler in api.retry_handlers] == [1]

    async def once() -> None:
        answer = await api.chat_postMessage(channel=TO, text=TEXT)
        assert answer["message_id"] == "msg_9f01aa22"

    yield once


@asynccontextmanager
async def twilio(url: str) -> AsyncIterator[Once]:
    """Open twilio's async client, whose body is a form and which repeats nothing by default."""
    from twilio.http.async_http_client import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        AsyncTwilioHttpClient,
    )
    from twilio.rest import Client  # type: ignore[import-not-found,import-untyped,unused-ignore]

    async with AsyncTwilioHttpClient() as http:
        assert type(http.session).__name__ == "ClientSession"  # a RetryClient if it were configured to repeat
        api = Client("AC_bench", KEY, http_client=http)
        api.api.base_url = url

        async def once() -> None:
            message = await api.messages.create_async(to=TO, from_="+4915100000000", body=TEXT)
            assert message.status == "queued"

        yield once


@asynccontextmanager
async def azure_without_proxies(url: str) -> AsyncIterator[Once]:
    """Open azure-core with a transport that does not look for a proxy, and a password, at every request."""
    from azure.core.pipeline.transport import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        AioHttpTransport,
    )

    async with azure(url, transport=AioHttpTransport(use_env_settings=False)) as once:
        yield once


@asynccontextmanager
async def azure(url: str, **options: Any) -> AsyncIterator[Once]:  # noqa: ANN401 - its own options
    """Open azure-core with the policies that its generated clients have, each at its defaults."""
    from azure.core import AsyncPipelineClient  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from azure.core.rest import HttpRequest  # type: ignore[import-not-found,import-untyped,unused-ignore]

    async with AsyncPipelineClient(url, policies=azure_policies(), **options) as api:

        async def once() -> None:
            answer = await api.send_request(HttpRequest("POST", f"{url}/v1/messages", json=BODY))
            answer.raise_for_status()
            assert answer.json()["message_id"] == "msg_9f01aa22"

        yield once


def azure_policies() -> list[object]:
    """List the policies of a generated client, in its order."""
    from azure.core.credentials import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        AzureKeyCredential,
    )
    from azure.core.pipeline import policies  # type: ignore[import-not-found,import-untyped,unused-ignore]

    retry = policies.AsyncRetryPolicy()
    assert retry.total_retries == 10
    return [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.UserAgentPolicy(),
        policies.ProxyPolicy(),
        policies.ContentDecodePolicy(),
        policies.AsyncRedirectPolicy(),
        retry,
        policies.AzureKeyCredentialPolicy(AzureKeyCredential(KEY), "Authorization", prefix="Bearer"),
        policies.CustomHookPolicy(),
        policies.NetworkTraceLoggingPolicy(),
        policies.DistributedTracingPolicy(),
        policies.SensitiveHeaderCleanupPolicy(),
        policies.HttpLoggingPolicy(),
    ]


@asynccontextmanager
async def stripe_over_aiohttp(url: str) -> AsyncIterator[Once]:
    """Open stripe with its own client for aiohttp."""
    from stripe import AIOHTTPClient  # type: ignore[import-not-found,import-untyped,unused-ignore]

    http = AIOHTTPClient()
    async with stripe(url, http_client=http) as once:
        yield once
    await http.close_async()


@asynccontextmanager
async def stripe(url: str, **options: Any) -> AsyncIterator[Once]:  # noqa: ANN401 - its own options
    """Open stripe, whose body is a form and whose answer is the object that it names."""
    import stripe as library  # type: ignore[import-not-found,import-untyped,unused-ignore]

    api = library.StripeClient(KEY, base_addresses={"api": url}, **options)
    assert library.max_network_retries == 2

    async def once() -> None:
        paid = await api.v1.payment_intents.create_async({"amount": 11, "currency": "eur", "description": TEXT})
        assert isinstance(paid, library.PaymentIntent)
        assert paid.id == "msg_9f01aa22"

    yield once


@asynccontextmanager
async def openai_over_aiohttp(url: str) -> AsyncIterator[Once]:
    """Open openai with its own client for aiohttp."""
    from openai import DefaultAioHttpClient  # type: ignore[import-not-found,import-untyped,unused-ignore]

    async with DefaultAioHttpClient() as http, openai(url, http_client=http) as once:
        yield once


@asynccontextmanager
async def openai(url: str, **options: Any) -> AsyncIterator[Once]:  # noqa: ANN401 - its own options
    """Open openai, whose answer is a pydantic model."""
    from openai import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        DEFAULT_MAX_RETRIES,
        AsyncOpenAI,
    )
    from openai.types.chat import ChatCompletion  # type: ignore[import-not-found,import-untyped,unused-ignore]

    async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", **options) as api:
        assert api.max_retries == DEFAULT_MAX_RETRIES == 2

        async def once() -> None:
            answer = await api.chat.completions.create(model="bench", messages=[{"role": "user", "content": TEXT}])
            assert isinstance(answer, ChatCompletion)
            assert answer.id == "msg_9f01aa22"

        yield once
