"""Read the data sets, which are no part of this repository, from a folder that holds all three.

aeb/     ground-truth.json, html/<id>.html.gz        Scrapinghub's article extraction benchmark
traf/    evaldata.json, cache/<file>, eval/<file>    trafilatura's 990 annotated documents
fundus/  <country>/<Publisher>.json, <Publisher>_<date>.html.gz, meta.info   fundus' test pages
"""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETS = ("aeb", "traf", "fundus")


class DataError(Exception):
    """The data is not where it was said to be."""


@dataclass(frozen=True, slots=True)
class Document:
    """A page as it came, and what is wanted of it, in the form of its set."""

    name: str
    url: str
    html: bytes
    wanted: Any


def read(folder: Path, name: str) -> Iterator[Document]:
    """The documents of one set. Raises `DataError` when they are not there."""
    if not (folder / name).is_dir():
        raise DataError(f"{folder / name} is no folder")
    return {"aeb": _aeb, "traf": _traf, "fundus": _fundus}[name](folder / name)


def _aeb(folder: Path) -> Iterator[Document]:
    for name, wanted in sorted(_json(folder / "ground-truth.json").items()):
        html = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes())
        yield Document(name, wanted.get("url") or "", html, wanted.get("articleBody") or "")


def _traf(folder: Path) -> Iterator[Document]:
    for url, wanted in _json(folder / "evaldata.json").items():
        files = [folder / part / wanted["file"] for part in ("cache", "eval")]
        found = next(filter(Path.is_file, files), None)
        if found is not None:
            yield Document(wanted["file"], url, found.read_bytes(), wanted)


def _fundus(folder: Path) -> Iterator[Document]:
    for file in sorted(folder.glob("*/*.json")):
        urls = _json(file.parent / "meta.info")
        versions = sorted(_json(file).items(), key=lambda one: _numbers(one[0]))
        pages = sorted(file.parent.glob(f"{file.stem}_[0-9]*.html.gz"))
        # The n-th version of a publisher's parser belongs to its n-th page by date.
        for (_, wanted), page in zip(versions, pages, strict=False):
            url = urls.get(page.name, {}).get("url") or ""
            yield Document(page.name, url, gzip.decompress(page.read_bytes()), wanted)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
