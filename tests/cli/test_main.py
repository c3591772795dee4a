"""What all commands share: usage errors, tracebacks on demand, completion, times and JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.cli.rows import add_endpoint, publish
from tests.cli.running import Commands
from tests.store.full import fill
from tests.store.rows import NOON, add_feed
from worker.cli import make_app
from worker.cli.output import CommandError

ROOT = Path(__file__).parents[2]
LISTINGS = [
    ("feeds", "list"), ("feeds", "show", "1"),
    ("endpoints", "list"), ("endpoints", "show", "desk"),
    ("stories", "list"), ("stories", "show", "1"),
    ("articles", "list"), ("articles", "show", "1"), ("articles", "explain", "1"),
    ("deliveries", "list"), ("deliveries", "show", "1"),
    ("status",), ("models", "list"), ("config", "show"),
]  # fmt: skip


class TestUsage:
    @pytest.mark.parametrize(
        ("command", "error"),
        [
            (["fedes"], "No such command 'fedes'. Did you mean 'feeds'?"),
            (["feeds", "lst"], "No such command 'lst'. Did you mean 'list'?"),
            (["feeds", "list", "--jsn"], "No such option: --jsn"),
            (["feeds", "show"], "Missing argument 'ID|URL'"),
            (["feeds", "list", "more"], "Got unexpected extra argument(s) (more)"),
            (["articles", "list", "--limit", "0"], "Invalid value for '--limit'"),
            (["--nothing"], "No such option: --nothing"),
        ],
    )  # fmt: skip
    def test_is_one_line(self, kabar: Commands, command: list[str], error: str) -> None:
        done = kabar(*command)
        assert done.code == 2
        said, _, way_out = done.error.partition("; see ")
        assert said.startswith(f"kabar: {error}")
        verbs = [word for word in command[:2] if not word.startswith("--")]
        assert way_out.endswith(" --help")
        assert set(way_out.split()[:-1]) & set(verbs) == set(verbs) - {"fedes", "lst"}

    @pytest.mark.parametrize("command", [[], ["feeds"], ["db"]])
    def test_without_a_verb_it_is_the_help(self, kabar: Commands, command: list[str]) -> None:
        done = kabar(*command)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: ")
        assert "Commands:" in done.err

    def test_the_help(self, kabar: Commands) -> None:
        done = kabar("articles", "explain", "--help")
        assert (done.code, done.err) == (0, "")
        assert "Say for each stage when the article was in it" in done.out

    def test_the_version(self, kabar: Commands) -> None:
        assert kabar("--version").out.strip()


class TestDebug:
    @pytest.mark.parametrize("place", [0, 1, 3])
    def test_may_stand_anywhere(self, kabar: Commands, store: Engine, place: int) -> None:
        words = ["feeds", "show", "7"]
        words.insert(place, "--debug")
        with pytest.raises(CommandError, match="there is no feed 7"):
            kabar(*words)

    def test_shows_the_traceback(self, store: Engine) -> None:
        done = run("feeds", "show", "7", "--debug")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("Traceback (most recent call last):")
        assert "CommandError: there is no feed 7" in done.stderr

    def test_without_it_a_fault_of_ours_is_one_line_too(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_arguments: Any, **_options: Any) -> None:
            raise KeyError("a\nb")

        monkeypatch.setattr("worker.store.feeds.listing", fail)
        done = kabar("feeds", "list")
        assert (done.code, done.error) == (
            1,
            "kabar: KeyError('a\\nb'); with --debug it shows where",
        )
        with pytest.raises(KeyError):
            kabar("feeds", "list", "--debug")


class TestCompletion:
    def test_a_shell_is_told_how(self) -> None:
        # Else typer asks which shell it runs under, and under `make` that is one it does not know.
        named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        done = run("--show-completion", "bash", program="kabar", environ=named)
        assert (done.returncode, done.stderr) == (0, "")
        assert "_KABAR_COMPLETE=complete_" in done.stdout

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("kabar fe", ["feeds"]),
            ("kabar articles list --stage p", ["process", "publish"]),
        ],
    )
    def test_words_are_completed(self, words: str, found: list[str]) -> None:
        asked = {
            "_KABAR_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        done = run(program="kabar", environ=asked)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == found


class TestJson:
    def test_is_one_document_with_times_in_utc(
        self, kabar: Commands, store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(store, tmp_path)
        monkeypatch.setenv("KABAR_DISPLAY__TIMEZONE", "Asia/Jakarta")
        for command in LISTINGS:
            found = leaves(kabar(*command, "--json").json)
            times = [value for key, value in found if key.endswith("_at") and value]
            assert {datetime.fromisoformat(at).utcoffset() for at in times} <= {timedelta()}
            assert times or command in {("config", "show"), ("models", "list")}
            assert not {"lease_token", "secret"} & {key for key, _ in found}, command

    def test_every_listing_and_show_has_it(self) -> None:
        asked = {command[:2] for command in LISTINGS} | {("doctor",), ("endpoints", "test")}
        for noun in make_app().registered_groups:
            for command in noun.typer_instance.registered_commands if noun.typer_instance else ():
                name = command.name or str(command.callback and command.callback.__name__)
                if name in {"list", "show", "explain", "test"} and noun.name:
                    assert (noun.name, name) in asked


def leaves(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Each value of a document that holds none itself, with its key."""
    if isinstance(value, Mapping):
        return [leaf for key, one in value.items() for leaf in leaves(one, key)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one, name)]
    return [(name, value)]


