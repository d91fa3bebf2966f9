"""A TCP proxy before a Space, which a test can cut, restore, and point to another Space.

with Gateway(space.url) as gateway:
    gateway.url            # what the extension is told
    gateway.cut()          # connections end, new ones are refused
    gateway.mend()
"""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Gateway:
    def __init__(self, url: str) -> None:
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._port = 0
        self.lead_to(url)

    def __enter__(self) -> "Gateway":
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def lead_to(self, url: str) -> None:
        parts = urlsplit(url)
        self._behind = (parts.hostname or "", parts.port or 80)

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), reuse_port=False)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        for one in (listener, *self._open):
            with contextlib.suppress(OSError):  # it may have ended by itself
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._behind)
            except OSError:  # cut
                return
            self._open |= {near, far}
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=_pour, args=(a, b), daemon=True).start()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    """Copy everything from one side to the other, until either ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
