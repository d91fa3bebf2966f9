"""Checks that use the models at the same time share the threads."""

import threading
from contextlib import ExitStack

import pytest

from unmask.compute_slots import Turns


class NotWanted(Exception):
    pass


def refuse():
    raise NotWanted


def never_asked():
    raise AssertionError("there was a place")


def test_one_alone_has_all_threads_and_two_have_half_each():
    turns = Turns(4)
    with turns.take(never_asked) as first:
        assert first == 4
        with turns.take(never_asked) as second:
            assert second == 2
        with turns.take(never_asked) as again:
            assert again == 2
    with turns.take(never_asked) as alone:
        assert alone == 4


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_nobody_is_left_without_a_thread_and_who_comes_then_waits(threads):
    turns = Turns(threads)
    with ExitStack() as stack:
        shares = [stack.enter_context(turns.take(never_asked)) for _ in range(threads)]
        assert min(shares) >= 1
        with pytest.raises(NotWanted), turns.take(refuse):
            raise AssertionError("there was a place too many")
        assert turns.taken == threads
    assert turns.taken == 0
    with turns.take(never_asked) as share:
        assert share == threads


def test_who_waits_goes_on_when_a_place_is_free():
    turns, got = Turns(1), []

    def wait():
        with turns.take(lambda: None) as share:
            got.append(share)

    with turns.take(never_asked):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.3)
        assert not got
    waiting.join(5)
    assert got == [1]


def test_a_place_is_given_back_after_an_error():
    turns = Turns(1)
    with pytest.raises(NotWanted), turns.take(never_asked):
        refuse()
    with turns.take(never_asked) as share:
        assert share == 1
