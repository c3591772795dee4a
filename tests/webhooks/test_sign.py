"""Signatures against published vectors, and against the `standardwebhooks` library as judge."""

import base64
import json
from datetime import UTC, datetime
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from worker.webhooks import InvalidSecretError, check_secret, generate_secret, headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIME = 1614265330
BODY = b'{"test": 2432232314}'
GOOD = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

RUST_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
RUST_ID = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"
RUST_TIME = 1649367553
RUST_BODY = b'{"email":"test@example.com","username":"test_user"}'
RUST_GOOD = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    return headers(secret, webhook_id, timestamp, body)["webhook-signature"]


def is_verified(secret: str, body: bytes, sent: dict[str, str]) -> bool:
    """The library's judgement, whatever the time is now."""
    try:
        Webhook(secret).verify(body, sent)
    except (WebhookVerificationError, ValueError):
        return False
    return True


class At(Protocol):
    def __call__(self, timestamp: int) -> None: ...


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Let the library believe that it is another time."""

    def at(timestamp: int) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(timestamp, UTC)

        monkeypatch.setattr("standardwebhooks.webhooks.datetime", Clock)

    return at


class TestVectors:
    """Those of the Standard Webhooks libraries (the first two) and of Svix (the large ones)."""

    @pytest.mark.parametrize(
        ("secret", "webhook_id", "timestamp", "body", "expected"),
        [
            (SECRET, ID, TIME, BODY, GOOD),
            (RUST_SECRET, RUST_ID, RUST_TIME, RUST_BODY, RUST_GOOD),
            (SECRET, ID, TIME, b"a" * 262_143, "v1,NTItnqyWMoFhk2Bbe5V/BMdcFRWgcSQaTgqLHX7FC7c="),
            (SECRET, ID, TIME, b"a" * 262_144, "v1,Mw4Pe2WgApuT7NSqnSq0PQPV9gbLdggCl9B865x5Xh0="),
            (SECRET, ID, TIME, b"a" * 1_048_576, "v1,txpEUxqWZJ5nteTnymUVa+7C4NHpBeXJ6CsBAW0c3/A="),
        ],
        ids=["V1", "V2", "V4", "V5", "V6"],
    )  # fmt: skip
    def test_is_signed(
        self, secret: str, webhook_id: str, timestamp: int, body: bytes, expected: str
    ) -> None:
        assert headers(secret, webhook_id, timestamp, body) == {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": expected,
        }

    @pytest.mark.parametrize(
        "bad",
        [
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
            "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=",
            "v1,dawfeoifkpqwoekfpqoekf",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLawdd",
            "v1,",
            GOOD[:8],
            GOOD.replace("v1,", "v2,"),
        ],
    )
    def test_the_judge_refuses_others(self, at: At, bad: str) -> None:
        at(TIME)
        sent = dict(headers(SECRET, ID, TIME, BODY))
        assert is_verified(SECRET, BODY, sent)
        assert not is_verified(SECRET, BODY, {**sent, "webhook-signature": bad})

    def test_the_judge_finds_the_good_one_among_others(self, at: At) -> None:
        at(TIME)
        sent = dict(headers(SECRET, ID, TIME, BODY))
        among = f"v1,{'A' * 43}= {GOOD.replace('v1', 'v2')} {GOOD} v1,{'B' * 43}="
        assert is_verified(SECRET, BODY, {**sent, "webhook-signature": among})

    @pytest.mark.parametrize(
        "bad",
        [
            "v1,R3PTzyfHASBKHH98a7yexTwaJ4yNIcGhFQc1yuN+BPU=",
            "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ=",
            "v1,Mm7xgUVICxZfQ3bgf0h0Dof65L/IFx+PnZvnDWPCX6Q=",
            "v1,9DfC1c3eeOrXB6w/5dIDydLNQaEyww5KalE5jLBZucE=",
        ],
    )
    def test_the_judge_refuses_others_of_the_second(self, at: At, bad: str) -> None:
        at(RUST_TIME)
        sent = dict(headers(RUST_SECRET, RUST_ID, RUST_TIME, RUST_BODY))
        assert is_verified(RUST_SECRET, RUST_BODY, sent)
        assert not is_verified(RUST_SECRET, RUST_BODY, {**sent, "webhook-signature": bad})

    @pytest.mark.parametrize(("late", "good"), [(-301, False), (0, True), (301, False)])
    def test_the_judge_wants_the_time_of_the_attempt(self, at: At, late: int, good: bool) -> None:
        at(TIME + late)
        assert is_verified(SECRET, BODY, dict(headers(SECRET, ID, TIME, BODY))) is good


class TestRotation:
    def test_each_secret_signs_and_one_space_stands_between(self, at: At) -> None:
        at(TIME)
        new = generate_secret()
        sent = dict(headers(new, ID, TIME, BODY, old=[SECRET, RUST_SECRET]))
        assert sent["webhook-signature"].split(" ")[1] == GOOD
        assert len(sent["webhook-signature"].split(" ")) == 3
        for secret in (new, SECRET, RUST_SECRET):
            assert is_verified(secret, BODY, sent)
        assert not is_verified(generate_secret(), BODY, sent)

    def test_without_an_old_one_there_is_one_signature(self) -> None:
        assert headers(SECRET, ID, TIME, BODY, old=())["webhook-signature"] == GOOD


@pytest.mark.parametrize(
    "secret",
    [SECRET.removeprefix("whsec_"), f"{SECRET[:-1]}", f"{SECRET}Br"],
    ids=["without its prefix", "shorter", "longer"],
)
def test_what_the_judge_takes_for_a_secret_is_not_always_one_to_us(secret: str) -> None:
    """Receivers' libraries are lenient about the form; we give out one form only."""
    Webhook(secret)
    with pytest.raises(InvalidSecretError):
        check_secret(secret)


