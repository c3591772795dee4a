"""Sign deliveries: Standard Webhooks 1.0.0, scheme v1 (HMAC-SHA256)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

_PREFIX = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64  # "Signature scheme", table of the spec


class InvalidSecretError(ValueError):
    """The text is no signing secret of the spec's form."""


def generate_secret() -> str:
    """A new secret: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Raise `InvalidSecretError` unless `secret` is `whsec_` and 24 to 64 bytes in base64."""
    _key(secret)


def headers(
    secret: str, webhook_id: str, timestamp: int, body: bytes, *, old: Sequence[str] = ()
) -> Mapping[str, str]:
    """The three headers of an attempt. `timestamp` is the attempt's, in Unix seconds.

    Each of the `old` secrets signs too: a receiver that has not changed yet finds its own.
    """
    # Joined by exactly one space: the reference library fails on two.
    signatures = (_signature(one, webhook_id, timestamp, body) for one in (secret, *old))
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.digest(_key(secret), signed, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        raise InvalidSecretError(f"a signing secret begins with {_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:  # binascii.Error, or text that is not ASCII
        raise InvalidSecretError(f"what follows {_PREFIX} is not base64") from None
    if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise InvalidSecretError(
            f"a signing secret holds {_MIN_BYTES} to {_MAX_BYTES} bytes, not {len(key)}"
        )
    return key
