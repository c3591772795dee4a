"""`kabar up` with its own broker, signals, output and lock, but other children.

    python -m tests.embedded.up_with CHILDREN.json

The file holds an object: names of `kabar up`'s children, and for each its command line.
"""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from worker.embedded import service, up
from worker.embedded.child import ChildSpec
from worker.settings import load


def main() -> int:
    children: dict[str, list[str]] = json.loads(Path(sys.argv[1]).read_text())

    class WithOthers(service._Service):
        def _specs(self) -> Iterator[ChildSpec]:
            ladder = (
                (signal.SIGTERM, self._settings.workers.stop_seconds),
                (signal.SIGQUIT, service._QUIT_SECONDS),
            )
            for name, argv in children.items():
                yield ChildSpec(name, tuple(argv), self._environ, ladder)

        async def _open_store(self) -> None:
            """These children have none."""

    service._Service = WithOthers  # type: ignore[misc]
    return up(load())


if __name__ == "__main__":
    sys.exit(main())
