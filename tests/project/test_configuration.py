"""The files in config/: every key, with the default that the code has."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import OFFLINE
from worker import settings
from worker.feeds import declared, options

CONFIG = Path(__file__).resolve().parents[2] / "config"
FEED_KEYS = {"url", "title", "tags", "interval_seconds"} | options.KEYS
TABLES = {"politeness.hosts"}  # whose keys are the user's own words


@pytest.fixture(autouse=True)
def _no_other_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration but the file under test, and the system's usual data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv(OFFLINE)


def test_the_file_as_shipped_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = settings.load()
    monkeypatch.setenv("KABAR_CONFIG", str(CONFIG / "kabar.toml"))
    assert settings.load() == defaults


def test_every_key_stands_in_the_file_with_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    defaults = settings.load()
    written = tmp_path / "uncommented.toml"
    written.write_text(uncommented("kabar.toml"))
    assert set(keys_in(tomllib.loads(written.read_text()))) == set(settings.keys(settings.Settings))

    monkeypatch.setenv("KABAR_CONFIG", str(written))
    loaded = settings.load().model_dump()
    expected = defaults.model_dump()
    example = {"www.example.com:8080": {"at_once": 1, "spacing_seconds": 10}}
    assert (loaded["politeness"].pop("hosts"), expected["politeness"].pop("hosts")) == (example, {})
    if sys.platform != "linux":  # the file gives Linux's directory
        del loaded["data_dir"], expected["data_dir"]
    assert loaded == expected


def test_hosts_have_numbers_of_their_own_in_the_environment_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hosts(text: str) -> dict[str, settings.HostSettings]:
        monkeypatch.setenv("KABAR_POLITENESS__HOSTS", text)
        return settings.load().politeness.hosts

    assert hosts("") == {}
    assert hosts('{"WWW.Example.com:8080": {"at_once": 1}, "[::1]": {}}') == {
        "www.example.com:8080": settings.HostSettings(at_once=1),
        "[::1]": settings.HostSettings(),
    }
    for text, complaint in (
        ("www.example.com", "a valid dictionary"),
        ('{"https://example.com/": {}}', "hosts.https://example.com/ = .*a host such as"),
        ('{"me@example.com": {}}', "a host such as"),
        ('{"example.com": {"at_once": 0}}', r"hosts\.example\.com\.at_once = 0"),
        ('{"example.com": {"spacing_seconds": 4000}}', "spacing_seconds = 4000"),
        ('{"example.com": {"spacing": 1}}', "no such setting"),
        ('{"example.com"', "a valid dictionary"),
    ):
        with pytest.raises(settings.ConfigError, match=complaint):
            hosts(text)


def test_every_key_is_explained() -> None:
    blocks = (CONFIG / "kabar.toml").read_text().split("\n\n")
    with_keys = [block for block in blocks if re.search(r"^#\w+ =", block, re.MULTILINE)]
    assert with_keys
    for block in with_keys:
        assert re.search(r"^# \S", block, re.MULTILINE), block


def test_the_examples_of_feeds_are_feeds(tmp_path: Path) -> None:
    assert tomllib.loads((CONFIG / "feeds.toml").read_text()) == {}
    examples = tomllib.loads(uncommented("feeds.toml"))
    assert set(examples) == {"feeds"}
    assert set().union(*examples["feeds"]) == FEED_KEYS
    written = tmp_path / "feeds.toml"
    written.write_text(uncommented("feeds.toml"))
    for feed in declared.read(written).feeds:
        assert feed.url.startswith("https://")


def uncommented(name: str) -> str:
    """The file with the `#` in front of each key and table removed; a remark has `# `."""
    return re.sub(r"^#(?=[\w\[])", "", (CONFIG / name).read_text(), flags=re.MULTILINE)


def keys_in(table: dict[str, object], prefix: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        found.append(prefix + key)
        if isinstance(value, dict) and prefix + key not in TABLES:
            found += keys_in(value, f"{prefix}{key}.")
    return found
