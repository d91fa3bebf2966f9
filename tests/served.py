"""The real Space as a process of its own, for tests that talk to it over HTTP.

with served(folder, UNMASK_QUEUE_SIZE="3") as space:
    space.events("check_url", {"url": …})       # list of (event, data)
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock

from tests.untrained import untrained_model

APP = Path(__file__).resolve().parents[1] / "space" / "app.py"
ASK_SECONDS = 0.05  # between two looks whether it can be talked to
START_SECONDS = 900.0  # importing gradio and torch takes 5, on a very busy machine minutes
# For http, where it is not asked: httpx would read all certificates anew for each request, 50 ms of a core.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
STOP_SECONDS = 120.0  # the same machine takes its time to stop it
SECRET = "canary-8642-sings"  # that the shared Space knows, and nobody else may
SHARED_MAX_BYTES = 3_000_000


class Served:
    """A running Space."""

    def __init__(self, url: str, temporary: Path, log: Path, process: subprocess.Popen[bytes] | None) -> None:
        self.began = time.monotonic()
        self.url = url
        self.log = log  # all that it prints
        self.temporary = temporary  # its folder for temporary files
        self.process = process

    def begin(self, endpoint: str, arguments: dict[str, Any]) -> str:
        """Call a named endpoint with named arguments -> the address of its events."""
        url = f"{self.url}/gradio_api/call/v2/{endpoint}"
        answer = httpx.post(url, json=arguments, timeout=30, verify=NO_CERTIFICATES)
        return f"{self.url}/gradio_api/call/{endpoint}/{answer.raise_for_status().json()['event_id']}"

    def stream(self, endpoint: str, arguments: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Name and data of each event, heartbeats left out; ending early leaves the stream."""
        url = self.begin(endpoint, arguments)
        with httpx.stream("GET", url, timeout=90, verify=NO_CERTIFICATES) as answer:
            event = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    event = value
                elif field == "data" and event != "heartbeat":
                    yield event, json.loads(value)

    def ask(self, endpoint: str, arguments: dict[str, Any] | None = None) -> Any:
        """The last answer of an endpoint."""
        event, data = list(self.stream(endpoint, arguments or {}))[-1]
        assert event == "complete", (event, data)
        return data[0]

    def upload(self, path: Path) -> httpx.Response:
        with path.open("rb") as file:
            return httpx.post(f"{self.url}/gradio_api/upload", files={"files": (path.name, file)}, timeout=60)

    def is_there(self) -> bool:
        """Whether it can be talked to."""
        try:
            url = f"{self.url}/gradio_api/info"
            return httpx.get(url, timeout=5, verify=NO_CERTIFICATES).is_success
        except httpx.TransportError:
            time.sleep(ASK_SECONDS)
            return False

    def files(self) -> list[str]:
        """What lies in the folder for temporary files; folders may vanish meanwhile."""
        return sorted(
            str((Path(folder) / name).relative_to(self.temporary))
            for folder, _, names in os.walk(self.temporary)
            for name in names
        )


@contextmanager
def served(
    folder: Path,
    policy: dict[str, float] | None = None,
    command: Sequence[str] = (str(APP),),
    until: Callable[[Served], bool] = Served.is_there,
    **settings: str,
) -> Iterator[Served]:
    """Start the Space with an untrained model, `policy` written into its config; stop it at the end.

    `command` is what Python is given; `until` looks whether it has started. No client is limited unless
    `settings` say so.
    """
    model, temporary, log = untrained_model(folder / "model"), folder / "tmp", folder / "log.txt"
    config = json.loads((model / "config.json").read_text())
    config["policy"] |= policy or {}
    (model / "config.json").write_text(json.dumps(config))
    temporary.mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{_free_port()}"
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": url.rpartition(":")[2],
        "UNMASK_MODEL": str(model),
        "UNMASK_ALLOW_PRIVATE": "1",
        "UNMASK_CLIENT_PLACES": "0",
        "UNMASK_CLIENT_PER_MINUTE": "0",
        **settings,
    }
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=output, stderr=output)
    space = Served(url, temporary, log, process)
    try:
        _wait(space, until)
        yield space
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def shared(folder: Path, **settings: str) -> Iterator[Served]:
    """Join the one Space of all processes that name the same folder, or start it; the starter leaves last."""
    users, record = folder.with_suffix(".users"), folder.with_suffix(".json")
    lock, own = FileLock(folder.with_suffix(".lock")), users / str(os.getpid())
    with ExitStack() as started:
        with lock:
            users.mkdir(exist_ok=True)
            own.touch()
            if record.exists():
                url, temporary, log = json.loads(record.read_text())
                space = Served(url, Path(temporary), Path(log), None)
            else:
                folder.mkdir()
                space = started.enter_context(served(folder, **settings))
                record.write_text(json.dumps([space.url, str(space.temporary), str(space.log)]))
        try:
            yield space
        finally:
            own.unlink()
            while space.process and not _retired(users, record, lock):
                time.sleep(ASK_SECONDS)


def _retired(users: Path, record: Path, lock: FileLock) -> bool:
    """Take the Space's record away if nobody uses it any more."""
    with lock:
        if any(users.iterdir()):
            return False
        record.unlink()
        return True


def _wait(space: Served, until: Callable[[Served], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and space.process.poll() is None:
        if until(space):
            return
    raise AssertionError(f"the Space did not start:\n{space.log.read_text()}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
