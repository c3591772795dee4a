"""What a demo site publishes, and the articles that were written by hand (`data/articles`)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from typing import Any

_CORRECTIONS = {
    "id": "Redaksi memperbarui artikel ini untuk menambahkan keterangan tentang {title}.",
    "en": "The newsroom has updated this article to add a detail about “{title}”.",
}


@dataclass(frozen=True)
class Article:
    """An article as its author hands it in; `site` is an index, modulo the sites there are.

    `parts` is over how many pages it goes.
    """

    slug: str
    language: str
    section: str
    title: str
    summary: str
    author: str
    editor: str
    source: str
    dateline: str
    caption: str
    credit: str
    tags: tuple[str, ...]
    paragraphs: tuple[str, ...]
    site: int = 0
    published_at: datetime = datetime(2022, 1, 22, 9, 57, tzinfo=UTC)
    parts: int = 1

    @property
    def words(self) -> int:
        """Words of the paragraphs."""
        return sum(len(paragraph.split()) for paragraph in self.paragraphs)

    def part(self, number: int) -> tuple[str, ...]:
        """The paragraphs on page `number` (1 to `parts`)."""
        size = -(-len(self.paragraphs) // self.parts)
        return self.paragraphs[(number - 1) * size : number * size]

    def revised(self) -> "Article":
        """The same article with another last paragraph, as an editor would correct it."""
        correction = _CORRECTIONS[self.language].format(title=self.title)
        return replace(self, paragraphs=(*self.paragraphs[:-1], correction))


def written() -> tuple[Article, ...]:
    """The hand-written articles in the order of their files, for the sites 0, 1 and 2 in turn."""
    files = resources.files(__package__).joinpath("data", "articles").iterdir()
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    return tuple(_parse(name, texts[name]) for name in sorted(texts))


def _parse(name: str, text: str) -> Article:
    """`NN-slug.txt`: lines `field: value`, then paragraphs, a blank line before each."""
    head, *paragraphs = text.strip().split("\n\n")
    fields: dict[str, Any] = dict(line.split(": ", 1) for line in head.splitlines())
    fields |= {name: int(fields[name]) for name in ("site", "parts") if name in fields}
    fields["tags"] = tuple(fields["tags"].split(", "))
    slug = name.partition("-")[2].removesuffix(".txt")
    return Article(slug=slug, paragraphs=tuple(paragraphs), **fields)
