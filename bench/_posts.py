"""The limit of `bench.webhooks`: a loop of aiohttp that signs and posts, and stores nothing.

    python -m bench._posts SECRET

Each line of stdin, JSON, says the `urls` to post to, the `body`, how many times `each`, and how
many `at_once` to each of them. The answer on stdout: how many `seconds` it took from then, and how
many were not accepted. Ends when stdin does.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import repeat

import aiohttp

from bench._feeds import allow_sockets
from worker.webhooks import headers

_TIMEOUT = aiohttp.ClientTimeout(total=15)


async def main(secret: str) -> None:
    allow_sockets()
    connector = aiohttp.TCPConnector(limit=0)
    cookies = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=cookies, timeout=_TIMEOUT
    ) as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            body = asked["body"].encode()
            began = time.monotonic()
            lanes = []
            for url in asked["urls"]:
                left = repeat(url, asked["each"])  # shared by its lanes
                lanes += [_post(session, secret, body, left) for _ in range(asked["at_once"])]
            failed = sum(await asyncio.gather(*lanes))
            print(json.dumps({"seconds": time.monotonic() - began, "failed": failed}), flush=True)


async def _post(
    session: aiohttp.ClientSession, secret: str, body: bytes, left: Iterator[str]
) -> int:
    """Post to `left` one after the other; how many were not accepted."""
    failed = 0
    for number, url in enumerate(left):
        signed = headers(secret, f"msg_{id(left)}x{number}", int(time.time()), body)
        sent = {"Content-Type": "application/json", **signed}
        async with session.post(url, data=body, headers=sent, allow_redirects=False) as response:
            await response.read()
        failed += response.status != 204
    return failed


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
