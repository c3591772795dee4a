"""LibreTranslate, one's own or the public one: https://docs.libretranslate.com."""

from collections.abc import Sequence

from worker.language.translate.records import is_traditional
from worker.language.translate.services import (
    Post,
    Service,
    ServiceEngine,
    ServiceError,
    TooMuchError,
    strings,
)
from worker.settings import HttpEngineSettings

_URL = "https://libretranslate.com"
# The public server's limit; where another's is lower, it says so and the batch is halved.
_MOST_CHARACTERS = 2_000
_MOST_TEXTS = 50
_OVER_A_LIMIT = "exceeds text limit"
_CODES = {"pt-BR": "pt-BR", "zh": "zh-Hans", "no": "nb"}


class LibreTranslate(ServiceEngine):
    """The engine `libretranslate`. Which pairs the server has, only the server knows."""

    name = "libretranslate"
    most_texts = _MOST_TEXTS
    most_characters = _MOST_CHARACTERS

    def __init__(self, settings: HttpEngineSettings, post: Post) -> None:
        self._service = Service(settings, post, _URL)

    def model(self, source: str, target: str) -> str:
        """Always the same: the server names none."""
        return self.name

    def knows(self, source: str, target: str) -> bool:
        """Any two languages."""
        return _code(source) != _code(target)

    def ask(self, batch: Sequence[str], source: str, target: str, deadline: float) -> list[str]:
        """As `ServiceEngine.ask`."""
        request = {"q": batch, "source": _code(source), "target": _code(target), "format": "text"}
        if self._service.key:
            request["api_key"] = self._service.key
        try:
            answer = self._service.ask("/translate", request, deadline)
        except ServiceError as error:
            if _OVER_A_LIMIT in error.detail:
                raise TooMuchError(error.detail) from None
            raise
        return strings(answer.get("translatedText"), len(batch))


def _code(tag: str) -> str:
    if is_traditional(tag):
        return "zh-Hant"
    return _CODES.get(tag) or _CODES.get(primary := tag.partition("-")[0], primary)
