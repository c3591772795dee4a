"""Demos that are gone after their test, with everything they have started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.running import Demo, StartDemo
from tests.waiting import until


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartDemo]:
    demos: list[Demo] = []

    def start(*arguments: str, **environment: str) -> Demo:
        demos.append(Demo(tmp_path, *arguments, **environment))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:  # a test has failed
            demo.process.terminate()
            demo.process.wait(60)
        until(lambda demo=demo: not demo.living(), "nothing of the demo is left", 15)
