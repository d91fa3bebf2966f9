"""Tasks over a real Ray cluster on this machine: everything once, errors stay with their item."""

import pytest

from tests.training import worker_tasks
from unmask.batch.ray_map import map_on_ray
from unmask.errors import BadInput

pytest.importorskip("ray")
pytestmark = pytest.mark.timeout(400)  # a cluster takes its time to start


@pytest.fixture(scope="module")
def address():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


def test_every_item_comes_back_once_with_its_result_or_error(address):
    found = dict(map_on_ray(worker_tasks.double_or_refuse, range(9), address))
    error = found.pop(3)
    assert type(error) is ValueError and str(error) == "three is\nnot for doubling"
    assert found == {number: 2 * number for number in range(9) if number != 3}


def test_an_item_that_kills_its_worker_every_time_fails_alone(address):
    found = dict(map_on_ray(worker_tasks.double_or_die, range(6), address))
    assert isinstance(found.pop(3), Exception)
    assert found == {number: 2 * number for number in range(6) if number != 3}


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere.invalid:6379", "not a port:x"])
def test_where_no_cluster_is_it_says_so_at_once(address):
    with pytest.raises(BadInput, match="There is no Ray cluster at"):
        map_on_ray(worker_tasks.double, [1], address)
