"""Seal signing secrets: in the store they are encrypted with a key that is not in it (Fernet)."""

import base64

from worker.errors import KabarError
from worker.settings import WebhookSettings

_MARK = "fernet:"


class UnreadableSecretError(KabarError):
    """A sealed secret that none of the keys in the settings opens."""


def seal(secret: str, settings: WebhookSettings) -> str:
    """`secret` as the store keeps it: encrypted with the first key, as it is without one."""
    keys = _keys(settings)
    if not keys:
        return secret
    from cryptography.fernet import Fernet  # 16 MB that most installations have no use for

    return _MARK + Fernet(keys[0]).encrypt(secret.encode()).decode()


def unseal(kept: str, settings: WebhookSettings) -> str:
    """The secret that the store keeps as `kept`; one that is not sealed is itself.

    Raises `UnreadableSecretError` when no key opens it.
    """
    if not kept.startswith(_MARK):
        return kept
    keys = _keys(settings)
    if not keys:
        raise UnreadableSecretError(
            "its signing secret is encrypted, and webhooks.secret_key is not set"
        )
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    try:
        opened = MultiFernet([Fernet(key) for key in keys]).decrypt(kept.removeprefix(_MARK))
    except InvalidToken:
        raise UnreadableSecretError(
            "its signing secret was encrypted with another webhooks.secret_key"
        ) from None
    return opened.decode()


def _keys(settings: WebhookSettings) -> list[bytes]:
    """The keys in the alphabet that Fernet wants; `openssl rand -base64` writes the other one."""
    if settings.secret_key is None:
        return []
    keys = settings.secret_key.get_secret_value().split(",")
    return [base64.urlsafe_b64encode(base64.b64decode(_usual(key))) for key in keys]


def _usual(key: str) -> str:
    return key.strip().replace("-", "+").replace("_", "/")
