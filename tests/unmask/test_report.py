"""Verdict -> report: the shape that others bind to, and that every number in it is plain."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests import reports
from tests.reports import build, clips
from unmask.errors import NotAVideo
from unmask.report import to_failed_report
from unmask.verdict import Policy, to_probability

CONTRACT = Path(__file__).parent.parent / "assets" / "report.json"


def assert_same_shape(found: Any, wanted: Any, at: str = "report") -> None:
    """Same keys in the same order, same types; null stands for any type, a list's items are all alike."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        assert list(found) == list(wanted), at
        for key in found:
            assert_same_shape(found[key], wanted[key], f"{at}.{key}")
    elif isinstance(found, list) and isinstance(wanted, list):
        for item in found:
            assert_same_shape(item, wanted[0] if wanted else item, f"{at}[]")
    elif found is not None and wanted is not None:
        kinds = {kind(found), kind(wanted)}
        assert len(kinds) == 1, f"{at}: {kinds}"


def kind(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(map(numbers, value.values())))
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(map(numbers, value)))
    return [value] if isinstance(value, float) else []


def test_the_report_has_the_shape_of_the_contract():
    contract = json.loads(CONTRACT.read_text(encoding="utf-8"))
    assert contract["faces"]
    assert contract["timeline"]
    found = build(reports.FAKE_AND_REAL, ["face_too_small"], ["a warning"], end_seconds=61.0, provenance=reports.SIGNED)
    assert_same_shape(found, contract)
    assert_same_shape(contract, found)


@pytest.mark.parametrize("name", ["fake", "real", "uncertain", "no_face", "many", "ensemble"])
def test_reports_are_plain_finite_json(name):
    found = reports.example(name)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(math.isfinite(number) for number in numbers(found))


def test_numbers_are_rounded():
    found = reports.example("fake")
    assert found["verdict"]["probability_fake"] == round(found["verdict"]["probability_fake"], 4)
    assert found["faces"][0]["boxes"][0] == {"seconds": 0.0, "xyxy": [412.0, 96.5, 610.2, 330.1]}
    assert all(span["start_seconds"] == round(span["start_seconds"], 3) for span in found["timeline"])


def test_the_timeline_is_in_order_averages_the_models_and_is_corrected_like_the_faces():
    found = reports.example("ensemble")
    starts = [span["start_seconds"] for span in found["timeline"]]
    assert starts == sorted(starts)
    assert len(starts) == 8
    assert found["timeline"][0]["probability_fake"] == round(to_probability(0.25), 4)
    found = reports.example("many")
    by_face = {face["id"]: face["probability_fake"] for face in found["faces"]}
    assert all(span["probability_fake"] == by_face[span["face_id"]] for span in found["timeline"])


def test_a_label_follows_from_the_number_before_it_is_rounded():
    log_odds = math.log(Policy().fake_above / (1 - Policy().fake_above))
    span, same = (build(clips([log_odds + shift]))["timeline"][0] for shift in (1e-6, -1e-6))
    assert span["probability_fake"] == same["probability_fake"] == Policy().fake_above
    assert (span["label"], same["label"]) == ("fake", "uncertain")


def test_failed_reports_keep_what_is_known_of_the_source():
    found = to_failed_report({"kind": "file", "name": "a.mp4", "title": None}, NotAVideo("Not a video."))
    assert found["schema"] == "unmask.report/1"
    assert found["status"] == "failed"
    assert found["error"] == {"code": "not_a_video", "message": "Not a video."}
    assert set(found["source"]) == set(reports.example("fake")["source"])
    assert found["source"]["name"] == "a.mp4"
    assert to_failed_report(reports.source(), NotAVideo("x"))["source"] == reports.example("real")["source"]
