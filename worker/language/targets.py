"""Into which languages an article is to be translated."""

from collections.abc import Sequence


def needed(language: str | None, targets: Sequence[str]) -> list[str]:
    """The targets (BCP 47), each once, that are not the article's own language."""
    return [one for one in dict.fromkeys(targets) if not language or not _same(language, one)]


def _same(one: str, other: str) -> bool:
    """Whether two tags mean one language; scripts tell them apart where both name theirs."""
    (language, script), (other_language, other_script) = map(_language_and_script, (one, other))
    is_apart = script and other_script and script != other_script
    return language == other_language and not is_apart


def _language_and_script(tag: str) -> tuple[str, str]:
    language, *more = tag.lower().split("-")
    return language, next((one for one in more if len(one) == 4 and one.isalpha()), "")
