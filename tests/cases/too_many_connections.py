"""More calls at once than file descriptors: hundreds of sends end as NotSent "could not connect".

No transport has a limit of connections, and the reason (EMFILE) is hidden. macOS allows 256 descriptors by default.
Right: a limit of connections in `Client` and `open`, where waiting for a free one ends only with the caller's deadline.
"""

from serve import *

import asyncio
import resource

import msgapi

server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("serve.py")), "0.002"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
url = server.stdout.readline().strip()
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


async def main():
    async with msgapi.Client(api_key=KEY, base_url=url) as api:
        return await asyncio.gather(*(api(call(n)) for n in range(2000)))


lost = [one for one in asyncio.run(main()) if not isinstance(one, msgapi.Ok)]
server.stdin.close()
server.wait(5)
done(lost, f"{len(lost)} of 2,000 calls are lost: {Counter(repr(one.reason) for one in lost if hasattr(one, 'reason'))}")
