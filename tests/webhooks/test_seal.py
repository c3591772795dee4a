"""Sealed secrets: what the store keeps of them, and who can read it."""

import base64
import os

import pytest
from pydantic import SecretStr, ValidationError

from worker.settings import WebhookSettings
from worker.webhooks import UnreadableSecretError, generate_secret, seal, unseal

OPEN = WebhookSettings()


def key() -> str:
    """As `openssl rand -base64 32` writes it."""
    return base64.b64encode(os.urandom(32)).decode()


def having(*keys: str) -> WebhookSettings:
    return WebhookSettings(secret_key=SecretStr(", ".join(keys)))


def test_without_a_key_a_secret_is_kept_as_it_is() -> None:
    secret = generate_secret()
    assert seal(secret, OPEN) == secret
    assert unseal(secret, OPEN) == secret


def test_with_a_key_it_is_kept_unreadable() -> None:
    secret, settings = generate_secret(), having(key())
    kept = seal(secret, settings)
    assert kept.startswith("fernet:")
    assert secret.removeprefix("whsec_") not in kept
    assert unseal(kept, settings) == secret
    assert seal(secret, settings) != kept, "each time other bytes, so that equal ones do not show"


def test_what_was_kept_before_there_was_a_key_is_read_too() -> None:
    secret = generate_secret()
    assert unseal(secret, having(key())) == secret


def test_both_alphabets_of_base64_are_the_same_key() -> None:
    secret, raw = generate_secret(), b"\xfb\xef\xff" * 10 + b"ab"
    usual, safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert usual != safe
    assert unseal(seal(secret, having(usual)), having(safe)) == secret


def test_the_first_key_seals_and_each_opens() -> None:
    secret, old, new = generate_secret(), key(), key()
    before = seal(secret, having(old))
    assert unseal(before, having(new, old)) == secret
    after = seal(secret, having(new, old))
    assert unseal(after, having(new)) == secret
    with pytest.raises(UnreadableSecretError, match=r"with another webhooks\.secret_key"):
        unseal(after, having(old))


def test_without_its_key_it_cannot_be_read() -> None:
    kept = seal(generate_secret(), having(key()))
    with pytest.raises(UnreadableSecretError, match=r"webhooks\.secret_key is not set"):
        unseal(kept, OPEN)
    with pytest.raises(UnreadableSecretError, match="with another"):
        unseal(kept[:-6] + "AAAA==", having(key()))


@pytest.mark.parametrize("text", ["sesame", "A" * 44, "A" * 43, f"{'A' * 43}=,", "é" * 43 + "="])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValidationError, match="32 random bytes in base64 were expected"):
        having(text)


def test_an_empty_one_is_none() -> None:
    assert WebhookSettings.model_validate({"secret_key": ""}).secret_key is None
