"""A report -> a signed one -> who signed it, or why it does not hold."""

import json
from dataclasses import replace

import pytest

from tests.credentials import Signer
from tests.reports import example
from unmask.__main__ import main
from unmask.download.sources import FileSource, Options
from unmask.errors import BadInput
from unmask.service.jobs import Jobs
from unmask.signing import FIELD, NotValid, read_certificates, to_signer, verify


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
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


def test_a_certificate_out_of_its_time_does_not_sign(monkeypatch, newsroom):
    monkeypatch.setattr("time.time", lambda: 10**8)
    signed = to_signer(newsroom.pem, newsroom.chain).sign(example("real"))
    with pytest.raises(NotValid, match="was not valid when"):
        verify(signed)


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
    assert "Example News, on the trust list" in capsys.readouterr().out
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
