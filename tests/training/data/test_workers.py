"""Workers on this machine: everything is done once, errors stay with their item, deaths with theirs."""

import functools

from tests.training import worker_tasks
from training.data.workers import WorkerDiedError, map_in_processes


def test_every_item_comes_back_once_with_its_result_or_its_error():
    assert sorted(map_in_processes(worker_tasks.double, range(9), 1)) == [(n, 2 * n) for n in range(9)]
    found = dict(map_in_processes(worker_tasks.double_or_refuse, range(6), 2))
    error = found.pop(3)
    assert isinstance(error, ValueError) and str(error) == "three is\nnot for doubling"
    assert found == {0: 0, 1: 2, 2: 4, 4: 8, 5: 10}


def test_an_item_that_kills_its_worker_every_time_is_given_up_and_the_others_are_done():
    found = dict(map_in_processes(worker_tasks.double_or_die, range(8), 2))
    assert isinstance(found.pop(3), WorkerDiedError)
    assert found == {number: 2 * number for number in range(8) if number != 3}


def test_an_item_whose_worker_died_is_tried_again(tmp_path):
    task = functools.partial(worker_tasks.double_after_a_death, folder=tmp_path)
    outcomes = list(map_in_processes(task, range(8), 2))
    assert sorted(outcomes) == [(number, 2 * number) for number in range(8)]
    assert (tmp_path / "died").exists()


def test_who_stops_listening_stops_the_work():
    outcomes = map_in_processes(worker_tasks.sleep, [0.01, *[0.2] * 500], 1)  # 100 seconds, if all of it were done
    assert next(outcomes) == (0.01, 0.01)
    outcomes.close()
