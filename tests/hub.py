"""A small Hugging Face Hub on this machine: repositories of models and Spaces, in memory, over real HTTP.

It speaks the calls that `huggingface_hub` makes to create, commit, tag, list and download, with LFS and
without Xet; and those that the mirror `olah` makes on top (`paths-info`, byte ranges). Several files in one
commit are one commit; what is private needs the token.

    with Hub() as hub:
        environment = hub.environment(folder)   # for a process that shall know no other Hub
        hub.repositories["model/me/name"].head.files

`python -m tests.hub COMMAND…` runs a command that knows this Hub alone.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_token-of-this-test"
USER = "me"
LARGE = (".safetensors", ".mp4")  # kept by LFS


@dataclass(frozen=True)
class Commit:
    id: str
    title: str
    files: dict[str, bytes]


@dataclass
class Repository:
    kind: str  # "model" or "space"
    name: str  # owner/name
    private: bool
    sdk: str | None
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def add(self, title: str, files: dict[str, bytes]) -> Commit:
        content = repr((self.name, len(self.commits), title, sorted(files))).encode()
        self.commits.append(Commit(hashlib.sha1(content).hexdigest(), title, files))
        return self.head

    def at(self, revision: str) -> Commit | None:
        if revision == "main":
            return self.head
        wanted = self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.id == wanted), None)


class Hub:
    """Serves from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}  # by kind/owner/name
        self.objects: dict[str, bytes] = {}  # LFS, by sha256
        self.calls: list[str] = []  # "METHOD path" in order
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, endpoint: str | None = None) -> dict[str, str]:
        """Variables that make `huggingface_hub` use this Hub, or a mirror of it, and a cache of its own."""
        return {
            "HF_ENDPOINT": endpoint or self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str = "", body: object = None) -> None:
        super().__init__(status)
        self.status, self.code, self.body = status, code, body


@dataclass(frozen=True)
class Asked:
    hub: Hub
    body: bytes
    authorised: bool

    def json(self) -> Any:
        return json.loads(self.body)

    def repository(self, kind: str, name: str) -> Repository:
        found = self.hub.repositories.get(f"{kind}/{name}")
        if found is None or (found.private and not self.authorised):
            raise Refusal(404, "RepoNotFound")
        return found

    def commit(self, kind: str, name: str, revision: str) -> Commit:
        found = self.repository(kind, name).at(unquote(revision))
        if found is None:
            raise Refusal(404, "RevisionNotFound")
        return found

    def must_be_known(self) -> None:
        if not self.authorised:
            raise Refusal(401)


# --- the calls


def whoami(asked: Asked) -> object:
    asked.must_be_known()
    return {"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": {"role": "write"}}}


