import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.running import Up

StartUp = Callable[..., Up]


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[StartUp]:
    """Start `kabar up` (see `Up`) on `tmp_path / "data"`; ended with the test."""
    started: list[Up] = []

    def start(
        children: dict[str, list[str]] | None = None,
        *options: str,
        data_dir: Path | None = None,
        **environ: str,
    ) -> Up:
        started.append(Up(data_dir or tmp_path / "data", children, *options, **environ))
        return started[-1]

    yield start
    for up in started:
        up.end()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="kabar-", dir="/tmp") as path:
        yield Path(path)
