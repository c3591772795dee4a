"""A process that asks one host for its turn, again and again: `python -m tests.http.guest`.

Arguments: the broker's URL, the guest's name, how many requests it has to make, seconds a request
takes, and seconds a token lives. Prints a JSON object a line: {"began": …, "ended": …} by the
broker's clock.
"""

import asyncio
import json
import sys
import time

from redis.asyncio import Redis

from worker.broker import KEY_PREFIX, redis_url
from worker.http.politeness import Admission, Ask, Politeness
from worker.settings import PolitenessSettings

HOST = "crowded.example"
SETTINGS = PolitenessSettings(at_once=2, spacing_seconds=0.03)
_MOST_ASKS = 2_000


async def main(url: str, name: str, requests: int, takes: float, lives: float) -> None:
    politeness = Politeness(url, SETTINGS)
    async with Redis.from_url(redis_url(url)) as broker:
        left = {f"{name} {number}": 0.0 for number in range(requests)}
        for _ in range(_MOST_ASKS):
            due = [who for who, at in left.items() if at <= time.time()]
            asks = [Ask(HOST, lives, "poll", who) for who in due]
            for who, answer in zip(due, await politeness.admit(asks), strict=True):
                left[who] = time.time() + answer.wait.total_seconds()
                if answer.token:
                    del left[who]
                    await request(politeness, broker, answer, takes, lives)
            if not left:
                break
            await asyncio.sleep(0.005)
    await politeness.close()


async def request(
    politeness: Politeness, broker: Redis, answer: Admission, takes: float, lives: float
) -> None:
    token = answer.token or ""
    runs_out = await broker.zscore(f"{KEY_PREFIX}host:{HOST}:tokens", token)
    await asyncio.sleep(takes)
    seconds, microseconds = await broker.time()
    await politeness.release([(HOST, token)])
    if runs_out:
        line = {"began": runs_out - lives, "ended": seconds + microseconds / 1e6}
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    url, name, requests, takes, lives = sys.argv[1:]
    asyncio.run(main(url, name, int(requests), float(takes), float(lives)))
