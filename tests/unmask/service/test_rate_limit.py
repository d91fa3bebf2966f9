"""Who sends a request, and how often they may."""

import pytest

from unmask.service import rate_limit
from unmask.service.rate_limit import UNKNOWN, ClientLimits, RateLimiter, client_network, identify

DIRECT, BEHIND_ONE = ClientLimits(), ClientLimits(proxies=1)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),  # the same network
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),  # another
        ("[2001:db8::1]", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", UNKNOWN),
        ("localhost", UNKNOWN),
    ],
)
def test_a_network_is_one_client(host, name):
    assert client_network(host) == name


@pytest.mark.parametrize(
    ("limits", "forwarded", "name"),
    [
        (DIRECT, "1.2.3.4", "203.0.113.7"),  # a client cannot choose its name
        (BEHIND_ONE, "", "203.0.113.7"),
        (BEHIND_ONE, "1.2.3.4", "1.2.3.4"),
        (BEHIND_ONE, "9.9.9.9, 1.2.3.4", "1.2.3.4"),  # what stands before was made up
        (ClientLimits(proxies=2), "9.9.9.9, 1.2.3.4, 5.6.7.8", "1.2.3.4"),
        (ClientLimits(proxies=3), "1.2.3.4", "1.2.3.4"),  # fewer than there should be
        (BEHIND_ONE, "nonsense", UNKNOWN),
    ],
)
def test_only_known_proxies_are_believed(limits, forwarded, name):
    assert identify("203.0.113.7", {"x-forwarded-for": forwarded}, limits) == name


def test_a_token_counts_only_if_the_owner_issued_it():
    limits = ClientLimits(tokens=frozenset({"a-good-token"}))
    known = identify("203.0.113.7", {"authorization": "Bearer a-good-token"}, limits)
    assert known == identify("198.51.100.1", {"authorization": "Bearer a-good-token"}, limits)
    assert "a-good-token" not in known
    assert identify("203.0.113.7", {"authorization": "Bearer made-up"}, limits) == "203.0.113.7"
    assert identify("203.0.113.7", {"authorization": "Bearer "}, DIRECT) == "203.0.113.7"


def test_a_minute_after_its_first_request_a_client_may_ask_again():
    now = [0.0]
    limiter = RateLimiter(6, lambda: now[0])
    assert [limiter.allow("a") for _ in range(8)] == [True] * 6 + [False] * 2
    assert limiter.allow("b")
    now[0] = 59.0
    assert not limiter.allow("a")
    now[0] = 61.0
    assert [limiter.allow("a") for _ in range(8)] == [True] * 6 + [False] * 2


def test_a_million_clients_do_not_fill_the_memory_and_zero_is_no_limit(monkeypatch):
    assert all(RateLimiter(0).allow("a") for _ in range(1000))
    monkeypatch.setattr(rate_limit, "MAX_CLIENTS", 50)
    limiter = RateLimiter(2)
    assert all(limiter.allow(str(number)) for number in range(500))
    assert len(limiter._counts) <= 50
