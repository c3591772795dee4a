"""A page as it came."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came: body in bytes, `charset` as the response's header named it."""

    url: str
    body: bytes
    charset: str | None
    fetched_at: datetime
