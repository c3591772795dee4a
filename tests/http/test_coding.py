"""Content codings: what goes in comes out, in pieces, however it was cut up and whatever it is."""

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from worker.http.coding import OFFERED, UndecodableError, decoder


def deflated(plain: bytes, window_bits: int) -> bytes:
    packer = zlib.compressobj(wbits=window_bits)
    return packer.compress(plain) + packer.flush()


def skippable(data: bytes) -> bytes:
    """A zstd frame that means nothing (RFC 8878 section 3.1.2)."""
    return b"\x5a\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


Pack = Callable[[bytes], bytes]
PACKS: list[tuple[str, Pack]] = [
    ("gzip", gzip.compress),
    ("gzip", lambda plain: gzip.compress(plain[:99]) + gzip.compress(plain[99:])),
    ("deflate", zlib.compress),
    ("deflate", lambda plain: deflated(plain, -15)),
    ("br", lambda plain: brotli.compress(plain, quality=5)),
    ("zstd", zstandard.compress),
    (
        "zstd",
        lambda plain: b"".join(
            [zstandard.compress(plain[:99]), skippable(b"ab"), zstandard.compress(plain[99:])]
        ),
    ),
]
BIG = os.urandom(300_000) + bytes(300_000) + b"the body " * 10_000

packs = st.sampled_from(PACKS)


def decoded(coding: str, parts: Iterable[bytes]) -> bytes:
    this = decoder(coding)
    assert this is not None
    pieces = [piece for part in parts for piece in this.feed(part)]
    this.finish()
    return b"".join(pieces)


def cut(data: bytes, size: int) -> Sequence[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_what_is_offered() -> None:
    assert OFFERED == "gzip, deflate, br, zstd"


@pytest.mark.parametrize(("coding", "pack"), PACKS)
@pytest.mark.parametrize("size", [1, 7, 65_536, 10_000_000])
def test_a_big_body_comes_out_in_small_pieces(coding: str, pack: Pack, size: int) -> None:
    this = decoder(coding)
    assert this is not None
    pieces = [piece for part in cut(pack(BIG), size) for piece in this.feed(part)]
    this.finish()
    assert b"".join(pieces) == BIG
    assert max(map(len, pieces)) <= 150_000  # brotli stops a little later than it is told to


@given(packs, st.binary(max_size=300), st.integers(min_value=1, max_value=400))
def test_any_body_comes_out_however_it_is_cut(
    coding_and_pack: tuple[str, Pack], plain: bytes, size: int
) -> None:
    coding, pack = coding_and_pack
    assert decoded(coding, cut(pack(plain), size)) == plain


@given(packs, st.binary(min_size=1, max_size=300), st.data())
def test_a_body_that_breaks_off_is_never_taken_for_whole(
    coding_and_pack: tuple[str, Pack], plain: bytes, data: st.DataObject
) -> None:
    coding, pack = coding_and_pack
    whole = pack(plain)
    length = data.draw(st.integers(min_value=1, max_value=len(whole) - 1))
    try:
        early = decoded(coding, [whole[:length]])
    except UndecodableError:
        return
    assert early in (plain[:99], plain)  # cut between two streams, where no one can tell


@given(
    st.sampled_from(["gzip", "deflate", "br", "zstd"]),
    st.lists(st.one_of(st.binary(max_size=50), packs.map(lambda pack: pack[1](b"a" * 150)))),
)
def test_no_bytes_whatever_raise_anything_else(coding: str, parts: list[bytes]) -> None:
    with suppress(UndecodableError):
        assert isinstance(decoded(coding, parts), bytes)


@pytest.mark.parametrize(("coding", "pack"), PACKS)
@pytest.mark.parametrize("junk", [b"\0" * 20, b"junk", b"\n"])
def test_what_follows_the_end_is_left_out(coding: str, pack: Pack, junk: bytes) -> None:
    assert decoded(coding, [pack(BIG), junk, junk]) == BIG
    if coding != "br":
        assert decoded(coding, [pack(BIG) + junk]) == BIG


@pytest.mark.parametrize("stream", [("gzip", gzip.compress(b"")), ("zstd", skippable(b""))])
def test_streams_in_a_row_have_an_end(stream: tuple[str, bytes]) -> None:
    coding, nothing = stream
    assert decoded(coding, [nothing * 1_000]) == b""
    with pytest.raises(UndecodableError, match="1000 streams"):
        decoded(coding, [nothing * 1_001])


def test_a_window_over_8_mb_is_refused() -> None:
    def pack(window_log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return packer.compress(bytes(20_000_000)) + packer.flush()

    assert len(decoded("zstd", [pack(23)])) == 20_000_000
    with pytest.raises(UndecodableError, match="memory"):
        decoded("zstd", [pack(24)])


@pytest.mark.parametrize(
    ("header", "is_decoded"),
    [
        ("GZIP", True),
        (" x-gzip ", True),
        ("", False),
        ("identity", False),
        ("utf-8", False),
        ("none", False),
    ],
)
def test_codings_by_name(header: str, is_decoded: bool) -> None:
    assert (decoder(header) is not None) == is_decoded


@pytest.mark.parametrize("header", ["compress", "X-Compress", "gzip, gzip", "gzip, br"])
def test_codings_not_asked_for(header: str) -> None:
    with pytest.raises(UndecodableError, match="not asked for"):
        decoder(header)


def test_an_empty_body_is_whole_in_any_coding() -> None:
    assert decoded("gzip", []) == b""
