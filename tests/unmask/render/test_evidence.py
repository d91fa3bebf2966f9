"""Evidence in words and on its scale, as an interface shows them."""

import math

import pytest

from unmask.render import evidence as words


def made(direction="fake", strength="moderate", ratio=6.14, **per_100):
    frequency = {"fakes": 86.2, "low": 79.6, "high": 91.0, "videos": 120} | per_100
    return {"direction": direction, "strength": strength, "likelihood_ratio": ratio, "per_100": frequency}


@pytest.mark.parametrize(
    ("label", "given", "expected"),
    [
        ("uncertain", made(), "Not sure · leans deepfake (moderate)"),
        ("uncertain", made("real", "weak"), "Not sure · leans real (weak)"),
        ("uncertain", made("none", "none"), "Not sure · leans neither way"),
        ("uncertain", None, "Not sure"),
        ("fake", made(strength="strong"), "Likely deepfake"),
        ("real", made("real", "strong"), "No sign of a deepfake"),
        ("no_face", None, "No face found"),
    ],
)
def test_an_uncertain_verdict_says_which_way_it_leans(label, given, expected):
    assert words.label_text(label, given) == expected


def test_evidence_is_said_in_frequencies():
    assert words.grade_text(made()) == "Evidence: moderate, for a deepfake"
    assert words.frequency_text(made()) == (
        "In our tests, where half of all videos were deepfakes, 86 of 100 that scored like this were deepfakes"
        " (95% interval 80 to 91; from 120 videos)."
    )
    assert words.frequency_text(made() | {"per_100": None}) == words.base_rate_text(made() | {"per_100": None}) == ""
    assert ", 99 of 100 that" in words.frequency_text(made(fakes=99.8, low=99.1, high=100.0))


@pytest.mark.parametrize(("ratio", "share"), [(24.0, "20%"), (6.14, "6%"), (1.0, "1%"), (0.2, "under 1%")])
def test_a_base_rate_of_one_in_a_hundred(ratio, share):
    assert words.base_rate_text(made(ratio=ratio)).startswith(f"{share} of those")


@pytest.mark.parametrize(
    ("label", "reasons", "expected"),
    [
        ("uncertain", ["too_few_frames", "face_too_brief"], ["a longer piece"]),
        ("uncertain", ["too_blurred", "too_few_frames"], ["a longer piece", "the original file"]),
        ("no_face", ["face_too_small"], ["the original file"]),
        ("uncertain", ["score_between"], []),
        ("fake", ["face_too_small"], []),
    ],
)
def test_what_would_help_is_said_where_there_is_no_answer(label, reasons, expected):
    said = words.help_texts(label, reasons)
    assert len(said) == len(expected)
    assert all(part in text for part, text in zip(expected, said, strict=True))


def test_the_marker_is_further_out_the_larger_the_likelihood_ratio():
    grades = [("none", 0), ("none", 0.1), ("weak", 0.8), ("weak", 1.5), ("moderate", 2.5), ("strong", 4), ("strong", 9)]
    fake = [words.mark_percent(made("none" if name == "none" else "fake", name, math.exp(at))) for name, at in grades]
    real = [words.mark_percent(made("none" if name == "none" else "real", name, math.exp(-at))) for name, at in grades]
    assert fake == sorted(fake)
    assert fake[0] == 50
    assert real == pytest.approx([100 - place for place in fake], abs=0.02)
    assert fake[-1] < 100
