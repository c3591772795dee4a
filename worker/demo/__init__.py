"""A sample newsroom and a webhook receiver on loopback, and the whole service between them.

`article` is what sites publish, `generator` writes any number of articles from a seed, `pages` is
their HTML, `newsroom` serves feeds and pages, `receiver` verifies what is delivered. `session` is
one run of `kabar demo`: it publishes by the `agenda`, runs `kabar up` (`service`), keeps the books
(`ledger`) and shows them (`screen`).
"""

import asyncio

_DEFAULT_STORIES = 12


def run(
    *,
    stories: int | None = None,
    exit_after: bool = False,
    seed: int = 1,
    deadline_seconds: float | None = None,
    every_seconds: float | None = None,
    port_base: int | None = None,
) -> int:
    """Run `kabar up` on a sample newsroom in a directory of its own; returns the exit code.

    With `exit_after` it ends with 0 once `stories` (12) distinct stories were alerted, each by one
    verified webhook, and with 1 after `deadline_seconds` (60 and 3 a story) or at the first alert
    that must not be. Without, it goes on until Ctrl-C. A story is published every `every_seconds`
    (2, without `exit_after` 5). Ports are free ones, or `port_base` and those after it.
    """
    from worker.demo.session import Options, perform  # with the store's libraries

    if exit_after and stories is None:
        stories = _DEFAULT_STORIES
    if deadline_seconds is None:
        deadline_seconds = 60 + 3 * (stories or 0)
    if every_seconds is None:
        every_seconds = 2 if exit_after else 5
    options = Options(stories, exit_after, seed, deadline_seconds, every_seconds, port_base)
    return asyncio.run(perform(options))
