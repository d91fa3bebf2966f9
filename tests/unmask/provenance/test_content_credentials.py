"""A file, a fetched part of one, or a store alone -> what its Content Credentials are worth and say."""

import io
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography.x509 import ObjectIdentifier
from PIL import Image

from tests.credentials import Signer, store_box, with_store_last
from tests.media import make
from tests.servers import Answer, Handler, Site, content, redirect, status
from unmask.download.sources import FileSource, Statements, UrlSource, VideoSource, open_media
from unmask.errors import Cancelled, NotAVideo
from unmask.limits import Limits
from unmask.pipeline import Checker
from unmask.progress import ignore_progress
from unmask.provenance.content_credentials import BackgroundCredentials
from unmask.provenance.credentials_worker import (
    EXTENDED_KEY_USAGES,
    STORE_FORMAT,
    _segments,
    read_credentials,
    to_credentials,
)
from unmask.provenance.messages import Credentials
from unmask.report import CredentialsReport
from unmask.sandbox.process import start_code
from unmask.sandbox.protocol import read_header, write_message
from unmask.video.byte_ranges import MAX_RANGE_BYTES
from unmask.video.embedded import find_embedded
from unmask.video.sampling import DecodePlan

AI = "trainedAlgorithmicMedia"
AT_HOME = Limits(allow_private=True)

pytestmark = pytest.mark.usefixtures("quick_worker")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    return make("h264.mp4", tmp_path_factory.mktemp("signed")).read_bytes()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def read(data: bytes, folder: Path, trust_list: str = "") -> CredentialsReport:
    """What a worker reads of a file that is here as a whole."""
    path = folder / "video.mp4"
    path.write_bytes(data)
    return opened(FileSource(path, path.name), folder, trust_list)


def opened(source: VideoSource, folder: Path, trust_list: str = "") -> CredentialsReport:
    """What is found beside a check of the source."""
    plan = DecodePlan(windows=1, frames_per_window=2)
    with (
        open_media(source, folder, AT_HOME, plan, ignore_progress) as found,
        closing(BackgroundCredentials(found.statements, trust_list)) as reading,
    ):
        return reading.result()


def altered(video: bytes) -> bytes:
    """A picture is another."""
    place = video.rindex(b"mdat") + 5000
    return video[:place] + bytes([video[place] ^ 1]) + video[place + 1 :]


def damaged(video: bytes) -> bytes:
    """The store is, not the content."""
    place = store_box(video)[0] + 600
    return video[:place] + bytes(400) + video[place + 400 :]


@pytest.mark.parametrize(
    ("algorithm", "change", "is_listed", "state", "problem", "text"),
    [
        ("ES256", bytes, True, "trusted", None, "the signer, Example News, is on the trust list"),
        ("ES256", bytes, False, "valid", None, "nobody confirms who that is"),
        ("Ed25519", bytes, True, "trusted", None, "the signer, Example News, is on the trust list"),
        ("Ed25519", altered, True, "invalid", "changed", "the content was changed after it was signed"),
        ("ES256", damaged, True, "invalid", "damaged", "they are damaged"),
    ],
)
def test_what_credentials_are_worth(video, tmp_path, algorithm, change, is_listed, state, problem, text):
    signer = Signer(algorithm)
    found = read(change(signer.sign(video, AI)), tmp_path, signer.root if is_listed else Signer().root)
    assert (found["state"], found["problem"]) == (state, problem)
    assert text in found["text"]
    assert problem == "damaged" or (found["made"], found["generator"]) == ("ai", "Generator 1.0")


@pytest.mark.parametrize("purpose", EXTENDED_KEY_USAGES)
def test_a_certificate_may_be_for_all_that_the_standard_allows(video, tmp_path, purpose):
    signer = Signer(purpose=ObjectIdentifier(purpose))
    signed = signer.sign(video, AI)
    assert [read(signed, tmp_path, trust)["state"] for trust in ("", signer.root)] == ["valid", "trusted"]


@pytest.mark.parametrize(
    ("source_type", "made"),
    [("trainedAlgorithmicMedia/", "ai"), ("x/TrainedAlgorithmicMediaDigitalSource", "ai"), ("somethingNew", None)],
)
def test_source_types_are_known_as_others_spell_them(video, signer, tmp_path, source_type, made):
    assert read(signer.sign(video, source_type), tmp_path)["made"] == made


