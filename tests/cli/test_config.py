"""`kabar config`."""

import re
from pathlib import Path

import pytest

from tests.cli.running import Commands
from worker import settings


def test_each_setting_with_what_is_in_force(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "kabar.toml"
    config.write_text('[poll]\ninterval_seconds = 60\n[http]\nuser_agent = "Desk/1"\n')
    monkeypatch.setenv("KABAR_CONFIG", str(config))
    monkeypatch.setenv("KABAR_HTTP__USER_AGENT", "Night/1")
    monkeypatch.setenv("KABAR_FETCH__RETRY_SECONDS", "1,2")
    document = kabar("config", "show", "--json").json
    assert document["poll"]["interval_seconds"] == 60
    assert document["http"]["user_agent"] == "Night/1"
    assert document["fetch"]["retry_seconds"] == [1, 2]
    assert document["webhooks"]["timeout_seconds"] == 15

    first, *lines = kabar("config", "show").out.splitlines()
    assert first == f"from {config}, and KABAR_* of the environment"
    shown = dict([*line.split(maxsplit=1), ""][:2] for line in lines[2:])
    assert shown["poll.interval_seconds"].strip() == "60.0"
    assert shown["http.user_agent"].strip() == "Night/1"
    assert shown["fetch.retry_seconds"].strip() == "1.0, 2.0"
    assert shown["poll.backfill_alerts"].strip() == "false"
    sections = {key.rpartition(".")[0] for key in settings.keys(settings.Settings) if "." in key}
    assert set(shown) == set(settings.keys(settings.Settings)) - sections


def test_each_host_with_numbers_of_its_own(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KABAR_POLITENESS__HOSTS", '{"example.com:81": {"at_once": 1}}')
    out = kabar("config", "show").out
    assert re.search(r"^politeness\.hosts\.example\.com:81\.at_once +1 *$", out, re.MULTILINE)
    assert kabar("config", "show", "--json").json["politeness"]["hosts"] == {
        "example.com:81": {"at_once": 1, "spacing_seconds": None}
    }


def test_defaults_alone(kabar: Commands) -> None:
    assert kabar("config", "show").out.startswith("from no file, and KABAR_* ")


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kabar:sesame@db/kabar",
        "postgresql://kabar:se@same@db/kabar",
        "postgresql://kabar@db/kabar?password=sesame&sslmode=require",
        "//:sesame@db",
    ],
)
def test_passwords_are_masked(
    kabar: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, form: tuple[str]
) -> None:
    secret = tmp_path / "store-url"
    secret.write_text(f"{url}\n")
    monkeypatch.setenv("KABAR_STORE__URL_FILE", str(secret))
    monkeypatch.setenv("KABAR_BROKER__URL", "redis+socket://:sesame@/run/valkey?virtual_host=0")
    out = kabar("config", "show", *form).out
    assert "***" in out
    assert "same" not in out
    assert "redis+socket://:***@/run/valkey?virtual_host=0" in out


def test_a_config_that_cannot_be_used(kabar: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KABAR_POLL__INTERVAL_SECONDS", "often")
    done = kabar("config", "show", "--json")
    assert done.code == 2
    assert "KABAR_POLL__INTERVAL_SECONDS = 'often'" in done.error
