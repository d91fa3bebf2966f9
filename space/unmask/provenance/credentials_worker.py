"""The worker process that reads the Content Credentials of one untrusted file, started by `content_credentials`.

Before it looks at the first byte it has given up sockets, programs and every other file, as the decoder has, and the
library is told to fetch nothing.
"""

import json
import re
from io import BytesIO, RawIOBase
from typing import Any

from c2pa import C2paError, Context, Reader

from unmask.provenance.messages import Credentials, CredentialsTask, Manifest
from unmask.sandbox.protocol import Connection, Done, Message
from unmask.text import printable_line
from unmask.video.decode_worker import enter_sandbox, open_media

OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}
FORMATS = (  # start of a file, its place, media type
    (b"ftyp", 4, "video/mp4"),
    (b"AVI ", 8, "video/avi"),
    (b"WEBP", 8, "image/webp"),
    (b"\x89PNG", 0, "image/png"),
    (b"GIF8", 0, "image/gif"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
)
STORE_FORMAT = "application/c2pa"
TRUSTED, UNTRUSTED, TIME_TRUSTED = "signingCredential.trusted", "signingCredential.untrusted", "timeStamp.trusted"
DOUBT = ("trusted", "valid", "unverified", "invalid")  # states, what is worth most first
BINDINGS = ("Hash.", "hardBinding")  # in codes of failures that concern the content
EXPIRED = ("signingCredential.expired", "claimSignature.outsideValidity")
MAX_MANIFESTS, MAX_CODES, MAX_TYPES, MAX_TEXT, MAX_NAME = 8, 12, 8, 100, 60  # all together fit into one message
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.:+_-]")
MAX_DEPTH = 12  # in an assertion

Json = dict[str, Any]


def main() -> None:
    """Do one task. A defect ends in a traceback on stderr, a crash of the library in a signal, and no last message."""
    parent = Connection()
    request = parent.receive(CredentialsTask)
    if request is None:
        return
    enter_sandbox(request.body.cpu_seconds)
    parent.send(_read(request, parent))
    parent.send(Done())


def _read(request: Message, parent: Connection) -> Credentials:
    task: CredentialsTask = request.body
    store, trust_list = bytes(request.payload[: task.store_bytes]), bytes(request.payload[task.store_bytes :]).decode()
    if task.in_part:
        return read_credentials(BytesIO(store), STORE_FORMAT, trust_list)
    file = open_media(task.media, parent)
    start = file.read(12)
    file.seek(0)
    kind = next((kind for magic, place, kind in FORMATS if start[place:].startswith(magic)), None)
    if kind is None:
        return read_credentials(BytesIO(store), STORE_FORMAT, trust_list) if store else Credentials("none")
    return read_credentials(file, kind, trust_list, store)


def read_credentials(file: RawIOBase | BytesIO, media_type: str, trust_list: str, sidecar: bytes = b"") -> Credentials:
    """Read and validate the Content Credentials of a file, or those of a store alone, which then are unverified."""
    trust = {"trust": {"trust_anchors": trust_list}} if trust_list else {}
    try:
        with (
            Context.from_dict(OFFLINE | trust) as context,
            Reader(media_type, file, sidecar or None, context) as reader,
        ):
            found: Json = json.loads(reader.json())
    except C2paError as error:
        kind = str(error).partition(":")[0]
        return Credentials("none") if kind == "ManifestNotFound" else Credentials("invalid", "damaged", (_ascii(kind),))
    return to_credentials(found, in_part=media_type == STORE_FORMAT)


def to_credentials(found: Json, in_part: bool) -> Credentials:
    """Reduce the library's JSON to what a report says."""
    failures = [status["code"] for status in found.get("validation_status", []) if status["code"] != UNTRUSTED]
    if in_part:
        failures = [code for code in failures if not any(part in code for part in BINDINGS)]
    state = "unverified" if in_part and not failures else str(found["validation_state"]).lower()
    state = state if state in DOUBT else "invalid"
    results: Json = found.get("validation_results") or {}
    passed = _codes((results.get("activeManifest") or {}).get("success"))
    if state == "valid" and TRUSTED in passed:  # only something that it was made from has an unknown signer
        state = "trusted"
    codes = tuple(dict.fromkeys(map(_ascii, failures)))[:MAX_CODES] if state == "invalid" else ()
    return Credentials(
        state=state,
        problem=_problem(codes) if state == "invalid" else None,
        codes=codes,
        manifests=_chain(found, state, passed),
    )


