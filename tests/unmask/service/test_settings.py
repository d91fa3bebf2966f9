"""Settings from environment variables."""

import itertools

import pytest

from unmask.compute import ComputeOptions
from unmask.errors import BadInput
from unmask.service.settings import Settings, from_environment


def test_every_variable_is_read_and_without_them_everything_has_its_default():
    assert from_environment({}) == from_environment({"UNMASK_QUEUE_SIZE": ""}) == Settings()
    found = from_environment(
        {
            "UNMASK_MODEL": "a, b",
            "UNMASK_BACKEND": "torch",
            "UNMASK_PRECISION": "float32",
            "UNMASK_MAX_BYTES": "1000",
            "UNMASK_MAX_SECONDS": "12.5",
            "UNMASK_TIMEOUT_SECONDS": "7",
            "UNMASK_ALLOW_PRIVATE": "1",
            "UNMASK_QUEUE_SIZE": "3",
            "UNMASK_CACHE_SECONDS": "0",
            "UNMASK_CLIENT_PLACES": "2",
            "UNMASK_CLIENT_PER_MINUTE": "5",
            "UNMASK_PROXIES": "2",
            "UNMASK_TOKENS": " one, two ,",
        }
    )
    assert (found.models, found.compute) == (("a", "b"), ComputeOptions("torch", "float32"))
    assert (found.limits.max_bytes, found.limits.max_seconds, found.limits.timeout_seconds) == (1000, 12.5, 7.0)
    assert found.limits.allow_private
    assert (found.queue_size, found.cache_seconds) == (3, 0.0)
    assert (found.clients.max_checks, found.clients.per_minute, found.clients.proxies) == (2, 5, 2)
    assert found.clients.tokens == {"one", "two"}

    assert from_environment({"SPACE_ID": "owner/space"}).clients.proxies == 1
    assert from_environment({"SPACE_ID": "owner/space", "UNMASK_PROXIES": "0"}).clients.proxies == 0


NUMBERS = itertools.product(
    ("UNMASK_MAX_BYTES", "UNMASK_CLIENT_PLACES", "UNMASK_PROXIES"), ("many", "-1", "inf", "nan", "1e400")
)


@pytest.mark.parametrize(("name", "value"), [*NUMBERS, ("UNMASK_PRECISION", "float16"), ("UNMASK_BACKEND", "jax")])
def test_what_is_no_number_or_an_unknown_word_is_refused_by_name(name, value):
    with pytest.raises(BadInput, match=name):
        from_environment({name: value})
