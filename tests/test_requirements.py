"""Tests of the lists of requirements."""

from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def test_every_package_is_pinned_and_stands_in_one_list():
    files = set(ROOT.glob("[!.]*/requirements*.txt")) - {ROOT / "space" / "requirements.txt"}
    lists = [path.read_text(encoding="utf-8").splitlines() for path in files]
    lines = [line.partition("#")[0].strip() for lines in lists for line in lines]
    asked = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    assert len(asked) > 20
    assert [one.name for one in asked if not str(one.specifier).startswith("==")] == []
    assert len(asked) == len({one.name for one in asked})


def test_the_list_of_a_space_is_the_two_that_make_puts_together():
    base, torch, both = (
        (ROOT / "space" / f"requirements{part}.txt").read_text(encoding="utf-8") for part in ("-base", "-torch", "")
    )
    assert both.partition("\n")[2] == base + torch
