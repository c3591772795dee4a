"""`kabar endpoints`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from standardwebhooks.webhooks import Webhook

from tests.cli.rows import add_endpoint, publish
from tests.cli.running import Commands
from tests.http.peers import Handler, answer, header, raw, stall
from tests.store import outbox
from tests.store.rows import NOON, add_feed, change, claimed, row, rows
from tests.tasks.site import Site
from tests.webhooks.schemas import check_body
from worker import webhooks
from worker.cli.output import when
from worker.settings import WebhookSettings
from worker.store.models import Attempt, Delivery, Endpoint, Event

HOOK = "https://example.org/hook"


def test_an_endpoint_is_added_with_a_secret_of_its_own(
    kabar: Commands, either_store: Engine
) -> None:
    first, secret = kabar("endpoints", "add", "desk", HOOK).out.splitlines()
    assert first.startswith("added desk")
    webhooks.check_secret(secret)
    assert row(either_store, Endpoint)["secret"] == secret
    (listed,) = kabar("endpoints", "list", "--json").json
    assert (listed["name"], listed["url"], listed["state"]) == ("desk", HOOK, "active")
    assert listed["deliveries"] == {}
    assert secret not in kabar("endpoints", "list", "--json").out
    assert secret not in kabar("endpoints", "list").out


def test_adding_as_json(kabar: Commands, store: Engine) -> None:
    secret = webhooks.generate_secret()
    added = kabar(
        "endpoints", "add", "desk", "http://10.0.0.1/hook",
        "--allow-http", "--allow-private", "--secret", secret, "--json",
    ).json  # fmt: skip
    assert added == {"name": "desk", "url": "http://10.0.0.1/hook", "secret": secret}
    found = row(store, Endpoint)
    assert (found["allow_http"], found["allow_private"]) == (True, True)


def test_an_endpoint_is_told_of_stories_unless_it_asks_for_more(
    kabar: Commands, either_store: Engine
) -> None:
    kabar("endpoints", "add", "desk", HOOK)
    kabar(
        "endpoints", "add", "ops", HOOK, "--event", "feed.failing", "--event", "feed.recovered",
        "--event", "feed.failing",
    )  # fmt: skip
    told = {one["name"]: one["event_types"] for one in rows(either_store, Endpoint)}
    assert told == {"desk": ["story.created"], "ops": ["feed.failing", "feed.recovered"]}
    assert "told of   feed.failing, feed.recovered\n" in kabar("endpoints", "show", "ops").out


def test_a_table_counts_deliveries(kabar: Commands, store: Engine) -> None:
    kabar("endpoints", "add", "desk", HOOK)
    publish(store)
    publish(store)
    _, line = kabar("endpoints", "list").out.splitlines()
    assert "2 pending" in line


def test_none_yet(kabar: Commands, store: Engine) -> None:
    assert "`kabar endpoints add NAME URL`" in kabar("endpoints", "list").out
    assert kabar("endpoints", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["night", "http://example.org/hook"], "--allow-http"),
        (["night", "HTTP://example.org/hook"], "--allow-http"),
        (["night", "example.org"], "is no URL"),
        (["night", HOOK, "--secret", "sesame"], "begins with whsec_"),
        (["night", HOOK, "--secret", "whsec_!"], "not base64"),
        (["night", HOOK, "--secret", "whsec_c2hvcnQ="], "24 to 64 bytes"),
        (["desk", HOOK], "there is an endpoint 'desk' already"),
        (["night", HOOK, "--event", "feed.lost"], "no event 'feed.lost'; there are story.created"),
    ],
)
def test_what_cannot_be_added(
    kabar: Commands, store: Engine, arguments: list[str], message: str
) -> None:
    kabar("endpoints", "add", "desk", HOOK)
    done = kabar("endpoints", "add", *arguments, "--json")
    assert done.code == 1
    assert message in done.error
    assert row(store, Endpoint)["name"] == "desk"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31mb"])
def test_what_is_no_name(kabar: Commands, store: Engine, name: str) -> None:
    assert "is no name" in kabar("endpoints", "add", name, HOOK).error
    assert rows(store, Endpoint) == []


def test_an_endpoint_is_shown_with_what_it_was_told(kabar: Commands, either_store: Engine) -> None:
    secret = add_endpoint(either_store, "desk", HOOK, allow_private=True)
    add_endpoint(either_store, "night", HOOK)
    story = publish(either_store)
    number = row(either_store, Endpoint, name="desk")["id"]
    done = kabar("endpoints", "show", "desk")
    assert done == kabar("endpoints", "show", str(number))
    assert f"endpoint  {number}  desk\n" in done.out
    assert "allowed   allow_private\n" in done.out
    (line,) = [line for line in done.out.splitlines() if "pending" in line]
    assert ["story.created", str(story), "pending", "0"] == line.split()[-4:]

    document = kabar("endpoints", "show", "desk", "--json").json
    assert [one["story_id"] for one in document["deliveries"]] == [story]
    assert document["url"] == HOOK
    assert secret not in kabar("endpoints", "show", "desk", "--json").out + done.out


def test_an_endpoint_that_was_told_nothing(kabar: Commands, store: Engine) -> None:
    add_endpoint(store, "desk", HOOK)
    assert kabar("endpoints", "show", "desk").out.endswith("\nnothing was told yet\n")
    assert kabar("endpoints", "show", "desk", "--json").json["deliveries"] == []


def test_a_disabled_endpoint_says_why(kabar: Commands, store: Engine) -> None:
    add_endpoint(store, "desk", HOOK)
    change(store, Endpoint, state="disabled", reason="gone")
    assert "state     disabled: gone\n" in kabar("endpoints", "show", "desk").out


def test_a_name_wins_over_a_number(kabar: Commands, either_store: Engine) -> None:
    add_endpoint(either_store, "desk", HOOK)
    add_endpoint(either_store, str(row(either_store, Endpoint)["id"]), f"{HOOK}/2")
    assert kabar("endpoints", "show", "1", "--json").json["url"] == f"{HOOK}/2"


def test_an_endpoint_is_removed_with_what_it_was_told(
    kabar: Commands, either_store: Engine
) -> None:
    add_endpoint(either_store, "desk", HOOK)
    add_endpoint(either_store, "night", HOOK)
    publish(either_store)
    change(either_store, Endpoint, due_at=NOON)
    batch = claimed(either_store, "deliver")
    number = row(either_store, Endpoint, name="desk")["id"]
    begun = outbox.begin(either_store, batch, number, 1, batch.now)
    assert kabar("endpoints", "remove", "desk").out == "removed desk\n"
    assert row(either_store, Endpoint)["name"] == "night"
    assert row(either_store, Delivery)["endpoint_id"] == row(either_store, Endpoint)["id"]
    assert rows(either_store, Attempt) == []
    assert len(rows(either_store, Event)) == 1
    # Who was sending to it meanwhile ends in peace.
    late = webhooks.AttemptOutcome(begun[0].id, 1, "sent", None, 200, None, "", "")
    outbox.record(either_store, number, [late], batch.now)
    outbox.give_back(either_store, batch, number)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("newsdsk", "; did you mean newsdesk?"),
        ("7", ": `kabar endpoints list` shows what there is"),
        ("9" * 5_000, ": `kabar endpoints list` shows what there is"),
    ],
)
def test_an_endpoint_that_is_not_there(
    kabar: Commands, either_store: Engine, asked: str, hint: str
) -> None:
    add_endpoint(either_store, "newsdesk", HOOK)
    done = kabar("endpoints", "show", asked)
    assert (done.code, done.error) == (1, f"kabar: there is no endpoint {asked}{hint}")


class TestRules:
    def test_an_endpoint_is_added_with_rules_and_routed_anew(
        self, kabar: Commands, either_store: Engine
    ) -> None:
        feed = add_feed(either_store)
        kabar(
            "endpoints", "add", "desk", HOOK, "--language", "id", "--feed",
            "https://example.org/feed", "--feed", str(feed), "--feed-tag", "daerah", "--publisher",
            "Kabar", "--any", "banjir", "--any", "/gempa|badai/", "--all", "x", "--none", "y",
            "--min-sources", "2",
        )  # fmt: skip
        assert row(either_store, Endpoint)["rules"] == {
            "languages": ["id"], "feeds": [feed], "feed_tags": ["daerah"], "publishers": ["Kabar"],
            "any_of": ["banjir", "/gempa|badai/"], "all_of": ["x"], "none_of": ["y"],
            "min_sources": 2,
        }  # fmt: skip
        out = kabar("endpoints", "show", "desk").out
        for line in (
            "feeds       https://example.org/feed", "any of      banjir, /gempa|badai/",
            "publishers  Kabar", "sources     2 at least",
        ):  # fmt: skip
            assert f"{line}\n" in out
        assert kabar("endpoints", "route", "desk", "--any", "gempa").out == (
            "desk    told of story.created\nany of  gempa\n"
        )
        assert row(either_store, Endpoint)["rules"] == {"any_of": ["gempa"]}
        kabar("endpoints", "route", "desk", "--event", "feed.failing")
        endpoint = row(either_store, Endpoint)
        assert (endpoint["rules"], endpoint["event_types"]) == (None, ["feed.failing"])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--any", "/(/"], "/(/ is no pattern of RE2: missing )"),
            (["--none", "*"], "'*' is no keyword"),
            (["--feed", "https://example.org/fed"], "did you mean https://example.org/feed?"),
            (["--min-sources", "0"], "greater than or equal to 1"),
            (["--event", "feed.lost"], "there is no event 'feed.lost'"),
        ],
    )
    def test_what_is_no_rule(
        self, kabar: Commands, store: Engine, arguments: list[str], message: str
    ) -> None:
        add_feed(store)
        assert message in kabar("endpoints", "add", "desk", HOOK, *arguments).error
        assert rows(store, Endpoint) == []
        add_endpoint(store, "desk", HOOK)
        before = row(store, Endpoint)
        assert message in kabar("endpoints", "route", "desk", *arguments).error
        assert row(store, Endpoint) == before

    def test_a_story_is_explained_rule_by_rule(self, kabar: Commands, either_store: Engine) -> None:
        rules = ("--language", "id", "--topic", "CUACA", "--any", "banjir", "--min-sources", "2")
        kabar("endpoints", "add", "desk", HOOK, *rules)
        story = publish(
            either_store, title="Banjir lagi", publisher="One", content_hash="c" * 64,
            section="Daerah", tags=["cuaca"],
        )  # fmt: skip
        asked = ("endpoints", "test", "desk", "--story", str(story))
        out = kabar(*asked).out
        assert [line.split() for line in out.splitlines()[1:6]] == [
            ["event_types", "story.created", "story.created", "yes"],
            ["languages", "id", "none", "no"],
            ["topics", "CUACA", "CUACA", "yes"],
            ["any_of", "banjir", "banjir", "yes"],
            ["min_sources", "2", "1", "no"],
        ]
        assert out.endswith("\nnot for desk: languages, sources\n")
        document = kabar(*asked, "--json").json
        assert (document["wanted"], document["told"], document["delivery"]) == (False, True, None)
        assert document["rules"][3] == {
            "rule": "any_of", "wanted": ["banjir"], "found": ["banjir"], "passed": True,
        }  # fmt: skip

        kabar("endpoints", "route", "desk", "--any", "banjir")
        assert kabar(*asked).out.endswith(
            "\ndesk wants this story; it was opened before the endpoint or its rules were there\n"
        )
        second = publish(either_store, title="Banjir")
        number = row(either_store, Delivery)["id"]
        out = kabar("endpoints", "test", "desk", "--story", str(second)).out
        assert out.endswith(f"; it was told of it: delivery {number} is pending\n")

    def test_a_story_that_nobody_was_told_of(self, kabar: Commands, store: Engine) -> None:
        add_endpoint(store, "desk", HOOK)
        story = publish(store, silent=True)
        out = kabar("endpoints", "test", "desk", "--story", str(story)).out
        assert "; nobody was told of it: its article was there before" in out
        error = kabar("endpoints", "test", "desk", "--story", "99").error
        assert error == "kabar: there is no story 99: `kabar stories list` shows the newest"


class TestSecretFiles:
    @pytest.mark.parametrize("text", ["{}", "{}\n", "  {} \r\n"])
    def test_a_secret_is_read_from_a_file(
        self, kabar: Commands, store: Engine, tmp_path: Path, text: str
    ) -> None:
        secret = webhooks.generate_secret()
        (tmp_path / "secret").write_text(text.format(secret))
        kabar("endpoints", "add", "desk", HOOK, "--secret-file", "secret")
        assert row(store, Endpoint)["secret"] == secret

    def test_a_secret_is_read_from_standard_input(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = webhooks.generate_secret()
        monkeypatch.setattr("sys.stdin", StringIO(f"{secret}\n"))
        kabar("endpoints", "add", "desk", HOOK, "--secret-file", "-")
        assert row(store, Endpoint)["secret"] == secret

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--secret-file", "none"], "--secret-file none: No such file"),
            (["--secret-file", "binary"], "--secret-file binary: not a text file"),
            (["--secret-file", "empty"], "begins with whsec_"),
            (["--secret-file", "empty", "--secret", "x"], "give one of them"),
        ],
    )
    def test_what_cannot_be_read(
        self, kabar: Commands, store: Engine, tmp_path: Path, arguments: list[str], message: str
    ) -> None:
        (tmp_path / "binary").write_bytes(b"\xff")
        (tmp_path / "empty").touch()
        assert message in kabar("endpoints", "add", "desk", HOOK, *arguments).error
        assert rows(store, Endpoint) == []


class TestPausing:
    def test_an_endpoint_is_paused_and_resumed(self, kabar: Commands, either_store: Engine) -> None:
        add_endpoint(either_store, "desk", HOOK)
        assert kabar("endpoints", "pause", "desk").out == "paused desk\n"
        assert "desk is paused already" in kabar("endpoints", "pause", "desk").error
        assert row(either_store, Endpoint)["state"] == "paused"
        assert kabar("endpoints", "resume", "desk").out == "resumed desk\n"
        assert "desk is active already" in kabar("endpoints", "resume", "desk").error
        assert row(either_store, Endpoint)["state"] == "active"

    def test_what_was_held_goes_out(self, kabar: Commands, either_store: Engine) -> None:
        add_endpoint(either_store, "desk", HOOK)
        change(either_store, Endpoint, state="disabled", reason="gone")
        publish(either_store)
        assert "desk is disabled already" in kabar("endpoints", "pause", "desk").error
        number = str(row(either_store, Delivery)["id"])
        assert "`kabar endpoints resume desk`" in kabar("deliveries", "show", number).out
        out = kabar("endpoints", "resume", "desk").out
        assert out == "resumed desk; 1 held delivery goes out\n"
        assert row(either_store, Delivery)["state"] == "pending"


class TestResting:
    @pytest.fixture
    def number(self, either_store: Engine) -> int:
        """An endpoint that has failed and rests, and to which something is to be sent."""
        add_endpoint(either_store, "desk", HOOK)
        publish(either_store)
        later = datetime.now(UTC) + timedelta(hours=1)
        change(either_store, Endpoint, failures=7, failing_at=NOON, resting_until=later, rests=3)
        found: int = row(either_store, Endpoint)["id"]
        return found

    def test_it_is_shown(self, kabar: Commands, either_store: Engine, number: int) -> None:
        until = row(either_store, Endpoint)["resting_until"]
        shown = kabar("endpoints", "show", "desk").out
        assert f"failing   7 times in a row, since {when(NOON)}\n" in shown
        assert f"resting   until {when(until)}, then one at a time until one is acc" in shown
        assert f"next try  {when(until)}\n" in shown
        document = kabar("endpoints", "show", "desk", "--json").json
        assert (document["failures"], document["rests"]) == (7, 3)
        assert document["next_attempt_at"] == document["resting_until"] == until.isoformat()
        assert kabar("endpoints", "list").out.splitlines()[1].split()[:3] == [
            str(number), "desk", "resting",
        ]  # fmt: skip
        delivery = str(row(either_store, Delivery)["id"])
        out = kabar("deliveries", "show", delivery).out
        assert f"next attempt: {when(until)} (till then the endpoint rests" in out

    def test_it_is_ended_by_hand(self, kabar: Commands, either_store: Engine, number: int) -> None:
        assert kabar("endpoints", "resume", "desk").out == "resumed desk\n"
        assert "in a row" not in kabar("endpoints", "show", "desk").out
        assert "is active already" in kabar("endpoints", "resume", "desk").error

    def test_one_that_is_to_be_tried_again(
        self, kabar: Commands, either_store: Engine, number: int
    ) -> None:
        change(either_store, Endpoint, resting_until=NOON)
        assert " (over), then one" in kabar("endpoints", "show", "desk").out
        assert kabar("endpoints", "list", "--json").json[0]["state"] == "active"

    def test_nothing_of_it_without_a_failure(self, kabar: Commands, store: Engine) -> None:
        add_endpoint(store, "desk", HOOK)
        shown = kabar("endpoints", "show", "desk").out
        assert not {"failing", "resting", "next", "at"} & {
            line.split()[0] for line in shown.splitlines() if line
        }

    def test_a_delivery_to_a_paused_endpoint(self, kabar: Commands, store: Engine) -> None:
        add_endpoint(store, "desk", HOOK)
        publish(store)
        kabar("endpoints", "pause", "desk")
        out = kabar("deliveries", "show", str(row(store, Delivery)["id"])).out
        assert "\ngoes out with `kabar endpoints resume desk`: paused\n" in out


class TestLimits:
    def test_a_limit_is_set_changed_and_lifted(self, kabar: Commands, either_store: Engine) -> None:
        kabar("endpoints", "add", "desk", HOOK, "--any", "banjir", "--max-per-minute", "30")
        assert row(either_store, Endpoint)["max_per_minute"] == 30
        assert "at most   30 a minute\n" in kabar("endpoints", "show", "desk").out
        out = kabar("endpoints", "route", "desk", "--max-per-minute", "60").out
        assert out == "desk     told of story.created\nany of   banjir\nat most  60 a minute\n"
        kabar("endpoints", "route", "desk", "--any", "gempa")
        endpoint = row(either_store, Endpoint)
        assert (endpoint["max_per_minute"], endpoint["rules"]) == (60, {"any_of": ["gempa"]})
        kabar("endpoints", "route", "desk", "--max-per-minute", "0", "--event", "feed.failing")
        endpoint = row(either_store, Endpoint)
        assert (endpoint["max_per_minute"], endpoint["rules"]) == (None, None)
        assert endpoint["event_types"] == ["feed.failing"]

    @pytest.mark.parametrize("number", ["-1", "0.5", "many"])
    def test_what_is_no_limit(self, kabar: Commands, store: Engine, number: str) -> None:
        done = kabar("endpoints", "add", "desk", HOOK, "--max-per-minute", number)
        assert "Invalid value for '--max-per-minute'" in done.error


class TestChats:
    URL = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#news"

    def test_a_chat_is_added_and_its_url_never_shown(
        self, kabar: Commands, either_store: Engine
    ) -> None:
        added = kabar("endpoints", "add", "chat", self.URL, "--language", "id")
        assert added.out == "added chat (Slack): slack://T...2/A...D/T...Q/%23news/\n"
        endpoint = row(either_store, Endpoint)
        assert (endpoint["kind"], endpoint["secret"]) == ("chat", self.URL)
        assert endpoint["rules"] == {"languages": ["id"]}
        shown = [
            kabar("endpoints", verb, *more, *form).out
            for verb, more in (("list", ()), ("show", ("chat",)))
            for form in ((), ("--json",))
        ]
        assert all("T...Q" in one and "TIiajkd" not in one for one in shown)

    def test_it_is_read_from_standard_input_and_encrypted(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY", "k" * 43 + "=")
        monkeypatch.setattr("sys.stdin", StringIO(f"{self.URL}\n"))
        assert kabar("endpoints", "add", "chat", "-", "--json").json == {
            "name": "chat", "url": "slack://T...2/A...D/T...Q/%23news/",
        }  # fmt: skip
        assert row(store, Endpoint)["secret"].startswith("fernet:")
        assert "TIiajkd" not in str(row(store, Endpoint))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nowhere://sesame"], "nowhere://… is neither http nor what apprise knows of"),
            (["slack://sesame"], "slack://… is neither http nor what apprise knows of"),
            (["htps://example.org/sesame"], "htps://… is neither http nor"),
            ([URL, "--secret", "whsec_x"], "slack:// is a chat or mail target, which has no"),
        ],
    )
    def test_what_is_no_target(
        self, kabar: Commands, store: Engine, arguments: list[str], message: str
    ) -> None:
        error = kabar("endpoints", "add", "chat", *arguments).error
        assert message in error
        assert "sesame" not in error
        assert rows(store, Endpoint) == []

    def test_a_message_to_try_it_with(self, kabar: Commands, store: Engine, site: Site) -> None:
        url = site.url("").replace("http", "ntfy") + "/news"
        kabar("endpoints", "add", "chat", url, "--allow-private")
        site.routes["/"] = answer(b"{}")
        assert "chat accepted it: status 200 after" in kabar("endpoints", "test", "chat").out
        assert b"Kabar reaches this endpoint." in site.requests[0]
        site.routes["/"] = answer(b"who are you", 403)
        error = kabar("endpoints", "test", "chat").error
        assert error == "kabar: chat did not accept it: 403 Forbidden; it said: who are you"
        change(store, Endpoint, allow_private=False)
        assert "127.0.0.1 must not be" in kabar("endpoints", "test", "chat").error

    def test_there_is_no_secret_to_rotate(self, kabar: Commands, store: Engine) -> None:
        kabar("endpoints", "add", "chat", self.URL)
        error = kabar("endpoints", "rotate", "chat").error
        assert error == "kabar: chat has no signing secret: what is secret is its URL"
        assert row(store, Endpoint)["secret"] == self.URL


class TestRotation:
    def test_a_new_secret_is_shown_once_and_the_old_one_signs_too(
        self, kabar: Commands, either_store: Engine
    ) -> None:
        old = add_endpoint(either_store, "desk", HOOK)
        first, new = kabar("endpoints", "rotate", "desk").out.splitlines()
        assert first.startswith("rotated desk, the old one signs too until ")
        endpoint = row(either_store, Endpoint)
        assert endpoint["secret"] == new
        ((kept),) = endpoint["old_secrets"]
        assert kept["secret"] == old
        left = datetime.fromisoformat(kept["until"]) - datetime.now(UTC)
        assert timedelta(hours=23) < left <= timedelta(hours=24)
        shown = kabar("endpoints", "show", "desk")
        assert "secrets   2 sign, the last old one until " in shown.out
        everything = shown.out + kabar("endpoints", "show", "desk", "--json").out
        assert "whsec_" not in everything + kabar("endpoints", "list", "--json").out

    def test_without_grace(self, kabar: Commands, store: Engine, tmp_path: Path) -> None:
        add_endpoint(store, "desk", HOOK)
        secret = webhooks.generate_secret()
        (tmp_path / "secret").write_text(secret)
        done = kabar(
            "endpoints", "rotate", "desk", "--grace", "0m", "--secret-file", "secret", "--json"
        )
        assert done.json == {"name": "desk", "secret": secret, "old_until": None}
        endpoint = row(store, Endpoint)
        assert (endpoint["secret"], endpoint["old_secrets"]) == (secret, None)
        assert "secrets" not in kabar("endpoints", "show", "desk").out

    @pytest.mark.parametrize(
        ("grace", "message"), [("8d", "7d is the most"), ("soon", "2d, 12h or 30m was expected")]
    )
    def test_a_grace_that_cannot_be(
        self, kabar: Commands, store: Engine, grace: str, message: str
    ) -> None:
        old = add_endpoint(store, "desk", HOOK)
        assert message in kabar("endpoints", "rotate", "desk", "--grace", grace).error
        assert row(store, Endpoint)["secret"] == old


class TestEncryption:
    KEY = "k" * 43 + "="

    def test_new_secrets_are_encrypted_and_still_sign(
        self, kabar: Commands, store: Engine, site: Site, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        (tmp_path / "key").write_text(self.KEY)
        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY_FILE", "key")
        site.routes["/hook"] = answer(b"thanks")
        allowed = ("--allow-http", "--allow-private")
        added = kabar("endpoints", "add", "desk", site.url("/hook"), *allowed, "--json").json
        assert row(store, Endpoint)["secret"].startswith("fernet:")
        kabar("endpoints", "test", "desk")
        new = kabar("endpoints", "rotate", "desk", "--json").json["secret"]
        kabar("endpoints", "test", "desk")
        before, after = site.requests
        verified(before, added["secret"])
        verified(after, added["secret"])
        verified(after, new)
        assert "whsec_" not in str(row(store, Endpoint))
        monkeypatch.delenv("KABAR_WEBHOOKS__SECRET_KEY_FILE")
        error = kabar("endpoints", "test", "desk").error
        assert error.endswith("its signing secret is encrypted, and webhooks.secret_key is not set")

    def test_those_that_are_there_are_encrypted(
        self, kabar: Commands, either_store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = add_endpoint(either_store, "desk", HOOK)
        kabar("endpoints", "rotate", "desk")
        assert "is not set" in kabar("endpoints", "encrypt").error
        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY", self.KEY)
        assert kabar("endpoints", "encrypt").out == "encrypted the secrets of 1 endpoint\n"
        endpoint = row(either_store, Endpoint)
        assert "whsec_" not in str(endpoint)
        having = WebhookSettings(secret_key=SecretStr(self.KEY))
        assert webhooks.unseal(endpoint["old_secrets"][0]["secret"], having) == secret

        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY", f"{'n' * 43}=,{self.KEY}")
        kabar("endpoints", "encrypt")
        having = WebhookSettings(secret_key=SecretStr("n" * 43 + "="))
        assert (
            webhooks.unseal(row(either_store, Endpoint)["old_secrets"][0]["secret"], having)
            == secret
        )

    def test_the_key_is_not_shown(
        self, kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY", self.KEY)
        shown = kabar("config", "show")
        assert "webhooks.secret_key" in shown.out
        assert self.KEY not in shown.out + kabar("config", "show", "--json").out
        monkeypatch.setenv("KABAR_WEBHOOKS__SECRET_KEY", "sesame")
        error = kabar("config", "show").error
        assert "KABAR_WEBHOOKS__SECRET_KEY = (hidden): 32 random bytes" in error
        assert "sesame" not in error


@pytest.mark.parametrize("verb", ["remove", "test", "pause", "resume", "rotate", "route"])
def test_nothing_is_done_to_the_nearest(kabar: Commands, store: Engine, verb: str) -> None:
    add_endpoint(store, "newsdesk", HOOK)
    assert "did you mean newsdesk?" in kabar("endpoints", verb, "newsdsk").error
    assert row(store, Endpoint)["name"] == "newsdesk"


class TestTest:
    """`kabar endpoints test`, on a receiver of its own."""

    def test_a_receiver_that_accepts(self, kabar: Commands, store: Engine, site: Site) -> None:
        site.routes["/hook"] = answer(b"thanks")
        secret = add_endpoint(store, "desk", site.url("/hook"), **OPEN)
        assert kabar("endpoints", "test", "desk").out.startswith(
            "desk accepted it: status 200 after 0."
        )
        document = kabar("endpoints", "test", "desk", "--json").json
        assert (document["accepted"], document["status"], document["body"]) == (True, 200, "thanks")
        first, second = (verified(request, secret) for request in site.requests)
        assert (first["type"], first["data"]["endpoint"]) == ("test.ping", "desk")
        ids = [header(request, "webhook-id") for request in site.requests]
        assert len(set(ids)) == 2, "a receiver would take the second for a repetition"
        assert document["webhook_id"] == ids[1]
        assert second["timestamp"] > first["timestamp"]
        assert rows(store, Event) == rows(store, Delivery) == []

    @pytest.mark.parametrize(
        ("handler", "message", "reason"),
        [
            (answer(b"who are you?", 401), "401 Phrase; it said: who are you?",
             "unauthorized"),
            (answer(b"Traceback:\n  \x1b[31mKeyError", 500),
             "500 Phrase; it said: Traceback: [31mKeyError", "server_error"),
            (answer(b"", 302, headers={"Location": "/"}), "302 Phrase", "redirected"),
            (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "the answer was not HTTP", "connection_lost"),
            (stall(), "no complete answer before the deadline", "timeout"),
        ],
    )  # fmt: skip
    def test_a_receiver_that_does_not(
        self, kabar: Commands, store: Engine, site: Site, monkeypatch: pytest.MonkeyPatch,
        handler: Handler, message: str, reason: str,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("KABAR_WEBHOOKS__TIMEOUT_SECONDS", "0.3")
        site.routes["/hook"] = handler
        add_endpoint(store, "desk", site.url("/hook"), **OPEN)
        done = kabar("endpoints", "test", "desk")
        assert done.code == 1
        assert done.error.startswith(f"kabar: desk did not accept it: {message}")

        done = kabar("endpoints", "test", "desk", "--json")
        document = json.loads(done.out)
        assert (done.code, document["accepted"], document["reason"]) == (1, False, reason)
        assert done.err.startswith("kabar: desk did not accept it: ")

    def test_a_receiver_that_is_not_there(
        self, kabar: Commands, store: Engine, free_port: int
    ) -> None:
        add_endpoint(store, "desk", f"http://127.0.0.1:{free_port}/", **OPEN)
        assert "Connect" in kabar("endpoints", "test", "desk").error

    def test_plain_http_that_is_not_allowed(
        self, kabar: Commands, store: Engine, site: Site
    ) -> None:
        site.routes["/hook"] = answer(b"thanks")
        add_endpoint(store, "desk", site.url("/hook"), allow_private=True)
        error = kabar("endpoints", "test", "desk").error
        assert error.endswith("/hook is not https, and the endpoint does not allow http")
        assert site.requests == []

    def test_a_private_address_that_is_not_allowed(
        self, kabar: Commands, store: Engine, site: Site
    ) -> None:
        site.routes["/hook"] = answer(b"thanks")
        add_endpoint(store, "desk", site.url("/hook"), allow_http=True)
        assert "127.0.0.1" in kabar("endpoints", "test", "desk").error
        assert site.requests == []


OPEN = {"allow_private": True, "allow_http": True}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def verified(request: bytes, secret: str) -> Any:
    """A delivery's document, as the reference library lets it through."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: header(request, name) or "" for name in names}
    body = request.partition(b"\r\n\r\n")[2]
    check_body(body)
    return Webhook(secret).verify(body.decode(), headers)
