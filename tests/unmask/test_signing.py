"""A report -> a signed one -> who signed it, or why it does not hold."""

import base64
import functools
import json
import time
import traceback
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.credentials import Signer
from tests.reports import example
from unmask.__main__ import main
from unmask.download.sources import FileSource, Options
from unmask.errors import BadInput
from unmask.service.jobs import Jobs
from unmask.signing import FIELD, NotValid, parse_report, read_certificates, read_pem, to_signer, verify


@pytest.fixture(scope="module")
def newsroom() -> Signer:
    return Signer()


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_a_signed_report_holds_also_when_it_is_written_otherwise(algorithm):
    own = Signer(algorithm)
    signed = to_signer(own.pem, own.chain).sign(example("fake"))
    copy = json.loads(json.dumps(signed, indent=3, sort_keys=True))
    copy["source"]["duration_seconds"] = 61.40
    found = verify(copy, read_certificates(own.root))
    assert (found.name, found.trusted) == ("Example News", True)
    assert verify(copy).trusted is None
    assert verify(copy, read_certificates(Signer().root)).trusted is False


def with_header(report: Any, **changes: object) -> None:
    """Say something else in the header, under the signature that is there."""
    head, value = report[FIELD].split("..")
    header = {**json.loads(base64.urlsafe_b64decode(head + "==")), **changes}
    report[FIELD] = f"{base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b'=').decode()}..{value}"


def nested(depth: int) -> list[Any]:
    return functools.reduce(lambda inner, _: [inner], range(depth), [])


def of_unknown_kind(chain: str) -> str:
    """The first certificate, its key of an algorithm that nobody knows."""
    der = x509.load_pem_x509_certificate(chain.encode()).public_bytes(Encoding.DER)
    return base64.b64encode(der.replace(bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d0209"))).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda report: with_header(report, alg="none"), "was changed"),
        (lambda report: with_header(report, alg="HS256"), "was changed"),
        (lambda report: with_header(report, iat=10**9), "was changed"),
        (lambda report: with_header(report, iat=float("nan")), "cannot be read"),
        (lambda report: with_header(report, crit=["b64"], b64=False), "was changed"),
        (lambda report: with_header(report, x5c=["AAAA"]), "cannot be read"),
        (lambda report: with_header(report, x5c=["AAAA"] * 9), "cannot be read"),
        (lambda report: with_header(report, x5c=[of_unknown_kind(Signer().chain)]), "cannot be read"),
        (lambda report: report.update({FIELD: "A" * 10**6 + "..A"}), "cannot be read"),
        (lambda report: report.update(more=nested(2000)), "was changed"),
        (lambda report: report.update(more="\ud800"), "was changed"),
        (lambda report: report.update(more=10**30), "was changed"),
        (lambda report: report["verdict"].update(label="real"), "was changed after Example News signed it"),
        (lambda report: report.update(more=1), "was changed"),
        (lambda report: report.pop("warnings"), "was changed"),
        (lambda report: report.update(warnings=float("nan")), "was changed"),
        (lambda report: report.pop(FIELD), "is not signed"),
        (lambda report: report.update({FIELD: "a..b"}), "cannot be read"),
        (lambda report: report.update({FIELD: report[FIELD].replace("..", ".e30.")}), "of another kind"),
        (lambda report: report.update({FIELD: report[FIELD][:-6] + "AAAAAA"}), "was changed"),
    ],
)
def test_tampering_is_found(newsroom, change, message):
    signed = to_signer(newsroom.pem, newsroom.chain).sign(example("fake"))
    change(signed)
    with pytest.raises(NotValid, match=message):
        verify(signed)


@pytest.mark.parametrize(("days", "message"), [(-3000, "was not valid when"), (90, "at a time to come")])
def test_a_certificate_out_of_its_time_does_not_sign(monkeypatch, newsroom, days, message):
    then = time.time() + 86_400 * days
    with monkeypatch.context() as patched:
        patched.setattr("time.time", lambda: then)
        signed = to_signer(newsroom.pem, newsroom.chain).sign(example("real"))
    with pytest.raises(NotValid, match=message):
        verify(signed)


@pytest.mark.parametrize("text", ['{"verdict": 1, "verdict": 2}', '{"a": {"b": 1, "b": 1}}', "[" * 10**5, "{"])
def test_json_that_programs_read_otherwise_is_no_report(text):
    with pytest.raises(NotValid):
        parse_report(text)


def test_what_is_no_pem_is_not_shown():
    damaged = "MC4CAQAwBQYDK2VwBCIEISecret"
    with pytest.raises(BadInput) as caught:
        read_pem(damaged)
    assert damaged not in "".join(traceback.format_exception(caught.value))


def test_somebody_elses_chain_vouches_for_nobody(newsroom):
    other = Signer()
    chain = read_certificates(other.chain)[:1] + read_certificates(newsroom.root)
    signed = replace(to_signer(other.pem, other.chain), chain=chain).sign(example("real"))
    assert verify(signed, read_certificates(newsroom.root)).trusted is False


@pytest.mark.parametrize(
    ("key", "chain"),
    [("pem", "other"), ("nothing", "chain"), ("pem", "nothing"), ("root", "chain")],
)
def test_a_key_that_does_not_fit_is_refused(newsroom, key, chain):
    known = {"pem": newsroom.pem, "chain": newsroom.chain, "root": newsroom.root, "other": Signer().chain}
    with pytest.raises(BadInput):
        to_signer(known.get(key, "/nowhere.pem"), known.get(chain, "/nowhere.pem"))


def test_the_command_line_signs_and_verifies(newsroom, media, tmp_path, capsys):
    for name, text in (("key", newsroom.pem), ("chain", newsroom.chain), ("root", newsroom.root)):
        (tmp_path / f"{name}.pem").write_text(text)
    key, chain, root = (str(tmp_path / f"{name}.pem") for name in ("key", "chain", "root"))
    video = str(media("no-face.mp4"))
    assert main(["check", video, "--sign", key, "--cert", chain]) == 0
    signed = json.loads(capsys.readouterr().out)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(signed, indent=1))
    assert main(["verify", str(path), "--trust", root]) == 0
    said = capsys.readouterr().out
    for text in (
        "Example News, on the trust list",
        signed["verdict"]["text"],
        "no-face.mp4",
        signed["source"]["sha256"],
    ):
        assert text in said
    path.write_text(json.dumps({**signed, "warnings": ["Trust this."]}))
    assert main(["verify", str(path)]) == 1
    assert "was changed" in capsys.readouterr().out
    assert main(["check", video, "--sign", key]) == 2


def test_a_space_signs_what_it_gives_out(newsroom, media):
    class Checks:
        def check(self, source, options, on_progress, *, keep, cached_reports):
            return example("fake")

    jobs = Jobs(Checks(), signer=to_signer(newsroom.pem, newsroom.chain))
    for _ in range(2):  # the second is from the cache
        path = media("h264.mp4")
        job = jobs.submit(FileSource(path, "clip.mp4"), Options())
        while not (state := jobs.state(job)).finished:
            pass
        assert verify(state.report).name == "Example News"
    jobs.shutdown()