class TestTimes:
    def test_are_in_the_zone_of_the_settings(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_feed(store, polled_at=NOON)
        add_endpoint(store, "desk", "https://example.org/hook")
        publish(store)
        monkeypatch.setenv("KABAR_DISPLAY__TIMEZONE", "Asia/Jakarta")
        for noun in ("feeds", "stories", "articles", "deliveries"):
            assert "2026-03-04 19:00:00" in kabar(noun, "list").out
        monkeypatch.setenv("KABAR_DISPLAY__TIMEZONE", "America/Caracas")
        assert "2026-03-04 08:00:00" in kabar("feeds", "show", "1").out

    def test_are_the_machines_without_one(
        self, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_feed(store, polled_at=NOON)
        assert "2026-03-04 17:30:00" in run("feeds", "list", environ={"TZ": "Asia/Kolkata"}).stdout

    def test_a_zone_that_there_is_not(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KABAR_DISPLAY__TIMEZONE", "Asia/Atlantis")
        done = kabar("feeds", "list")
        assert done.code == 2
        assert "Asia/Atlantis" in done.error


class TestEncoding:
    TITLE = "Édition \N{NEWSPAPER}"

    def test_json_is_whole_in_any(self, store: Engine) -> None:
        add_feed(store, title=self.TITLE)
        done = run("feeds", "list", "--json", environ={"PYTHONIOENCODING": "latin-1"})
        assert json.loads(done.stdout)[0]["title"] == self.TITLE

    def test_a_table_has_what_can_be_written(self, store: Engine) -> None:
        add_feed(store, title=self.TITLE)
        done = run("feeds", "list", environ={"PYTHONIOENCODING": "ascii"})
        assert (done.returncode, done.stderr) == (0, "")
        assert "\\xc9dition \\U0001f4f0" in done.stdout

    def test_what_was_typed_in_no_encoding(self, store: Engine) -> None:
        url = os.fsdecode(b"https://e.org/\xff")
        command = [sys.executable, "-m", "worker", "feeds", "show", url]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"kabar: there is no feed https://e.org/\\udcff: `kabar ")


def run(
    *arguments: str, program: str | None = None, environ: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `kabar …` as a process; by the installed `program`, or from the source."""
    start = [str(Path(sys.executable).with_name(program))] if program else [
        sys.executable, "-m", "worker"
    ]  # fmt: skip
    return subprocess.run(
        [*start, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
