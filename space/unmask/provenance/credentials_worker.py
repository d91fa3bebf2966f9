"""The worker process that reads the Content Credentials of one untrusted file, started by `content_credentials`.

Before it looks at the first byte it has given up sockets, programs and every other file, as the decoder has, and the
library is told to fetch nothing.
"""

import json
import os
import re
from collections.abc import Collection
from io import BytesIO, RawIOBase
from itertools import pairwise
from typing import Any

from c2pa import C2paError, Context, Reader

from unmask.provenance.messages import Credentials, CredentialsTask, Manifest
from unmask.sandbox.protocol import Connection, Done, Message
from unmask.text import printable_line
from unmask.video.byte_ranges import FilePart, Range, read_range
from unmask.video.decode_worker import enter_sandbox, open_media
from unmask.video.embedded import MAX_STORE_BYTES, find_embedded
from unmask.video.file_format import boxes

OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    # whether an identity (CAWG) holds stands on the web, and says nothing of the file
    "core": {"allowed_network_hosts": [], "decode_identity_assertions": False},
}
# of certificates that may sign: mail, as in the standard's first years, documents, and the standard's own signing
EXTENDED_KEY_USAGES = ("1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.311.76.59.1.9", "1.3.6.1.4.1.62558.2.1")
MP4 = "video/mp4"
FORMATS = (  # start of a file, its place, media type
    (b"ftyp", 4, MP4),
    (b"AVI ", 8, "video/avi"),
    (b"WEBP", 8, "image/webp"),
    (b"\x89PNG", 0, "image/png"),
    (b"GIF8", 0, "image/gif"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
)
STORE_FORMAT = "application/c2pa"
NOT_FOUND = ("ManifestNotFound", "Remote")  # kinds of errors: there is none in the file
UNKNOWN = ("prerelease content", "unknown algorithm")  # starts of errors: of a kind that the library cannot read
FRAGMENTS_CHANGED = "assertion.bmffHash.mismatch"  # also where the hashes are those of single segments
TRUSTED, UNTRUSTED, TIME_TRUSTED = "signingCredential.trusted", "signingCredential.untrusted", "timeStamp.trusted"
STATES = ("trusted", "valid", "unverified", "invalid")  # what is worth most first
BINDINGS = ("Hash.", "hardBinding")  # in codes of failures that concern the content
CHANGED = "Hash.mismatch"  # ends of codes
UNCOVERED = "exclusion does not match"  # in explanations of a mismatch: not only the store is left out of the signature
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
    alone: Any = BytesIO(store)
    if task.in_part:
        return read_credentials(alone, STORE_FORMAT, trust_list)
    file = open_media(task.media, parent)
    start = file.read(12)
    file.seek(0)
    kind = next((kind for magic, place, kind in FORMATS if start[place:].startswith(magic)), None)
    if kind is None:
        return read_credentials(alone, STORE_FORMAT, trust_list) if store else Credentials("none")
    found = read_credentials(file, kind, trust_list, store)
    place = None if store or found.manifests else find_embedded(file).store
    if place and place[0] < place[1]:  # the library does not find it in a box with a 64-bit size
        return read_credentials(file, kind, trust_list, read_range(file, place, MAX_STORE_BYTES))
    return found


def read_credentials(file: RawIOBase, media_type: str, trust_list: str, sidecar: bytes = b"") -> Credentials:
    """Read and validate the Content Credentials of a file, or those of a store alone, which then are unverified."""
    trust = {"trust_config": "\n".join(EXTENDED_KEY_USAGES)} | ({"trust_anchors": trust_list} if trust_list else {})
    in_part = media_type == STORE_FORMAT
    try:
        with (
            Context.from_dict(OFFLINE | {"trust": trust}) as context,
            Reader(media_type, file, sidecar or None, context) as reader,
        ):
            found: Json = json.loads(reader.json())
            if not in_part and FRAGMENTS_CHANGED in _codes(found.get("validation_status")):
                signed = _signed_segments(json.loads(reader.detailed_json()))
                segments = _segments(file) if signed else []
                for begin, end in segments:
                    init = FilePart(file, 0, segments[0][0])
                    found = json.loads(reader.with_fragment(MP4, init, FilePart(file, begin, end)).json())
                    if FRAGMENTS_CHANGED in _codes(found.get("validation_status")):
                        break
                else:
                    in_part = bool(segments) and len(segments) != signed
    except C2paError as error:
        kind, _, message = str(error).partition(": ")
        if kind in NOT_FOUND:
            return Credentials("none")
        if message.startswith(UNKNOWN):
            return Credentials("unverified")
        return Credentials("invalid", "damaged", (_ascii(kind),))
    return to_credentials(found, in_part)


def _segments(file: RawIOBase) -> list[Range]:
    """List the segments of a fragmented MP4, which lie behind its index; none where something else does."""
    end = file.seek(0, os.SEEK_END)
    cuts: list[tuple[bytes, int]] = []
    last = b""
    for box in boxes(file, 0, end):
        ends_segment = last == b"mdat" and box.kind not in (b"moof", b"mdat")
        if (ends_segment and cuts) or (last == b"moov" and not cuts):
            cuts.append((box.kind, box.begin))
        last = box.kind
    if cuts and last == cuts[-1][0] == b"mfra":
        end = cuts.pop()[1]
    elif last != b"mdat":
        return []
    return list(pairwise([*(begin for _, begin in cuts), end]))


def _signed_segments(detailed: Json) -> int:
    """Count the segments that were signed one by one, of the only track of a file; 0 where it was signed as a whole."""
    assertions: Json = detailed["manifests"][detailed["active_manifest"]]["assertion_store"]
    hashes = (data for name, data in assertions.items() if name.startswith("c2pa.hash.bmff"))
    trees = [tree for data in hashes for tree in data.get("merkle") or []]
    return int(trees[0]["count"]) if len(trees) == 1 else 0


def to_credentials(found: Json, in_part: bool) -> Credentials:
    """Reduce the library's JSON to what a report says."""
    failed = [status for status in found.get("validation_status", []) if status["code"] != UNTRUSTED]
    if in_part:
        failed = [status for status in failed if not any(part in status["code"] for part in BINDINGS)]
    failures = [status["code"] for status in failed]
    state = "unverified" if in_part and not failures else str(found["validation_state"]).lower()
    state = state if state in STATES else "invalid"
    results: Json = found.get("validation_results") or {}
    passed = _codes((results.get("activeManifest") or {}).get("success"))
    if state == "valid" and TRUSTED in passed:  # only something that it was made from has an unknown signer
        state = "trusted"
    codes = tuple(dict.fromkeys(map(_ascii, failures)))[:MAX_CODES] if state == "invalid" else ()
    problem = _problem(codes) if state == "invalid" else None
    changes = [str(each.get("explanation")) for each in failed if each["code"].endswith(CHANGED)]
    if problem == "changed" and all(UNCOVERED in explanation for explanation in changes):
        problem = "uncovered"
    return Credentials(state, problem, codes, manifests=_chain(found, state, problem, passed))


def _problem(codes: Collection[str]) -> str:
    if any(code.endswith(CHANGED) for code in codes):
        return "changed"
    return "expired" if codes and set(codes) <= set(EXPIRED) else "damaged"


def _chain(found: Json, state: str, problem: str | None, passed: set[str]) -> tuple[Manifest, ...]:
    """List the manifest of the file and those of what it was made from, nearest first."""
    manifests: Json = found.get("manifests", {})
    results: Json = found.get("validation_results") or {}
    deltas = {
        each["ingredientAssertionURI"]: each["validationDeltas"] for each in results.get("ingredientDeltas") or []
    }
    chain: dict[str, Manifest] = {}
    waiting = [(found.get("active_manifest"), "active", "whole", state, problem, passed)]
    while waiting and len(chain) < MAX_MANIFESTS:
        label, relation, role, state, problem, passed = waiting.pop(0)
        if label not in manifests or label in chain:
            continue
        manifest: Json = manifests[label]
        signature: Json = manifest.get("signature_info") or {}
        chain[label] = Manifest(
            title=_clean(manifest.get("title")) or None,
            relation=_ascii(relation),
            role=role,
            state=state,
            problem=problem,
            generator=_generator(manifest),
            signer=_clean(signature.get("issuer") or signature.get("common_name")) or None,
            signed_at=_ascii(signature.get("time")) or None if state != "trusted" or TIME_TRUSTED in passed else None,
            source_types=tuple(dict.fromkeys(_source_types(manifest.get("assertions"))))[:MAX_TYPES],
        )
        for each in manifest.get("ingredients", []):
            delta = deltas.get(f"self#jumbf=/c2pa/{label}/c2pa.assertions/{each.get('label')}", {})
            own, failed, passed = _ingredient_state(each, delta)
            relation, worst = each.get("relationship"), max(state, own, key=STATES.index)
            why = _problem(failed) if own == "invalid" else problem
            waiting.append((each.get("active_manifest"), relation, _role(role, relation), worst, why, passed))
    return tuple(chain.values())


def _ingredient_state(ingredient: Json, delta: Json) -> tuple[str, set[str], set[str]]:
    """Tell what the credentials of an ingredient are worth: as its user found them, and what is otherwise here.

    With the codes of what failed, and of what succeeded.
    """
    recorded: Json = (ingredient.get("validation_results") or {}).get("activeManifest") or {}
    then, now = ({name: _codes(each.get(name)) for name in ("success", "failure")} for each in (recorded, delta))
    failed = (then["failure"] | now["failure"] | _codes(ingredient.get("validation_status"))) - {UNTRUSTED}
    passed = then["success"] | now["success"]
    if failed:
        return "invalid", failed, passed
    if TRUSTED in passed and UNTRUSTED not in now["failure"]:
        return "trusted", failed, passed
    return "valid" if then["success"] else "unverified", failed, passed


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
            last = item.rstrip("/").rpartition("/")[2].removesuffix("DigitalSource")  # as schema.org spells it
            found.append(_ascii(f"{last[:1].lower()}{last[1:]}"))
        else:
            found += _source_types(item, depth + 1)
    return found


def _ascii(text: object) -> str:
    """Keep what names and times of the standard are made of: on the wire other letters are longer."""
    return NOT_IN_NAMES.sub("", str(text or "")[:MAX_NAME])


def _clean(text: object) -> str:
    return printable_line(text, MAX_TEXT)
