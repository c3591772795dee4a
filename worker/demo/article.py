"""What a demo site publishes, and the two articles that were written by hand."""

import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources

_WRITTEN = ("article_id.toml", "article_en.toml")

_CORRECTIONS = {
    "id": "Redaksi memperbarui artikel ini untuk menambahkan keterangan tentang {title}.",
    "en": "The newsroom has updated this article to add a detail about “{title}”.",
}


@dataclass(frozen=True)
class Article:
    """An article as its author hands it in; `site` is an index, modulo the sites there are."""

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

    @property
    def words(self) -> int:
        """Words of the paragraphs."""
        return sum(len(paragraph.split()) for paragraph in self.paragraphs)

    def revised(self) -> "Article":
        """The same article with another last paragraph, as an editor would correct it."""
        correction = _CORRECTIONS[self.language].format(title=self.title)
        return replace(self, paragraphs=(*self.paragraphs[:-1], correction))


def written() -> tuple[Article, ...]:
    """The hand-written articles: one Indonesian for site 0, one English for site 1."""
    return tuple(replace(_load(name), site=site) for site, name in enumerate(_WRITTEN))


def _load(name: str) -> Article:
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    fields = tomllib.loads(text)
    fields |= {key: tuple(fields[key]) for key in ("tags", "paragraphs")}
    return Article(**fields)
