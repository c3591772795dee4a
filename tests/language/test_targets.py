import pytest

from worker.language.targets import needed


@pytest.mark.parametrize(
    ("language", "targets", "wanted"),
    [
        ("id", ["en", "id", "en"], ["en"]),
        ("pt", ["pt-BR"], []),
        ("zh-Hant", ["zh-Hans", "zh-TW"], ["zh-Hans"]),
        ("zh", ["zh-Hans"], []),
        (None, ["en"], ["en"]),
        ("id", [], []),
    ],
)
def test_targets_that_are_not_the_own_language(
    language: str | None, targets: list[str], wanted: list[str]
) -> None:
    assert needed(language, targets) == wanted