def _problem(codes: tuple[str, ...]) -> str:
    if any(code.endswith("Hash.mismatch") for code in codes):
        return "changed"
    return "expired" if codes and set(codes) <= set(EXPIRED) else "damaged"


def _chain(found: Json, state: str, passed: set[str]) -> tuple[Manifest, ...]:
    """List the manifest of the file and those of what it was made from, nearest first."""
    manifests: Json = found.get("manifests", {})
    results: Json = found.get("validation_results") or {}
    deltas = {
        each["ingredientAssertionURI"]: each["validationDeltas"] for each in results.get("ingredientDeltas") or []
    }
    chain: dict[str, Manifest] = {}
    waiting = [(found.get("active_manifest"), "active", "whole", state, passed)]
    while waiting and len(chain) < MAX_MANIFESTS:
        label, relation, role, state, passed = waiting.pop(0)
        if label not in manifests or label in chain:
            continue
        manifest: Json = manifests[label]
        signature: Json = manifest.get("signature_info") or {}
        chain[label] = Manifest(
            title=_clean(manifest.get("title")) or None,
            relation=_ascii(relation),
            role=role,
            state=state,
            generator=_generator(manifest),
            signer=_clean(signature.get("issuer") or signature.get("common_name")) or None,
            signed_at=_ascii(signature.get("time")) or None if state != "trusted" or TIME_TRUSTED in passed else None,
            source_types=tuple(dict.fromkeys(_source_types(manifest.get("assertions"))))[:MAX_TYPES],
        )
        for each in manifest.get("ingredients", []):
            delta = deltas.get(f"self#jumbf=/c2pa/{label}/c2pa.assertions/{each.get('label')}", {})
            own, passed = _ingredient_state(each, delta)
            relation, worst = each.get("relationship"), max(state, own, key=DOUBT.index)
            waiting.append((each.get("active_manifest"), relation, _role(role, relation), worst, passed))
    return tuple(chain.values())


def _ingredient_state(ingredient: Json, delta: Json) -> tuple[str, set[str]]:
    """Tell what the credentials of an ingredient are worth: as its user found them, and what is otherwise here.

    With the codes of what succeeded.
    """
    recorded: Json = (ingredient.get("validation_results") or {}).get("activeManifest") or {}
    then, now = ({name: _codes(each.get(name)) for name in ("success", "failure")} for each in (recorded, delta))
    failed = then["failure"] | now["failure"] | _codes(ingredient.get("validation_status"))
    passed = then["success"] | now["success"]
    if failed - {UNTRUSTED}:
        return "invalid", passed
    if TRUSTED in passed and UNTRUSTED not in now["failure"]:
        return "trusted", passed
    return "valid" if then["success"] else "unverified", passed


def _codes(statuses: list[Json] | None) -> set[str]:
    return {status["code"] for status in statuses or []}


def _role(role: str, relation: str) -> str:
    """Tell what an ingredient of something in a role is to the file."""
    if relation == "parentOf":
        return role
    return "part" if relation == "componentOf" and role != "input" else "input"


def _generator(manifest: Json) -> str | None:
    info: Json = next(iter(manifest.get("claim_generator_info") or []), {})
    named = f"{info.get('name') or ''} {info.get('version') or ''}"
    return _clean(named) or _clean(manifest.get("claim_generator")) or None


def _source_types(value: Any, depth: int = 0) -> list[str]:
    """Collect the last part of every digital source type, which is an address."""
    if depth > MAX_DEPTH:
        return []
    if isinstance(value, list):
        return [found for item in value for found in _source_types(item, depth + 1)]
    if not isinstance(value, dict):
        return []
    found = []
    for name, item in value.items():
        if name.lower().endswith("digitalsourcetype") and isinstance(item, str):
            found.append(_ascii(item.rpartition("/")[2]))
        else:
            found += _source_types(item, depth + 1)
    return found


def _ascii(text: object) -> str:
    """Keep what names and times of the standard are made of: on the wire other letters are longer."""
    return NOT_IN_NAMES.sub("", str(text or "")[:MAX_NAME])


def _clean(text: object) -> str:
    return printable_line(text, MAX_TEXT)
