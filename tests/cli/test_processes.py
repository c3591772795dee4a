"""`kabar` as a process: exit codes, pipes, and which stream gets what."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.store.rows import add_feed

ROOT = Path(__file__).parents[2]


def start(*arguments: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    command: Sequence[str] = (sys.executable, "-m", "worker", *arguments)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=env, text=True)


def run(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_json_is_all_there_is_on_stdout(store: Engine) -> None:
    add_feed(store, title="Édition du soir")
    code, out, err = run("feeds", "list", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0]["title"] == "Édition du soir"


def test_an_error_is_one_line_on_stderr(store: Engine) -> None:
    code, out, err = run("stories", "show", "7", "--json")
    assert (code, out) == (1, "")
    assert err.startswith("kabar: there is no story 7")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [("feeds", "list"), ("feeds", "list", "--json")])
def test_a_reader_that_is_gone_is_no_error_to_tell_of(
    store: Engine, command: tuple[str, ...]
) -> None:
    for number in range(5):  # more than a pipe holds
        add_feed(store, f"https://example.org/{number}", title="t" * 40_000)
    read, write = os.pipe()
    process = start(*command, stdout=write)
    os.close(write)
    with os.fdopen(read, "rb") as reader:
        assert reader.readline()
    _, err = process.communicate(timeout=60)
    assert err == ""


def test_a_reader_that_never_was(store: Engine) -> None:
    """What fits into the buffer is written only as the process ends."""
    read, write = os.pipe()
    os.close(read)
    process = start("feeds", "list", "--json", stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert err == ""


def test_a_usage_error(store: Engine) -> None:
    code, out, err = run("feeds", "lst")
    assert (code, out) == (2, "")
    assert err == (
        "kabar: No such command 'lst'. Did you mean 'list'?; see python -m worker feeds --help\n"
    )


def test_a_taken_port_ends_the_web_service(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("KABAR_WEB__PORT", str(port))
        code, out, err = run("web")
    assert (code, out) == (2, "")
    assert err.startswith(f"kabar: web.host and web.port: cannot listen on 127.0.0.1:{port}")
    assert err.count("\n") == 1
