"""A server of models on loopback, in a process of its own, as Mozilla's two hosts are in one.

Run as a script it serves a directory: `/records` is its `records.json`, `/files/…` what lies below
`files`. Each request is a line in `requests`; `manner.json` says how it is answered.
"""

import hashlib
import json
import re
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


_STALL_SECONDS = 0.05
_STALL_LOOKS = 1_200


@dataclass(frozen=True)
class Manner:
    """How files are served: `cut_at` is the byte of a file at which the connection is cut, as long
    as it lasts; `stalls` sends headers and, while it lasts, nothing else; `status` answers all with
    an error; without `right_ranges` what comes is not what was asked for.
    """

    ranges: bool = True
    right_ranges: bool = True
    cut_at: int | None = None
    stalls: bool = False
    status: int | None = None


class Records:
    """The running server and what it has; `publish` before, during and after its life."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._records: list[dict[str, object]] = []
        (directory / "files").mkdir(parents=True)
        self.behave(Manner())
        self._write()

    def __enter__(self) -> "Records":
        from tests.servers.child import Child
        from tests.waiting import until

        port = self._directory / "port"
        command = [sys.executable, "-P", __file__, str(self._directory)]
        self._child = Child(command, self._directory / "log")
        until(lambda: port.exists() and port.read_text(), "the records server's port")
        self._base = f"http://127.0.0.1:{port.read_text()}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()

    @property
    def records_url(self) -> str:
        return f"{self._base}/records"

    @property
    def attachments_url(self) -> str:
        return f"{self._base}/files"

    def behave(self, manner: Manner) -> None:
        """From the next request on."""
        new = self._directory / "manner.new"
        new.write_text(json.dumps(asdict(manner)))
        new.replace(self._directory / "manner.json")

    def publish(
        self,
        source: str,
        target: str,
        model: bytes,
        vocabulary: bytes,
        *,
        version: str = "3.0",
        sha256: str | None = None,
        with_hash: bool = True,
    ) -> None:
        """List a model; `sha256` in place of the right checksum of its weights."""
        pair = source + target
        for kind, name, content in (
            ("model", f"model.{pair}.intgemm.alphas.bin", model),
            ("vocab", f"vocab.{pair}.spm", vocabulary),
        ):
            packed = zstd.compress(content)
            location = f"models/{pair}-{version}-{name}.zst"
            path = self._directory / "files" / location
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(packed)
            right = hashlib.sha256(content).hexdigest()
            record: dict[str, object] = {
                "name": name,
                "version": version,
                "fileType": kind,
                "sourceLanguage": source,
                "targetLanguage": target,
                "attachment": {
                    "location": location,
                    "size": len(packed),
                    "filename": f"{name}.zst",
                },
            }
            if with_hash:
                record["decompressedHash"] = sha256 if sha256 and kind == "model" else right
            self._records.append(record)
        self._write()

    def requests(self) -> Sequence[str]:
        """Path and range of each request so far."""
        path = self._directory / "requests"
        return path.read_text().splitlines() if path.exists() else []

    def _write(self) -> None:
        new = self._directory / "records.new"
        new.write_text(json.dumps({"data": self._records}))
        new.replace(self._directory / "records.json")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory: Path

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        with (self.directory / "requests").open("a") as log:
            log.write(f"{self.path} {asked}\n")
        manner = self._manner()
        if self.path == "/records":
            self._answer(manner.status or 200, (self.directory / "records.json").read_bytes())
            return
        path = self.directory / self.path.removeprefix("/")
        if manner.status or not path.is_file():
            self._answer(manner.status or 404, b"")
            return
        self._file(path.read_bytes(), asked if manner.ranges else "", manner)

    def _manner(self) -> Manner:
        return Manner(**json.loads((self.directory / "manner.json").read_text()))

    def _file(self, content: bytes, asked: str, manner: Manner) -> None:
        start, body, headers = 0, content, {}
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", asked):
            start = int(wanted[1]) + (0 if manner.right_ranges else 1)
            body = content[start : int(wanted[2]) + 1]
            if not body:
                self._answer(416, b"")
                return
            headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(content)}"
        self._head(206 if wanted else 200, len(body), headers)
        for _ in range(_STALL_LOOKS):
            if not self._manner().stalls:
                break
            time.sleep(_STALL_SECONDS)
        if manner.cut_at is not None and start <= manner.cut_at < start + len(body):
            self.wfile.write(body[: manner.cut_at - start])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(body)

    def _answer(self, status: int, body: bytes) -> None:
        self._head(status, len(body), {})
        self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """`requests` has it."""


def _serve(directory: Path) -> None:
    _Handler.directory = directory
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    new = directory / "port.new"
    new.write_text(str(server.server_address[1]))
    new.replace(directory / "port")
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