def create(asked: Asked) -> object:
    asked.must_be_known()
    given = asked.json()
    kind = given.get("type") or "model"
    name = f"{given.get('organization') or USER}/{given['name']}"
    url = f"{asked.hub.url}/{'spaces/' if kind == 'space' else ''}{name}"
    if f"{kind}/{name}" in asked.hub.repositories:
        raise Refusal(409, body={"url": url, "error": "You already created this repo"})
    private = given.get("visibility") == "private" or bool(given.get("private"))
    repository = Repository(kind, name, private, given.get("sdk"))
    repository.add("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
    asked.hub.repositories[f"{kind}/{name}"] = repository
    return {"url": url, "name": name, "id": name}


def validate(asked: Asked) -> object:
    content = asked.json()["content"]
    errors = [] if re.match(r"---\n.*?\n---\n", content, re.DOTALL) else [{"message": "no front matter"}]
    return {"errors": errors, "warnings": []}


def preupload(asked: Asked, kind: str, name: str, revision: str) -> object:
    asked.must_be_known()
    asked.commit(kind, name, revision)
    return {
        "files": [
            {
                "path": item["path"],
                "uploadMode": "lfs" if item["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for item in asked.json()["files"]
        ]
    }


def lfs_batch(asked: Asked, name: str) -> object:
    asked.must_be_known()
    objects = []
    for item in asked.json()["objects"]:
        actions = {
            "upload": {"href": f"{asked.hub.url}/lfs/{item['oid']}"},
            "verify": {"href": f"{asked.hub.url}/lfs/{item['oid']}/verify"},
        }
        known = {"actions": actions} if item["oid"] not in asked.hub.objects else {}
        objects.append({"oid": item["oid"], "size": item["size"], **known})
    return {"transfer": "basic", "objects": objects}


def lfs_put(asked: Asked, oid: str) -> object:
    if hashlib.sha256(asked.body).hexdigest() != oid:
        raise Refusal(422)
    asked.hub.objects[oid] = asked.body
    return {}


def lfs_verify(asked: Asked, oid: str) -> object:
    if len(asked.hub.objects.get(oid, b"")) != asked.json()["size"]:
        raise Refusal(404)
    return {}


def commit(asked: Asked, kind: str, name: str, revision: str) -> object:
    asked.must_be_known()
    repository = asked.repository(kind, name)
    files, title = dict(asked.commit(kind, name, revision).files), ""
    for line in asked.body.splitlines():
        item = json.loads(line)
        value = item["value"]
        if item["key"] == "header":
            title = value["summary"]
        elif item["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif item["key"] == "lfsFile":
            files[value["path"]] = asked.hub.objects[value["oid"]]
        elif item["key"] == "deletedFile":
            del files[value["path"]]
        else:
            raise Refusal(400)
    made = repository.add(title, files)
    return {"success": True, "commitOid": made.id, "commitUrl": f"{asked.hub.url}/{name}/commit/{made.id}"}


def tag(asked: Asked, kind: str, name: str, revision: str) -> object:
    asked.must_be_known()
    repository, given = asked.repository(kind, name), asked.json()["tag"]
    if given in repository.tags:
        raise Refusal(409)
    repository.tags[given] = asked.commit(kind, name, revision).id
    return {}


def information(asked: Asked, kind: str, name: str, revision: str = "main") -> object:
    repository, at = asked.repository(kind, name), asked.commit(kind, name, revision)
    return {
        "id": name,
        "modelId": name,
        "sha": at.id,
        "private": repository.private,
        "sdk": repository.sdk,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": path} for path in at.files],
    }


def tree(asked: Asked, kind: str, name: str, revision: str) -> object:
    return [_entry(path, data) for path, data in asked.commit(kind, name, revision).files.items()]


def paths_info(asked: Asked, kind: str, name: str, revision: str) -> object:
    try:
        paths = asked.json()["paths"]
    except ValueError:
        paths = parse_qs(asked.body.decode())["paths"]
    files = asked.commit(kind, name, revision).files
    return [_entry(path, files[path]) for path in ([paths] if isinstance(paths, str) else paths) if path in files]


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _blob(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class Download:
    data: bytes
    headers: dict[str, str]


def resolve(asked: Asked, kind: str, name: str, revision: str, path: str) -> Download:
    at = asked.commit(kind, name, revision)
    data = at.files.get(unquote(path))
    if data is None:
        raise Refusal(404, "EntryNotFound")
    large = path.endswith(LARGE)
    etag = hashlib.sha256(data).hexdigest() if large else _blob(data)
    headers = {"ETag": f'"{etag}"', "X-Repo-Commit": at.id, "Accept-Ranges": "bytes"}
    if large:
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
    return Download(data, headers)


NAME = r"([^/]+/[^/]+)"
ROUTES: list[tuple[str, str, Callable[..., object]]] = [
    ("GET", r"/api/whoami-v2", whoami),
    ("POST", r"/api/repos/create", create),
    ("POST", r"/api/validate-yaml", validate),
    ("POST", rf"/api/(model|space)s/{NAME}/preupload/([^/]+)", preupload),
    ("POST", rf"/(?:spaces/)?{NAME}\.git/info/lfs/objects/batch", lfs_batch),
    ("PUT", r"/lfs/(\w+)", lfs_put),
    ("POST", r"/lfs/(\w+)/verify", lfs_verify),
    ("POST", rf"/api/(model|space)s/{NAME}/commit/([^/]+)", commit),
    ("POST", rf"/api/(model|space)s/{NAME}/tag/([^/]+)", tag),
    ("POST", rf"/api/(model|space)s/{NAME}/paths-info/([^/]+)", paths_info),
    ("GET", rf"/api/(model|space)s/{NAME}/revision/([^/]+)", information),
    ("GET", rf"/api/(model|space)s/{NAME}/tree/([^/]+)/?", tree),
    ("GET", rf"/api/(model|space)s/{NAME}", information),
]
RESOLVE = re.compile(rf"/(spaces/)?{NAME}/resolve/([^/]+)/(.+)")


def _answer(method: str, path: str, asked: Asked) -> object:
    for wanted, pattern, call in ROUTES:
        match = re.fullmatch(pattern, path)
        if match and method in (wanted, "HEAD" if wanted == "GET" else wanted):
            return call(asked, *match.groups())
    match = RESOLVE.fullmatch(path)
    if match and method in ("GET", "HEAD"):
        return resolve(asked, "space" if match[1] else "model", *match.groups()[1:])
    raise Refusal(404)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            path = urlsplit(self.path).path
            hub.calls.append(f"{self.command} {path}")
            body = b"".join(self._body())
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            try:
                said = _answer(self.command, path, Asked(hub, body, known))
            except Refusal as refusal:
                headers = {"X-Error-Code": refusal.code} if refusal.code else {}
                self._send(refusal.status, json.dumps(refusal.body or {"error": "no"}).encode(), headers)
                return
            if isinstance(said, Download):
                self._send_part(said)
            else:
                self._send(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def _body(self) -> Iterator[bytes]:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                yield self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _send_part(self, said: Download) -> None:
            """All of it, or the one range that was asked for."""
            size = len(said.data)
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if match is None:
                self._send(200, said.data, said.headers)
                return
            start, end = int(match[1]), min(int(match[2] or size - 1), size - 1)
            headers = said.headers | {"Content-Range": f"bytes {start}-{end}/{size}"}
            self._send(206, said.data[start : end + 1], headers)

        def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet: `hub.calls` has it all."""

    return Handler


def main() -> None:
    with Hub() as hub, tempfile.TemporaryDirectory() as home:
        done = subprocess.run(sys.argv[1:], env={**os.environ, **hub.environment(Path(home))}, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
