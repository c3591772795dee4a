"""A mail server on loopback, on a thread of its own: as much of SMTP as a sender needs."""

from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from types import TracebackType


class MailServer:
    """Takes every message; `refusal` is what it says to each recipient in place of that."""

    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.messages: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.mail = self
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "MailServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    mail: MailServer


class _Session(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self._say("220 mail.example ESMTP")
        while line := self.rfile.readline():
            verb = line.decode().split()[0].upper().partition(":")[0]
            match verb:
                case "EHLO" | "HELO" | "MAIL" | "RSET":
                    self._say("250 OK")
                case "RCPT":
                    self._say(self.server.mail.refusal or "250 OK")
                case "DATA":
                    self._say("354 go on")
                    self.server.mail.messages.append(self._message())
                    self._say("250 queued")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("502 not known here")

    def _message(self) -> str:
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(line.removeprefix(b".") for line in lines).decode()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
