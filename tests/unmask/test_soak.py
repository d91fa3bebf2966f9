"""Ten seconds of fifty clients. `python -m tests.bench.soak` takes ten minutes and prints the numbers."""

import sys

import pytest

from tests.bench.soak import soak

SECONDS = 10.0

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="reads processes from /proc"),
]


@pytest.fixture(scope="module")
def tally(tmp_path_factory):
    return soak(SECONDS, tmp_path_factory.mktemp("soak"))


def test_every_request_gets_a_report_or_an_error_of_the_contract(tally):
    assert tally.wrong == []


def test_the_mixture_was_one(tally):
    assert {"url", "file", "frames", "job", "leave"} <= set(tally.latencies)
    assert {"ok", "left", "fetch_failed"} <= set(tally.outcomes)
    assert {"busy", "rate_limited"} & set(tally.outcomes)  # there was more than could be done


def test_nothing_is_left_when_it_is_over(tally):
    assert tally.left_files == []
    assert tally.left_children == 0