def test_an_expired_certificate_is_no_proof(video, tmp_path):
    signer = Signer(seconds=3)
    signed = signer.sign(video, "digitalCapture")
    time.sleep(4)
    found = read(signed, tmp_path, signer.root)
    assert (found["state"], found["problem"]) == ("invalid", "expired")


def test_the_chain_leads_back_to_what_was_edited(video, signer, tmp_path):
    original = signer.sign(video, "digitalCapture")
    found = read(signer.sign(original, edits=original), tmp_path, signer.root)
    assert (found["state"], found["made"]) == ("trusted", "camera")
    steps = [(each["relation"], each["generator"], each["source_types"]) for each in found["chain"]]
    assert steps == [("active", "Editor 1.0", []), ("parentOf", "Generator 1.0", ["digitalCapture"])]


@pytest.mark.parametrize(
    ("change", "is_listed", "relation", "source_type", "state", "made"),
    [
        (bytes, True, "parentOf", "digitalCapture", "trusted", "camera"),
        (bytes, False, "parentOf", "digitalCapture", "valid", None),
        (altered, True, "parentOf", "digitalCapture", "invalid", None),
        (altered, False, "parentOf", AI, "invalid", None),
        (bytes, True, "componentOf", AI, "trusted", "part_ai"),
        (bytes, True, "componentOf", "digitalCapture", "trusted", "edited"),
        (bytes, True, "inputTo", AI, "trusted", "edited"),
    ],
)
def test_what_a_file_was_made_from_speaks_for_it_where_it_is_worth_as_much(
    video, signer, tmp_path, change, is_listed, relation, source_type, state, made
):
    other = Signer()
    original = change(other.sign(video, source_type))
    own = "" if relation == "parentOf" else "composite"
    signed = signer.sign(video, own, edits=original, relation=relation)
    found = read(signed, tmp_path, signer.root + other.root * is_listed)
    assert (found["state"], found["made"]) == ("trusted", made)
    assert [each["state"] for each in found["chain"]] == ["trusted", state]


def test_of_a_large_file_elsewhere_the_store_is_read_where_it_lies(video, signer, tmp_path):
    padding = 190 * 2**20
    start, store = with_store_last(signer.sign(video, AI), padding)
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:  # sparse
        file.write(start)
        file.seek(padding, io.SEEK_CUR)
        file.write(store)
    sent = 0

    def answer(handler: Handler) -> None:
        nonlocal sent
        begin, _, end = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        last = int(end or 1000)
        with path.open("rb") as file:
            file.seek(int(begin))
            body = file.read(last - int(begin) + 1)
        sent += len(body)
        part = f"bytes {begin}-{last}/{path.stat().st_size}"
        handler.give(body, "video/mp4", 206 if end else 200, {"Content-Range": part})

    with Site({"/large.mp4": answer}) as site:
        found = opened(UrlSource(site.url("/large.mp4")), tmp_path)
    assert (found["state"], found["made"], found["signer"]) == ("unverified", "ai", "Example News")
    assert "only parts of the file are here" in found["text"]
    assert sent < 8 * 2**20


def test_nothing_is_fetched_that_a_file_names(video, tmp_path):
    with Site({"/manifest.c2pa": status(200), "/ocsp": status(200)}) as canary:
        signer = Signer(ocsp_url=canary.url("/ocsp"))
        for embed in (True, False):
            signed = signer.sign(video, AI, remote_url=canary.url("/manifest.c2pa"), embed=embed)
            found = read(signed, tmp_path, signer.root)
            assert found["state"] == ("trusted" if embed else "unverified")
            assert found["remote_url"] == canary.url("/manifest.c2pa")
            read_credentials(io.BytesIO(signed), "video/mp4", signer.root)  # by its settings alone, without the sandbox
        assert canary.requests == []
        with pytest.raises(c2pa.C2paError):  # what would happen otherwise
            c2pa.Reader("video/mp4", io.BytesIO(signed))
        assert canary.hits("/manifest.c2pa")


