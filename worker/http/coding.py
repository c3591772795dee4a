"""Content codings undone as a body streams in, a bounded piece at a time. RFC 9110 section 8.4.1.

Not aiohttp's decoders: those let a zstd frame claim a window of 128 MB, take a body for whole that
broke off within its gzip stream, and fail on what follows a stream's end, which browsers ignore.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE = 65_536
_MOST_STREAMS = 1_000  # several in a row are one body; pigz makes such, and so does a prankster
_WINDOW_LOG = 23  # RFC 9659 section 3: zstd on the web needs no window over 8 MB
_BROKEN = (zlib.error, zstd.ZstdError, brotli.error)


class UndecodableError(ValueError):
    """The body is coded in a way that was not asked for, or its coding is broken."""


def decoder(content_encoding: str) -> "Decoder | None":
    """What undoes the coding that the header names; None when there is nothing to undo.

    A coding that nobody knows (`utf-8`, `none`) is a server's slip and leaves the body as it is.
    Raises `UndecodableError` for `compress` and for several codings on top of each other.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    if len(names) > 1 or names[0] in ("compress", "x-compress"):
        raise UndecodableError(f"the body is coded in a way not asked for: {content_encoding}")
    name = "gzip" if names[0] == "x-gzip" else names[0]  # RFC 9110 section 8.4.1.3
    return Decoder(_STREAMS[name]) if name in _STREAMS else None


class Decoder:
    """One body's coding: `feed` it what comes, then `finish`."""

    def __init__(self, start: "Callable[[bytes], _Stream]") -> None:
        self._start = start
        self._stream: _Stream | None = None
        self._streams = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """`data` decoded, in pieces of 64 kB or little more. Raises `UndecodableError`."""
        try:
            while data and (stream := self._stream_for(data)):
                while piece := stream.decode(data):
                    yield piece
                    data = b""
                data = stream.rest
        except _BROKEN as error:
            raise UndecodableError(f"the body cannot be decoded: {error}") from error

    def finish(self) -> None:
        """Raise `UndecodableError` when the body broke off within its coding."""
        if self._stream and not self._stream.ended:
            raise UndecodableError("the body broke off within its content coding")

    def _stream_for(self, data: bytes) -> "_Stream | None":
        """The stream that `data` belongs to; None for what stands after the last one's end."""
        if self._stream and not self._stream.ended:
            return self._stream
        if self._stream and not self._stream.is_next(data):
            return None
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            raise UndecodableError(f"the body is over {_MOST_STREAMS} streams in a row")
        self._stream = self._start(data)
        return self._stream


class _Stream(Protocol):
    @property
    def ended(self) -> bool: ...

    @property
    def rest(self) -> bytes:
        """What was fed beyond the stream's end."""

    def decode(self, data: bytes) -> bytes:
        """The next piece, of `data` after what was fed before; empty when more is needed."""

    def is_next(self, data: bytes) -> bool:
        """Whether `data`, which follows the end of this stream, begins another one."""


class _Zlib:
    """gzip and deflate."""

    def __init__(self, window_bits: int) -> None:
        self._is_gzip = window_bits > zlib.MAX_WBITS
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    @property
    def rest(self) -> bytes:
        return self._inflate.unused_data

    def decode(self, data: bytes) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, _PIECE)

    def is_next(self, data: bytes) -> bool:
        return self._is_gzip and data[:2] in (b"\x1f\x8b", b"\x1f")


class _Zstd:
    def __init__(self, _: bytes) -> None:
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        self._frame = zstd.ZstdDecompressor(options=options)

    @property
    def ended(self) -> bool:
        return self._frame.eof

    @property
    def rest(self) -> bytes:
        return self._frame.unused_data

    def decode(self, data: bytes) -> bytes:
        return b"" if self._frame.eof else self._frame.decompress(data, _PIECE)

    def is_next(self, data: bytes) -> bool:
        is_skippable = data[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(data[1:4])
        return is_skippable or b"\x28\xb5\x2f\xfd".startswith(data[:4])


class _Brotli:
    rest = b""  # bytes after the end, in one piece with it, are an error of brotli's

    def __init__(self, _: bytes) -> None:
        self._stream = brotli.Decompressor()

    @property
    def ended(self) -> bool:
        return bool(self._stream.is_finished())

    def decode(self, data: bytes) -> bytes:
        return bytes(self._stream.process(data, output_buffer_limit=_PIECE))

    def is_next(self, data: bytes) -> bool:
        return False


def _deflate(data: bytes) -> _Zlib:
    """RFC 1950 as it should be, or the bare RFC 1951 that some servers take it for."""
    has_header = data[0] & 0x8F == 0x08
    return _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)


_STREAMS: dict[str, Callable[[bytes], _Stream]] = {
    "gzip": lambda data: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": _deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
OFFERED = ", ".join(_STREAMS)  # for Accept-Encoding
