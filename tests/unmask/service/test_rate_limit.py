"""Who asks, how often they may, and whose turn it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.service import rate_limit
from unmask.service.rate_limit import UNKNOWN, Clients, Rates, fair_order, household, identify

DIRECT, BEHIND_ONE = Clients(), Clients(proxies=1)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),  # the same household
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),  # another
        ("[2001:db8::1]", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", UNKNOWN),
        ("nobody", UNKNOWN),
    ],
)
def test_a_household_is_one_client(host, name):
    assert household(host) == name


@pytest.mark.parametrize(
    ("rules", "forwarded", "name"),
    [
        (DIRECT, "1.2.3.4", "203.0.113.7"),  # nobody may say who they are
        (BEHIND_ONE, "", "203.0.113.7"),
        (BEHIND_ONE, "1.2.3.4", "1.2.3.4"),
        (BEHIND_ONE, "9.9.9.9, 1.2.3.4", "1.2.3.4"),  # what stands before was made up
        (Clients(proxies=2), "9.9.9.9, 1.2.3.4, 5.6.7.8", "1.2.3.4"),
        (Clients(proxies=3), "1.2.3.4", "1.2.3.4"),  # fewer than there should be
        (BEHIND_ONE, "nonsense", UNKNOWN),
    ],
)
def test_only_known_proxies_are_believed(rules, forwarded, name):
    assert identify("203.0.113.7", {"x-forwarded-for": forwarded}, rules) == name


def test_a_token_counts_only_if_the_owner_gave_it_out():
    rules = Clients(tokens=frozenset({"a-good-token"}))
    known = identify("203.0.113.7", {"authorization": "Bearer a-good-token"}, rules)
    assert known == identify("198.51.100.1", {"authorization": "Bearer a-good-token"}, rules)
    assert "a-good-token" not in known
    assert identify("203.0.113.7", {"authorization": "Bearer made-up"}, rules) == "203.0.113.7"
    assert identify("203.0.113.7", {"authorization": "Bearer "}, Clients()) == "203.0.113.7"


def test_a_bucket_fills_again():
    now = [0.0]
    rates = Rates(6, lambda: now[0])
    assert [rates.take("a") for _ in range(8)] == [True] * 6 + [False] * 2
    assert rates.take("b")  # a's haste is not b's
    now[0] = 10.0
    assert [rates.take("a") for _ in range(2)] == [True, False]  # one in ten seconds
    now[0] = 1000.0
    assert [rates.take("a") for _ in range(8)] == [True] * 6 + [False] * 2  # never more than the bucket holds


def test_a_million_clients_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(rate_limit, "MAX_CLIENTS", 50)
    now = [0.0]
    rates = Rates(2, lambda: now[0])
    for number in range(500):
        now[0] += 0.001
        rates.take(number)
    assert len(rates._left) <= 51


def owner(work):
    return work[0]


@pytest.mark.parametrize(
    ("waiting", "running", "last_turns", "order"),
    [
        ("a1 a2 a3 b1", "", {}, "a1 b1 a2 a3"),  # b's first comes before a's second
        ("a1 a2 b1 c1", "a0", {}, "b1 c1 a1 a2"),  # a has one under way
        ("a1 a2 b1 b2", "b0", {}, "a1 a2 b1 b2"),
        ("a1 a2 b1", "", {"a": 1}, "b1 a1 a2"),  # a had the last turn
        ("a1 b1", "", {"a": 1, "b": 2}, "a1 b1"),
        ("a1 b1 c1", "", {}, "a1 b1 c1"),  # else who came first
        ("", "a0", {}, ""),
    ],
)
def test_clients_take_turns(waiting, running, last_turns, order):
    assert " ".join(fair_order(waiting.split(), owner, running.split(), last_turns)) == order


@given(st.lists(st.sampled_from("abc"), max_size=20), st.lists(st.sampled_from("abc"), max_size=4))
def test_a_turn_changes_the_order_and_nothing_else(names, running):
    waiting = [(name, number) for number, name in enumerate(names)]
    order = fair_order(waiting, owner, [(name, -1) for name in running], {"b": 1})
    assert sorted(order) == sorted(waiting)
    for name in "abc":  # everybody's own stay in order
        assert [work for work in order if work[0] == name] == [work for work in waiting if work[0] == name]