def test_a_library_that_would_fetch_reaches_nothing_from_the_worker(video, tmp_path, monkeypatch):
    online = "import unmask.provenance.credentials_worker as worker; worker.OFFLINE = {}; worker.main()"
    code = start_code("unmask.provenance.credentials_worker").partition("from")[0] + online
    monkeypatch.setattr("unmask.provenance.content_credentials.WORKER", code)
    with Site({"/manifest.c2pa": status(200), "/ocsp": status(200)}) as canary:
        signer = Signer(ocsp_url=canary.url("/ocsp"))
        path = tmp_path / "video.mp4"
        for embed, state in ((True, "valid"), (False, "unverified")):
            path.write_bytes(signer.sign(video, AI, remote_url=canary.url("/manifest.c2pa"), embed=embed))
            with closing(BackgroundCredentials(Statements(path, has_store=True), "")) as reading:
                assert reading.result()["state"] == state
        assert canary.requests == []


def test_a_store_is_found_in_a_box_with_a_long_size(video, signer, tmp_path):
    start, store = with_store_last(signer.sign(video, AI))
    wide = struct.pack(">I4sQ", 1, b"uuid", len(store) + 8) + store[8:]
    found = [find_embedded(io.BytesIO(start + box)).store or (0, 0) for box in (store, wide)]
    assert found[0][0] > len(start)
    assert found[1] == (found[0][0] + 8, found[0][1] + 8)
    said = read(start + wide, tmp_path, signer.root)  # the signature leaves out the box by another head
    assert (said["state"], said["problem"], said["signer"]) == ("invalid", "changed", "Example News")


def animation(path: Path) -> bytes:
    """An animated PNG."""
    pictures = [Image.fromarray(np.full((120, 160, 3), level, np.uint8)) for level in range(8)]
    pictures[0].save(path, format="PNG", save_all=True, append_images=pictures[1:], duration=100)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["mpeg4.avi", "mjpeg.mov", "fragmented.mp4", "animated.png"])
def test_stores_of_other_containers_are_validated(signer, tmp_path, name):
    media_type = {"avi": "video/avi", "mov": "video/quicktime", "mp4": "video/mp4", "png": "image/png"}[name[-3:]]
    given = animation(tmp_path / name) if name == "animated.png" else make(name, tmp_path).read_bytes()
    signed = bytearray(signer.sign(given, AI, media_type=media_type))
    assert read(bytes(signed), tmp_path, signer.root)["state"] == "trusted"
    signed[signed.index(given[len(given) // 2 :][:64])] ^= 1
    assert read(bytes(signed), tmp_path, signer.root)["problem"] == "changed"


def test_the_refusal_of_a_still_picture_says_what_its_credentials_say(signer, tmp_path):
    path, still = tmp_path / "still.png", io.BytesIO()
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(still, "PNG")
    for data, ending in ((still.getvalue(), "is not enough for this check."), (b"", "The file is empty.")):
        path.write_bytes(data)
        with pytest.raises(NotAVideo, match=f"{ending}$"):
            Checker().check(path)
    path.write_bytes(signer.sign(still.getvalue(), AI, media_type="image/png"))
    with pytest.raises(NotAVideo, match=r"a picture, not a video.* say it was made with AI\. The signature holds"):
        Checker().check(path)


def test_an_identity_that_only_the_web_could_confirm_is_left_out(video, signer, tmp_path):
    payload = {"referenced_assertions": [], "sig_type": "cawg.identity_claims_aggregation"}
    identity = {"label": "cawg.identity", "data": {"signer_payload": payload, "signature": "AAAA", "pad1": ""}}
    found = read(signer.sign(video, AI, assertions=[identity]), tmp_path, signer.root)
    assert (found["state"], found["made"]) == ("trusted", "ai")


def test_what_was_redacted_of_an_earlier_version_is_no_damage(video, signer, tmp_path):
    note = {"label": "org.example.note", "data": {"author": "A. Person"}}
    first = signer.sign(video, AI, assertions=[note])
    with c2pa.Reader("video/mp4", io.BytesIO(first)) as reader:
        label = json.loads(reader.json())["active_manifest"]
    place = f"self#jumbf=/c2pa/{label}/c2pa.assertions/org.example.note"
    why = {"action": "c2pa.redacted", "reason": "c2pa.PII.present", "parameters": {"redacted": place}}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [why]}}
    signed = signer.sign(first, edits=first, assertions=[actions], redacted=[place])
    assert b"A. Person" not in signed
    found = read(signed, tmp_path, signer.root)
    assert (found["state"], found["made"], len(found["chain"])) == ("trusted", "ai", 2)


@pytest.mark.parametrize(
    ("kinds", "segments"),
    [
        ("ftyp moov styp sidx uuid moof mdat moof mdat styp moof mdat mfra", [(32, 144), (144, 192)]),
        ("ftyp free uuid moov moof mdat uuid moof mdat", [(64, 96), (96, 144)]),
        ("ftyp moov moof mdat moov", []),
        ("ftyp moov moof mdat mfra moov", []),
        ("ftyp mdat moov", []),
    ],
)
def test_where_segments_lie(kinds, segments):
    file: Any = io.BytesIO(b"".join(struct.pack(">I4sQ", 16, kind.encode(), 0) for kind in kinds.split()))
    assert _segments(file) == segments


SIDECARS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], Answer], str]] = {
    "here": (bytes, content, "trusted"),
    "of another video": (altered, content, "invalid"),
    "missing": (bytes, lambda store: status(404), "unverified"),
    "too large": (bytes, lambda store: content(store + bytes(MAX_RANGE_BYTES)), "unverified"),
    "elsewhere": (bytes, content, "unverified"),
    "redirected elsewhere": (bytes, content, "unverified"),
}


