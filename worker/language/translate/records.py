"""The list of Firefox Translations' models: what there is, and what leads where.

The list is a collection of Remote Settings (`translations-models-v2`): one record a file, several
files a model. A record without a checksum is no record to us.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.version import InvalidVersion, Version

from worker.errors import KabarError

RECORDS_URL = (
    "https://firefox.settings.services.mozilla.com"
    "/v1/buckets/main/collections/translations-models-v2/records"
)
ATTACHMENTS_URL = "https://firefox-settings-attachments.cdn.mozilla.net"

Pair = tuple[str, str]
"""Source and target, as the list writes them."""

_MAJOR = 3  # the format that fxtranslate reads
_HUB = "en"
_TRADITIONAL = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")
_OTHER_NAMES = {"zh": ("zh-hans", "zh"), "no": ("no", "nb"), "nb": ("nb", "no"), "iw": ("he",)}
_PAIRED = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,2}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOCATION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 400_000_000  # of a file, unpacked; the largest that Mozilla lists has a tenth of it
_NEEDED = ({"model", "vocab"}, {"model", "srcvocab", "trgvocab"})
_KINDS = frozenset.union(*map(frozenset, _NEEDED))


class ModelError(KabarError):
    """A model, or the list of them, that cannot be had or used; one line that says why."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model; `sha256` is that of its content, `location` where it lies packed."""

    name: str
    kind: str
    sha256: str
    location: str
    packed_size: int | None
    record: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def stored_name(self) -> str:
        """Its name on disk: a newer version lies beside an older one."""
        return f"{self.sha256[:12]}-{self.name}"


@dataclass(frozen=True, slots=True)
class Model:
    """What translates from one language into one other."""

    source: str
    target: str
    version: str
    files: tuple[File, ...]

    @property
    def pair(self) -> Pair:
        """Its languages."""
        return self.source, self.target

    @property
    def name(self) -> str:
        """Its languages in one word, `id-en`; also its directory."""
        return f"{self.source}-{self.target}"

    @property
    def label(self) -> str:
        """Name and version, such as `id-en 3.0`."""
        return f"{self.name} {self.version}"

    def file(self, *kinds: str) -> File:
        """The file of the first of `kinds` that it has."""
        by_kind = {one.kind: one for one in self.files}
        return next(by_kind[kind] for kind in kinds if kind in by_kind)


def read(body: bytes) -> dict[Pair, Model]:
    """The newest usable model of each pair in a list.

    Raises `ModelError` when `body` is no list at all.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ModelError("the list of models is no JSON") from None
    records = document.get("data") if isinstance(document, dict) else None
    if not isinstance(records, list):
        raise ModelError("the list of models has no records in it")
    found: dict[tuple[Pair, str, str], list[File]] = defaultdict(list)
    for record in records:
        if file := _file(record):
            found[_model_of(record)].append(file)
    return _newest(found)


def written(model: Model) -> bytes:
    """The list that holds `model` alone."""
    return json.dumps({"data": [dict(file.record) for file in model.files]}, indent=1).encode()


def route(pairs: Collection[Pair], source: str, target: str) -> tuple[Pair, ...]:
    """Which of `pairs` lead from `source` to `target` (BCP 47): one, two through English, none."""
    by_tag = {(one.lower(), other.lower()): (one, other) for one, other in pairs}
    sources, targets = list(_names(source)), list(_names(target))
    for one in sources:
        for other in targets:
            if (one, other) in by_tag:
                return (by_tag[one, other],)
    first = next((by_tag[one, _HUB] for one in sources if (one, _HUB) in by_tag), None)
    second = next((by_tag[_HUB, other] for other in targets if (_HUB, other) in by_tag), None)
    if first and second and not set(sources) & set(targets):
        return first, second
    return ()


def is_traditional(tag: str) -> bool:
    """Whether a tag (BCP 47) is Chinese in the traditional script: without a script it means what
    its country writes.
    """
    return tag.lower().startswith(_TRADITIONAL)


def _names(tag: str) -> Iterator[str]:
    """What the list may call a language, the most exact first, in small letters."""
    tag = tag.lower().replace("_", "-")
    primary = tag.partition("-")[0]
    yield tag
    if is_traditional(tag):
        yield from ("zh-hant", "zh_hant")
        return
    yield from _OTHER_NAMES.get(primary, (primary,))


def _file(record: Any) -> File | None:
    match record:
        case {
            "name": str(name),
            "fileType": str(kind),
            "decompressedHash": str(sha256),
            "version": str(version),
            "sourceLanguage": str(source),
            "targetLanguage": str(target),
            "attachment": {"location": str(location)} as attachment,
        }:
            fits = (
                kind in _KINDS
                and _version(version)
                and _NAME.fullmatch(name)
                and _SHA256.fullmatch(sha256)
                and _PAIRED.fullmatch(source)
                and _PAIRED.fullmatch(target)
                and _LOCATION.fullmatch(location)
            )
            size = attachment.get("size")
            packed_size = size if isinstance(size, int) and 0 < size < _MOST_BYTES else None
            return File(name, kind, sha256, location, packed_size, record) if fits else None
    return None


def _model_of(record: Mapping[str, Any]) -> tuple[Pair, str, str]:
    pair = record["sourceLanguage"], record["targetLanguage"]
    return pair, record["version"], str(record.get("architecture") or "")


def _newest(found: Mapping[tuple[Pair, str, str], list[File]]) -> dict[Pair, Model]:
    newest: dict[Pair, tuple[Any, Model]] = {}
    for (pair, version, architecture), files in found.items():
        kinds = [file.kind for file in files]
        if len(set(kinds)) < len(kinds) or set(kinds) not in _NEEDED:
            continue
        parsed = Version(version)
        rank = not parsed.is_prerelease, parsed, architecture
        if pair not in newest or newest[pair][0] < rank:
            newest[pair] = rank, Model(*pair, version, tuple(files))
    return {pair: model for pair, (_, model) in newest.items()}


def _version(text: str) -> Version | None:
    try:
        version = Version(text)
    except InvalidVersion:
        return None
    return version if version.major == _MAJOR else None
