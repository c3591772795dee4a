"""Google Cloud Translation, basic edition (v2), by key:
https://cloud.google.com/translate/docs/reference/rest/v2/translate.
"""

import html
from collections.abc import Sequence
from typing import Any

from worker.language.translate.engines import EngineError
from worker.language.translate.records import is_traditional
from worker.language.translate.services import Post, Service, ServiceEngine, ServiceError, strings
from worker.reasons import Reason
from worker.settings import HttpEngineSettings

_URL = "https://translation.googleapis.com/language/translate/v2"
_MOST_TEXTS = 128
_MOST_CHARACTERS = 5_000  # what it recommends; 30,000 is the end
_CODES = {"jv": "jw", "nb": "no", "nn": "no", "zh": "zh-CN"}
_VARIANTS = frozenset({"fr-CA", "pt-PT"})
_KEY_REASONS = frozenset({"keyInvalid", "keyExpired", "API_KEY_INVALID"})
_RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_QUOTA_REASONS = frozenset({"dailyLimitExceeded", "quotaExceeded"})


class Google(ServiceEngine):
    """The engine `google`."""

    name = "google"
    most_texts = _MOST_TEXTS
    most_characters = _MOST_CHARACTERS

    def __init__(self, settings: HttpEngineSettings, post: Post) -> None:
        self._service = Service(settings, post, _URL)

    def model(self, source: str, target: str) -> str:
        """Google's name for its neural models, which is all that is told of them."""
        return "nmt"

    def knows(self, source: str, target: str) -> bool:
        """Any two languages."""
        return _code(source) != _code(target)

    def ask(self, batch: Sequence[str], source: str, target: str, deadline: float) -> list[str]:
        """As `ServiceEngine.ask`."""
        request = {"q": batch, "source": _code(source), "target": _code(target), "format": "text"}
        headers = {"X-Goog-Api-Key": self._service.key}  # in the URL it would be in every log
        try:
            answer = self._service.ask("", request, deadline, headers)
        except ServiceError as error:
            raise _known(error) from None
        data = answer.get("data")
        found = data.get("translations") if isinstance(data, dict) else None
        made = strings(found, len(batch), key="translatedText")
        # It escapes texts at times, although they are not asked for as HTML.
        return [html.unescape(text) for text in made]


def _known(error: ServiceError) -> EngineError:
    reasons = set(_reasons(error.body))
    if reasons & _KEY_REASONS:
        return error.known_as(Reason.UNAUTHORIZED, lasting=True)
    if reasons & _RATE_REASONS:
        return error.known_as(Reason.RATE_LIMITED, lasting=False)
    if reasons & _QUOTA_REASONS:
        return error.known_as(Reason.RATE_LIMITED, lasting=True)
    return error


def _reasons(body: Any) -> list[str]:
    """`{"error": {"errors": [{"reason"}], "details": [{"reason"}]}}`, in either list."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return []
    lists = [error.get("errors"), error.get("details")]
    entries = [one for found in lists if isinstance(found, list) for one in found]
    return [str(one.get("reason")) for one in entries if isinstance(one, dict)]


def _code(tag: str) -> str:
    if tag in _VARIANTS:
        return tag
    if is_traditional(tag):
        return "zh-TW"
    return _CODES.get(tag) or _CODES.get(primary := tag.partition("-")[0].lower(), primary)
