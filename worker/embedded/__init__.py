"""`kabar up`: broker, beat, workers and web under one foreground process.

`service` is one run from start to end. `supervisor` keeps the children alive, `child` is the life
of one of them, `groups` (with the scripts `guard` and `reaper`) sees to it that none outlives us,
`broker` lays out the Valkey, `lock` keeps a second run out, `output` writes what all of them say,
`timings` tells what the start took.
"""

import asyncio
import sys

from worker.embedded.errors import StartError
from worker.settings import Settings

__all__ = ["StartError", "up"]


def up(settings: Settings, *, timings: bool = False) -> int:
    """Run the service in the foreground until it is asked to end.

    Returns the exit code: 0 after SIGTERM (or a terminal that closed), 130 after Ctrl-C, 1 when it
    could not start or gave up, after one line on stderr. A second Ctrl-C ends it at once. With
    `timings` a table follows on stderr once all works. Call it from the main thread: the kernel
    ties the children to the thread that starts them.
    """
    from worker.embedded.service import serve

    try:
        return asyncio.run(serve(settings, timings=timings))
    except StartError as error:
        print(f"kabar: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:  # in the moment before the handlers were in place
        return 130
