"""DeepL's API, version 2: https://developers.deepl.com/docs/api-reference/translate."""

from collections.abc import Sequence

from worker.language.translate.records import is_traditional
from worker.language.translate.services import Post, Service, ServiceEngine, ServiceError, strings
from worker.reasons import Reason
from worker.settings import HttpEngineSettings

_URL = "https://api.deepl.com/v2"
_FREE_URL = "https://api-free.deepl.com/v2"
_FREE_KEY = ":fx"  # how the keys end that only the other host knows
_MOST_TEXTS = 50
_MOST_CHARACTERS = 20_000  # 128 KiB a request: six bytes a character, as JSON escapes them
_QUOTA = 456

_LANGUAGES = frozenset(
    {
        "ace", "af", "an", "ar", "as", "ay", "az", "ba", "be", "bg", "bho", "bn", "br", "bs",
        "ca", "ceb", "ckb", "cs", "cy", "da", "de", "el", "en", "eo", "es", "et", "eu", "fa",
        "fi", "fr", "ga", "gl", "gn", "gom", "gu", "ha", "he", "hi", "hr", "ht", "hu", "hy",
        "id", "ig", "is", "it", "ja", "jv", "ka", "kk", "kmr", "ko", "ky", "la", "lb", "lmo",
        "ln", "lt", "lv", "mai", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "nb",
        "ne", "nl", "oc", "om", "pa", "pag", "pam", "pl", "prs", "ps", "pt", "qu", "ro", "ru",
        "sa", "scn", "sk", "sl", "sq", "sr", "st", "su", "sv", "sw", "ta", "te", "tg", "th",
        "tk", "tl", "tn", "tr", "ts", "tt", "uk", "ur", "uz", "vi", "wo", "xh", "yi", "yue",
        "zh", "zu",
    }
)  # fmt: skip
_SOURCES = {"no": "nb"}
# A target has to be a variant where there are several.
_TARGETS = {
    "en": "en-US",
    "no": "nb",
    "pt": "pt-BR",
    "zh": "zh-Hans",
}
_VARIANTS = frozenset({"en-GB", "en-US", "es-419", "pt-BR", "pt-PT", "zh-Hans", "zh-Hant"})


class DeepL(ServiceEngine):
    """The engine `deepl`."""

    name = "deepl"
    most_texts = _MOST_TEXTS
    most_characters = _MOST_CHARACTERS

    def __init__(self, settings: HttpEngineSettings, post: Post) -> None:
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._service = Service(settings, post, _FREE_URL if key.endswith(_FREE_KEY) else _URL)

    def model(self, source: str, target: str) -> str:
        """Always the same: DeepL chooses it."""
        return self.name

    def knows(self, source: str, target: str) -> bool:
        """Whether DeepL lists both languages."""
        known, wanted = _primary(_source(source)), _primary(_target(target))
        return known in _LANGUAGES and wanted in _LANGUAGES and known != wanted

    def ask(self, batch: Sequence[str], source: str, target: str, deadline: float) -> list[str]:
        """As `ServiceEngine.ask`."""
        request = {
            "text": batch,
            "source_lang": _source(source).upper(),
            "target_lang": _target(target).upper(),
        }
        headers = {"Authorization": f"DeepL-Auth-Key {self._service.key}"}
        try:
            answer = self._service.ask("/translate", request, deadline, headers)
        except ServiceError as error:
            if error.status == _QUOTA:
                raise error.known_as(Reason.RATE_LIMITED, lasting=True) from None
            raise
        return strings(answer.get("translations"), len(batch), key="text")


def _source(tag: str) -> str:
    primary = _primary(tag)
    return _SOURCES.get(primary, primary)


def _target(tag: str) -> str:
    if tag in _VARIANTS:
        return tag
    if is_traditional(tag):
        return "zh-Hant"
    return _TARGETS.get(tag) or _TARGETS.get(primary := _primary(tag), primary)


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
