"""A small Hugging Face Hub on this machine: repositories of models and Spaces, in memory, over real HTTP.

It answers the calls that `huggingface_hub` makes to create, commit, tag, list and download, with LFS and without
Xet. Several files in one commit are one commit; what is private needs the token.

    with Hub() as hub:
        environment = hub.environment(folder)   # for a process that shall know no other Hub
        hub.repositories["model/me/name"].head.files

`python -m tests.hub COMMAND…` runs a command that knows this Hub alone.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

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
    name: str  # owner/name
    private: bool = False
    sdk: str | None = None
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)  # of a Space
    hardware: str | None = None

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def add(self, title: str, files: dict[str, bytes]) -> Commit:
        content = repr((self.name, len(self.commits), title, sorted(files))).encode()
        self.commits.append(Commit(hashlib.sha1(content).hexdigest(), title, files))
        return self.head

    def at(self, revision: str) -> Commit:
        wanted = self.head.id if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.id == wanted), None) or _missing("RevisionNotFound")


class Hub:
    """Serves from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}  # by kind/owner/name
        self.objects: dict[str, bytes] = {}  # LFS, by sha256
        self.calls: list[str] = []  # "METHOD path" in order
        self.on_the_way: Callable[[str, bytes], bytes] = lambda path, data: data  # what a download gives instead
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(_app(self), log_level="error", lifespan="off"))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> "Hub":
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that make `huggingface_hub` use this Hub and a cache of its own."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }


def _missing(code: str) -> Any:
    raise HTTPException(404, headers={"X-Error-Code": code})


def _is_known(request: Request) -> bool:
    return request.headers.get("authorization") == f"Bearer {TOKEN}"


def _must_be_known(request: Request) -> None:
    if not _is_known(request):
        raise HTTPException(401)


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _app(hub: Hub) -> FastAPI:
    app, writing = FastAPI(), [Depends(_must_be_known)]

    @app.middleware("http")
    async def note(request: Request, answer: Callable[[Request], Any]) -> Any:
        hub.calls.append(f"{request.method} {request.url.path}")
        return await answer(request)

    def repository(request: Request, owner: str, name: str, kind: str = "model") -> Repository:
        found = hub.repositories.get(f"{kind}/{owner}/{name}")
        return _missing("RepoNotFound") if not found or (found.private and not _is_known(request)) else found

    Found: TypeAlias = Annotated[Repository, Depends(repository)]

    def commit(found: Found, revision: str = "main") -> Commit:
        return found.at(revision)

    At: TypeAlias = Annotated[Commit, Depends(commit)]

    @app.get("/api/whoami-v2", dependencies=writing)
    def whoami() -> Any:
        return {"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": {"role": "write"}}}

    @app.post("/api/repos/create", dependencies=writing)
    def create(given: dict[str, Any]) -> Any:
        kind, name = given.get("type") or "model", f"{given.get('organization') or USER}/{given['name']}"
        url = f"{hub.url}/{'spaces/' if kind == 'space' else ''}{name}"
        if f"{kind}/{name}" in hub.repositories:
            return JSONResponse({"url": url, "error": "You already created this repo"}, 409)
        private = given.get("visibility") == "private" or bool(given.get("private"))
        made = hub.repositories[f"{kind}/{name}"] = Repository(name, private, given.get("sdk"))
        made.add("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return {"url": url, "name": name, "id": name}

    @app.post("/api/validate-yaml")
    def validate(given: dict[str, Any]) -> Any:
        fine = re.match(r"---\n.*?\n---\n", given["content"], re.DOTALL)
        return {"errors": [] if fine else [{"message": "no front matter"}], "warnings": []}

    @app.post("/api/{kind}s/{owner}/{name}/preupload/{revision}", dependencies=writing)
    def preupload(given: dict[str, Any], _: At) -> Any:
        modes = [(item["path"], "lfs" if item["path"].endswith(LARGE) else "regular") for item in given["files"]]
        return {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]}

    @app.post("/{owner}/{name}.git/info/lfs/objects/batch", dependencies=writing)
    @app.post("/spaces/{owner}/{name}.git/info/lfs/objects/batch", dependencies=writing)
    def lfs_batch(given: dict[str, Any]) -> Any:
        for item in given["objects"]:
            if item["oid"] not in hub.objects:
                item["actions"] = {"upload": {"href": f"{hub.url}/lfs/{item['oid']}"}}
        return {"transfer": "basic", "objects": given["objects"]}

    @app.put("/lfs/{oid}")
    async def lfs_put(request: Request, oid: str) -> Any:
        hub.objects[oid] = await request.body()
        return {} if hashlib.sha256(hub.objects[oid]).hexdigest() == oid else Response(status_code=422)

    @app.post("/api/{kind}s/{owner}/{name}/commit/{revision}", dependencies=writing)
    async def add_commit(request: Request, found: Found, before: At) -> Any:
        files, title = dict(before.files), ""
        for item in map(json.loads, (await request.body()).splitlines()):
            match item["key"], item["value"]:
                case "header", value:
                    title = value["summary"]
                case "file", value:
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile", value:
                    files[value["path"]] = hub.objects[value["oid"]]
                case "deletedFile", value:
                    del files[value["path"]]
        made = found.add(title, files)
        return {"success": True, "commitOid": made.id, "commitUrl": f"{hub.url}/{found.name}/commit/{made.id}"}

    @app.post("/api/{kind}s/{owner}/{name}/tag/{revision}", dependencies=writing)
    def tag(given: dict[str, Any], found: Found, at: At) -> Any:
        found.tags[given["tag"]] = at.id
        return {}

    @app.post("/api/{kind}s/{owner}/{name}/variables", dependencies=writing)
    def variables(given: dict[str, Any], found: Found) -> Any:
        found.variables[given["key"]] = given["value"]
        return {key: {"value": value} for key, value in found.variables.items()}

    @app.post("/api/{kind}s/{owner}/{name}/hardware", dependencies=writing)
    def hardware(given: dict[str, Any], found: Found) -> Any:
        found.hardware = given["flavor"]
        return {"stage": "BUILDING", "hardware": {"current": None, "requested": found.hardware}}

    @app.get("/api/{kind}s/{owner}/{name}")
    @app.get("/api/{kind}s/{owner}/{name}/revision/{revision}")
    def information(found: Found, at: At) -> Any:
        siblings = [{"rfilename": path} for path in at.files]
        about = {"id": found.name, "sha": at.id, "private": found.private, "sdk": found.sdk, "siblings": siblings}
        return about | {"tags": [], "downloads": 0, "likes": 0}

    @app.get("/api/{kind}s/{owner}/{name}/tree/{revision}")
    def tree(at: At) -> Any:
        return [
            {"type": "file", "path": path, "size": len(data), "oid": _git_id(data)}
            | ({"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}}
               if path.endswith(LARGE) else {})
            for path, data in at.files.items()
        ]  # fmt: skip

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def resolve(path: str, at: At) -> Any:
        data = at.files[path] if path in at.files else _missing("EntryNotFound")
        etag = hashlib.sha256(data).hexdigest() if path.endswith(LARGE) else _git_id(data)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": at.id}
        if path.endswith(LARGE):
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        return Response(hub.on_the_way(path, data), headers=headers)

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    command = parser.parse_args().command
    with Hub() as hub, tempfile.TemporaryDirectory() as home:
        done = subprocess.run(command, env={**os.environ, **hub.environment(Path(home))}, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
