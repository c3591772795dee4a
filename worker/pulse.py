"""The sign of life that `kabar health` looks at first: a file a role, touched at each heartbeat.

Health is asked for in each container several times a minute. The store knows too (`kabar status`),
but to ask it there costs 0.7 s of CPU and a database session; this costs 0.2 s.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

INTERVAL_SECONDS = 5.0
SILENT_AFTER_SECONDS = 4 * INTERVAL_SECONDS


def touch(data_dir: Path, roles: Iterable[str]) -> None:
    """Say that the process which works in `roles` lives."""
    for role in roles:
        path = _path(data_dir, role)
        with suppress(OSError):  # no such place here: `kabar health` asks the store
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)


def is_felt(data_dir: Path, role: str) -> bool:
    """Whether a process of that role with this data directory gave a sign lately.

    False also means: nobody can tell from here.
    """
    try:
        touched_at = _path(data_dir, role).stat().st_mtime
    except OSError:
        return False
    return abs(time.time() - touched_at) <= SILENT_AFTER_SECONDS


def _path(data_dir: Path, role: str) -> Path:
    return data_dir / "alive" / role