@pytest.mark.parametrize("name", SIDECARS)
def test_a_sidecar_of_the_same_server_is_read_and_another_is_named(video, tmp_path, name):
    change, answer, state = SIDECARS[name]
    signer = Signer()
    signer.sign(video, AI, embed=False)
    with Site({"/clip.c2pa": answer(signer.store)}) as site, Site() as other:
        far = site.url("/clip.c2pa")
        other.routes["/clip.c2pa"] = redirect(far)
        page, link = (other, far) if name == "elsewhere" else (site, "/clip.c2pa")
        page = other if name == "redirected elsewhere" else page
        headers = {"Link": f'<{link}>; rel="c2pa-manifest"'}
        page.routes["/clip.mp4"] = lambda handler: handler.give(change(video), "video/mp4", headers=headers)
        found = opened(UrlSource(page.url("/clip.mp4")), tmp_path, signer.root)
        assert (found["state"], found["remote_url"]) == (state, far if name == "elsewhere" else page.url(link))
        assert (site.hits("/clip.c2pa") > 0) == (name != "elsewhere")


def test_a_sidecar_of_a_page_is_not_that_of_the_video_on_it(video, tmp_path):
    page, headers = b'<html><video src="/clip.mp4"></video></html>', {"Link": '</page.c2pa>; rel="c2pa-manifest"'}
    with Site({"/clip.mp4": content(video), "/page.c2pa": content(b"of the page")}) as site:
        site.routes["/"] = lambda handler: handler.give(page, "text/html; charset=utf-8", headers=headers)
        found = opened(UrlSource(site.url("/")), tmp_path, "")
        assert (found["state"], found["remote_url"], site.hits("/page.c2pa")) == ("none", None, 0)


FUZZ = """
import io, random, sys
from unmask.provenance.credentials_worker import STORE_FORMAT, _segments, read_credentials, to_credentials
from unmask.provenance.messages import Credentials
video = open(sys.argv[1], "rb").read()
begin, end = int(sys.argv[2]), int(sys.argv[3])
for seed in range(1000):
    chance = random.Random(seed)
    data = bytearray(video)
    for _ in range(chance.choice((1, 3, 20))):
        place = chance.randrange(begin, end)
        length = chance.choice((1, 4, 60))
        data[place:place + length] = chance.choice((b"", chance.randbytes(length), b"\\xff" * length, b"\\0" * length))
    data = data[:chance.choice((len(data), chance.randrange(begin, len(data))))]
    alone = seed % 2
    file = io.BytesIO(data[begin + 45:end] if alone else data)
    print(read_credentials(file, STORE_FORMAT if alone else "video/mp4", "").state)
"""


