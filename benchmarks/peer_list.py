"""The clients that are measured side by side, and what is installed for each. None of them is imported here."""

from dataclasses import dataclass
from typing import Literal

AIOHTTP, ORJSON, HTTPTOOLS = "aiohttp==3.14.5", "orjson==3.13.0", "httptools==0.9.0"
UVLOOP = "uvloop==0.23.0; sys_platform != 'win32' and implementation_name == 'cpython'"
OURS = "msgapi"
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "aiohttp": (AIOHTTP, ORJSON, UVLOOP),
    OURS: (AIOHTTP, ORJSON, UVLOOP, HTTPTOOLS),  # and this tree
    "twilio": ("twilio==9.13.0", AIOHTTP),
    "slack_sdk": ("slack_sdk==3.48.0", AIOHTTP),
    "gidgethub": ("gidgethub[aiohttp]==6.0.0", AIOHTTP),
    "azure-core": ("azure-core[aio]==1.41.0", AIOHTTP),
    "stripe": ("stripe[async]==16.1.0", "httpx==0.28.1", AIOHTTP),
    "openai": ("openai[aiohttp]==3.57.0", "httpx2==2.16.2", AIOHTTP),
}


@dataclass(frozen=True)
class Peer:
    """One client: its name, its environment, how it is opened, what it runs on, and how often it repeats a request.

    *way* is the name of a function of `peer_ways`; *retries* is the default, which the way asserts.
    """

    name: str
    environment: str
    way: str
    over: str
    retries: int
    loop: Literal["asyncio", "uvloop"] = "asyncio"
    distribution: str = ""

    @property
    def installed(self) -> str:
        """Name the distribution whose version is the client's."""
        return self.distribution or self.environment


PEERS = (
    Peer("raw aiohttp + orjson", "aiohttp", "raw", "aiohttp", 0),
    Peer("raw aiohttp + orjson, uvloop", "aiohttp", "raw", "aiohttp", 0, "uvloop"),
    Peer("msgapi", OURS, "ours", "aiohttp", 4, distribution="msgapi-sdk"),
    Peer("msgapi, uvloop", OURS, "ours", "aiohttp", 4, "uvloop", "msgapi-sdk"),
    Peer("msgapi fast", OURS, "ours_fast", "httptools", 4, distribution="msgapi-sdk"),
    Peer("msgapi fast, uvloop", OURS, "ours_fast", "httptools", 4, "uvloop", "msgapi-sdk"),
    Peer("gidgethub", "gidgethub", "gidgethub", "aiohttp", 0),
    Peer("slack_sdk, session passed in", "slack_sdk", "slack_in_session", "aiohttp", 1),
    Peer("slack_sdk", "slack_sdk", "slack", "aiohttp", 1),
    Peer("twilio", "twilio", "twilio", "aiohttp", 0),
    Peer("azure-core, no proxies", "azure-core", "azure_without_proxies", "aiohttp", 10),
    Peer("azure-core", "azure-core", "azure", "aiohttp", 10),
    Peer("stripe, aiohttp", "stripe", "stripe_over_aiohttp", "aiohttp", 2),
    Peer("stripe, httpx", "stripe", "stripe", "httpx", 2),
    Peer("openai, aiohttp", "openai", "openai_over_aiohttp", "aiohttp", 2),
    Peer("openai, httpx2", "openai", "openai", "httpx2", 2),
)
BASE = PEERS[0]
