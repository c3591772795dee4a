"""The command line, run in this process."""

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from worker.cli import main
from worker.cli.output import zone


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, as one JSON document; fails when it holds anything else."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on standard error; fails when there is anything else."""
        assert self.code != 0
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("kabar: ")
        return line


class Commands:
    """Runs `kabar …`, as the console script does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["kabar", *arguments])
        self._capsys.readouterr()
        zone.cache_clear()  # which the process of a command reads once
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = self._capsys.readouterr()
        assert isinstance(code, int)
        return Done(code, out, err)