def test_a_thousand_malformed_stores_end_in_a_state(video, signer, tmp_path):
    path = tmp_path / "signed.mp4"
    signed = signer.sign(video, AI)
    path.write_bytes(signed)
    places = map(str, store_box(signed))
    command = [sys.executable, "-c", FUZZ, str(path), *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    states: list[Any] = done.stdout.split()
    assert len(states) == 1000
    assert set(states) <= {"valid", "invalid", "unverified", "none"}
    assert states.count("invalid") > 500


def test_a_library_that_crashes_leaves_them_unverified(video, signer, tmp_path, monkeypatch):
    monkeypatch.setattr("unmask.provenance.content_credentials.WORKER", "import os; os.abort()")
    found = read(signer.sign(video, AI), tmp_path)
    assert (found["state"], found["made"]) == ("unverified", None)
    assert "could not be read" in found["text"]


def test_a_library_that_never_ends_is_not_waited_for(video, signer, tmp_path, monkeypatch):
    monkeypatch.setattr("unmask.provenance.content_credentials.WORKER", "import time; time.sleep(60)")
    path = tmp_path / "video.mp4"
    path.write_bytes(signer.sign(video, AI))

    def cancel() -> None:
        raise Cancelled("Stopped.")

    reading = BackgroundCredentials(Statements(path, has_store=True), "")
    with pytest.raises(Cancelled), closing(reading):
        reading.result(cancel)
    started = time.monotonic()
    assert reading.result()["state"] == "unverified"  # its worker was ended
    assert time.monotonic() - started < 10


def test_the_longest_texts_fit_one_message_and_cycles_end():
    text, sink = "\U0001f600" * 999, io.BytesIO()
    manifests = {
        str(number): {
            "title": text,
            "claim_generator": text,
            "signature_info": {"issuer": text, "time": text},
            "assertions": [{"digitalSourceType": f"{number}{text}"} for number in range(20)],
            "ingredients": [{"active_manifest": str(to), "relationship": text} for to in (0, number, number + 1)],
        }
        for number in range(20)
    }
    failures = [{"code": f"{number}{text}"} for number in range(40)]
    found = {
        "manifests": manifests,
        "active_manifest": "0",
        "validation_state": "Invalid",
        "validation_status": failures,
    }
    write_message(sink, to_credentials(found, in_part=False))
    sink.seek(0)
    body, _ = read_header(sink, (Credentials,)) or (None, 0)
    assert body is not None
    assert len(body.manifests) == 8


@pytest.mark.parametrize(
    ("passed", "said", "state", "signed_at"),
    [
        (["signingCredential.trusted", "timeStamp.validated"], "Trusted", "trusted", None),
        (["signingCredential.trusted", "timeStamp.validated", "timeStamp.trusted"], "Trusted", "trusted", "2020-01-01"),
        (["signingCredential.trusted"], "Valid", "trusted", None),  # the signer of something inside is not trusted
        (["timeStamp.validated"], "Valid", "valid", "2020-01-01"),
    ],
)
def test_under_a_trusted_signature_only_a_trusted_time_is_said(passed, said, state, signed_at):
    found = {
        "manifests": {"a": {"signature_info": {"time": "2020-01-01"}}},
        "active_manifest": "a",
        "validation_state": said,
        "validation_results": {"activeManifest": {"success": [{"code": code} for code in passed]}},
    }
    read = to_credentials(found, in_part=False)
    assert (read.state, read.manifests[0].signed_at) == (state, signed_at)


@pytest.mark.parametrize(
    ("explanations", "problem"),
    [
        (["data hash exclusion does not match the manifest location in the asset"], "uncovered"),
        (["asset hash error, name: jumbf manifest"], "changed"),
        (["data hash exclusion does not match the manifest location in the asset", "asset hash error"], "changed"),
    ],
)
def test_a_signature_that_leaves_out_more_than_its_store_does_not_prove_a_change(explanations, problem):
    failed = [{"code": "assertion.dataHash.mismatch", "explanation": text} for text in explanations]
    found = {"validation_state": "Invalid", "validation_status": failed}
    assert to_credentials(found, in_part=False).problem == problem


def test_a_store_alone_proves_nothing_of_a_content(video, signer):
    signed = signer.sign(video, AI)
    begin, end = store_box(signed)
    found = read_credentials(io.BytesIO(signed[begin + 45 : end]), STORE_FORMAT, signer.root)
    assert (found.state, found.codes) == ("unverified", ())