ids = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=1, max_size=40).map("msg_{}".format)
secrets = st.binary(min_size=24, max_size=64).map(
    lambda key: "whsec_" + base64.b64encode(key).decode()
)


@given(secrets, ids, st.text(st.characters(exclude_categories=["Cs"])), st.integers(-200, 200))
def test_the_judge_agrees(secret: str, webhook_id: str, text: str, ago: int) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    timestamp = int(datetime.now(UTC).timestamp()) - ago
    sent = dict(headers(secret, webhook_id, timestamp, body))
    assert is_verified(secret, body, sent)
    assert not is_verified(secret, body + b" ", sent)
    assert not is_verified(secret, body, {**sent, "webhook-id": webhook_id + "x"})
    assert not is_verified(secret, body, {**sent, "webhook-timestamp": str(timestamp + 1)})
    assert not is_verified(generate_secret(), body, sent)


class TestSecrets:
    def test_a_new_one_is_good_and_new(self) -> None:
        made = {generate_secret() for _ in range(50)}
        assert len(made) == 50
        for secret in made:
            check_secret(secret)
            assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32

    @given(secrets)
    def test_24_to_64_bytes_are_good(self, secret: str) -> None:
        check_secret(secret)

    @pytest.mark.parametrize(
        ("secret", "message"),
        [
            ("", "a signing secret begins with whsec_"),
            ("hunter2", "a signing secret begins with whsec_"),
            ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc7", "a signing secret begins with whsec_"),
            ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a signing secret begins with whsec_"),
            ("whsec_", "a signing secret holds 24 to 64 bytes, not 0"),
            ("whsec_aHVudGVyMg==", "a signing secret holds 24 to 64 bytes, not 7"),
            (f"whsec_{'A' * 88}", "a signing secret holds 24 to 64 bytes, not 66"),
            ("whsec_not base64 at all!", "what follows whsec_ is not base64"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "what follows whsec_ is not base64"),
            ("whsec_é", "what follows whsec_ is not base64"),
            (" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a signing secret begins with whsec_"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "what follows whsec_ is not base64"),
        ],
    )
    def test_what_is_wrong_is_told(self, secret: str, message: str) -> None:
        with pytest.raises(InvalidSecretError) as caught:
            check_secret(secret)
        assert str(caught.value) == message
        with pytest.raises(InvalidSecretError):
            headers(secret, ID, TIME, BODY)

    @given(st.text(st.characters()).map("whsec_{}_".format) | st.text(st.characters()))
    def test_other_text_is_told(self, secret: str) -> None:
        with pytest.raises(InvalidSecretError):
            check_secret(secret)
