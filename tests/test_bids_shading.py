"""Shaded bids: no other bids earn more against the same samples, and the answers that auction theory gives."""

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridlab.auctions.merit_order import clear_vcg
from gridlab.auctions.one_sided import clear_pay_as_bid, clear_uniform
from gridlab.bids.shading import RULES, best_response, bid_shaded, critical_prices
from gridlab.errors import DataError
from gridlab.schema import mock_bids, mock_times, validate

dollars = st.integers(-3, 9).map(float)
falling = st.lists(dollars, min_size=1, max_size=3).map(lambda worths: sorted(worths, reverse=True))


@st.composite
def responses(draw):
    """Worths, critical prices, powers and probabilities."""
    worth = draw(falling)
    n_samples = draw(st.integers(1, 4))
    critical = np.sort(draw(arrays(float, (n_samples, len(worth)), elements=dollars)), axis=1)
    lots = draw(arrays(float, len(worth), elements=st.sampled_from([0.5, 1.0, 2.0])))
    return np.array(worth), critical, lots, draw(arrays(float, n_samples, elements=st.sampled_from([1.0, 2.0])))


def surplus_by_hand(worth, critical, lots, weight, bid, rule):
    """Expected surplus of a curve: each sample cleared lot by lot."""
    total = 0.0
    for prices, share in zip(critical, weight / weight.sum(), strict=True):
        won = 0
        while won < len(worth) and bid[won] >= prices[won]:
            won += 1
        gross = sum(lots[k] * worth[k] for k in range(won))
        if rule in ("first_price", "pay_as_bid"):
            paid = sum(lots[k] * bid[k] for k in range(won))
        elif rule == "uniform":
            losing = bid[won] if won < len(worth) else -np.inf
            paid = sum(lots[:won]) * max(prices[won - 1], losing) if won else 0.0
        else:
            paid = sum(lots[k] * prices[k] for k in range(won))
        total += share * (gross - paid)
    return total


def all_bids(worth, critical):
    """Every falling curve over the critical prices, what is a little more or less than they, and the worths."""
    points = np.unique(np.concatenate([critical.ravel(), critical.ravel() + 0.25, worth, [worth[-1] - 20]]))
    return combinations_with_replacement(points[::-1].tolist(), len(worth))


@given(responses(), st.sampled_from(RULES))
def test_no_falling_bids_expect_more_than_the_best_response(market, rule):
    worth, critical, lots, weight = market
    found = best_response(worth, critical, quantity_mw=lots, rule=rule, weights=weight)
    assert (np.diff(found.price) <= 0).all()
    by_hand = surplus_by_hand(worth, critical, lots, weight, found.price, rule)
    assert found.surplus == pytest.approx(by_hand, abs=1e-9)
    best = max(surplus_by_hand(worth, critical, lots, weight, bid, rule) for bid in all_bids(worth, critical))
    assert by_hand >= best - 1e-9
    assert found.truthful == pytest.approx(surplus_by_hand(worth, critical, lots, weight, worth, rule), abs=1e-9)
    assert found.surplus >= max(found.truthful, 0.0) - 1e-9
    assert found.win == pytest.approx((weight / weight.sum()) @ (found.price >= critical))


@given(responses(), st.sampled_from(["second_price", "vcg"]))
def test_where_winners_pay_what_they_displace_the_truth_is_best(market, rule):
    worth, critical, lots, _ = market
    assert best_response(worth, critical, quantity_mw=lots, rule=rule).price.tolist() == worth.tolist()


@given(responses(), st.sampled_from(RULES), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_and_their_repetition_do_not_matter(market, rule, random):
    worth, critical, lots, _ = market
    order = list(range(len(critical)))
    random.shuffle(order)
    one = best_response(worth, critical, quantity_mw=lots, rule=rule)
    two = best_response(worth, np.vstack([critical, critical[order]]), quantity_mw=lots, rule=rule)
    assert one.surplus == pytest.approx(two.surplus) and one.truthful == pytest.approx(two.truthful)


@given(responses(), st.sampled_from(RULES))
def test_bids_never_pass_the_worth_of_a_single_lot_and_a_reserve_is_kept(market, rule):
    worth, critical, lots, _ = market
    found = best_response(worth, critical, quantity_mw=lots, rule=rule, reserve_price=4.0)
    assert (found.price <= worth.max()).all()
    assert (found.win[found.price < 4.0] == 0).all()
    same = best_response(worth, np.maximum(critical, 4.0), quantity_mw=lots, rule=rule)
    assert found.surplus == pytest.approx(same.surplus)


@pytest.mark.parametrize(
    ("rule", "clear"), [("pay_as_bid", clear_pay_as_bid), ("uniform", clear_uniform), ("vcg", clear_vcg)]
)
def test_in_the_auctions_themselves_the_best_response_earns_what_was_expected(rule, clear):
    rng = np.random.default_rng(4)
    price, wanted = rng.uniform(10, 90, (12, 4)), np.array([1.0, 2.0, 1.0, 2.0])
    worth, lots = np.array([80.0, 60.0, 45.0]), np.array([1.0, 1.0, 2.0])
    critical = critical_prices(price, wanted, capacity_mw=5.0, lots_mw=lots)
    found = best_response(worth, critical, quantity_mw=lots, rule=rule)
    bid = found.price if rule == "vcg" else found.price + 1e-7  # a tick more, so that no tie is lost
    earned = []
    for sample in price:
        rivals = mock_bids(4).assign(quantity_mw=wanted, price=sample)
        mine = mock_bids(3).assign(bidder="me", quantity_mw=lots, price=bid)
        cleared = clear(pd.concat([mine, rivals], ignore_index=True), capacity_mw=5.0)
        earned.append(worth @ cleared.awards["quantity_mw"][:3] - cleared.payments[:3].sum())
    if rule == "vcg":  # the last lot may be awarded in part, which lots leave out
        assert np.mean(earned) >= found.surplus - 1e-6
    else:
        assert np.mean(earned) == pytest.approx(found.surplus, abs=1e-4)


@pytest.mark.parametrize("n_bidders", [2, 3, 6])
def test_against_the_symmetric_equilibrium_of_first_price_the_equilibrium_is_the_best_response(n_bidders):
    """Vickrey 1961; Krishna, "Auction Theory", example 2.1: uniform values are shaded by (n - 1) / n."""
    rng, share = np.random.default_rng(n_bidders), (n_bidders - 1) / n_bidders
    highest = share * rng.uniform(size=(200_000, n_bidders - 1)).max(axis=1)
    for worth in (0.3, 0.6, 1.0):
        found = best_response(worth, highest, rule="first_price")
        assert found.price[0] == pytest.approx(share * worth, abs=0.03)
        assert found.surplus == pytest.approx(worth**n_bidders / n_bidders, abs=0.003)


def test_under_one_price_a_buyer_of_two_lots_gives_up_the_second():
    """Krishna, "Auction Theory", section 13.4.2: one rival for two lots, of uniform worth; the second bid is 0."""
    rival = np.column_stack([np.zeros(50_000), np.sort(np.random.default_rng(0).uniform(size=50_000))])
    found = best_response([0.8, 0.8], rival, rule="uniform")
    assert found.price[1] == pytest.approx(0.0, abs=1e-3)
    assert found.surplus == pytest.approx(0.8, abs=1e-3) and found.truthful == pytest.approx(0.64, abs=0.01)


def test_against_one_known_rival_pay_as_bid_pays_the_rivals_price():
    rival = critical_prices([[30.0, 10.0]], [2.0, 1.0], capacity_mw=3.0, lots_mw=[1.0, 1.0, 1.0])
    assert rival.tolist() == [[10.0, 30.0, 30.0]]
    found = best_response([60.0, 55.0, 20.0], rival)
    assert found.price.tolist() == [30.0, 30.0, 10.0] and found.surplus == 55.0
    found = best_response([50.0, 40.0, 20.0], rival)
    assert found.price.tolist() == [10.0, 10.0, 10.0] and found.surplus == 40.0


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 6)), max_size=6),
    st.lists(st.sampled_from([1.0, 2.0]), min_size=1, max_size=4),
    st.integers(0, 8),
)
def test_a_critical_price_is_the_least_that_wins_all_lots_up_to_it(rivals, lots, capacity):
    wanted, price = (np.array([rival[part] for rival in rivals], dtype=float) for part in (0, 1))
    critical = critical_prices(price[None], wanted, capacity_mw=capacity, lots_mw=lots, reserve_price=-1.0)[0]
    for least, needed in zip(critical, np.cumsum(lots), strict=True):
        wins = [bid for bid in np.arange(-1, 8) if capacity - wanted[price > bid].sum() >= needed]
        assert least == min(wins, default=np.inf)


def test_who_sells_shades_as_who_buys_with_the_signs_turned():
    rng = np.random.default_rng(3)
    critical, worth = np.sort(rng.normal(30, 20, (40, 3)), axis=1), [60.0, 45.0, 30.0]
    buys = mock_bids(3).assign(time=mock_times(1)[0], bidder="a", quantity_mw=-1.0, price=worth)
    sells = buys.assign(quantity_mw=1.0, price=-buys["price"])
    for rule in RULES:
        bought = validate(bid_shaded(buys, critical, rule=rule, reserve_price=5.0), "bids")
        sold = validate(bid_shaded(sells, -critical, rule=rule, price_cap=-5.0), "bids")
        assert (sold["quantity_mw"] == -bought["quantity_mw"]).all() and (sold["price"] == -bought["price"]).all()
        assert (np.diff(bought["price"]) < 0).all()


def test_each_time_may_have_samples_of_its_own():
    times = mock_times(1)[:2]
    values = mock_bids(2).assign(time=times, bidder="a", quantity_mw=-1.0, price=50.0)
    bids = bid_shaded(values, {times[0]: [10.0, 49.0], times[1]: [[20.0]]})
    assert bids["price"].tolist() == [10.0, 20.0]
    with pytest.raises(DataError, match="no samples for 2024-01-01 01:00"):
        bid_shaded(values, {times[0]: [1.0]})
    assert len(bid_shaded(values.iloc[:0], [1.0])) == 0


def test_huge_and_tiny_worths_are_shaded_alike():
    critical = np.sort(np.random.default_rng(5).uniform(size=(30, 2)), axis=1)
    for rule in RULES:
        one = best_response([0.9, 0.5], critical, rule=rule)
        for scale in (2.0**-40, 2.0**40):
            other = best_response([0.9 * scale, 0.5 * scale], scale * critical, rule=rule)
            assert (other.price == scale * one.price).all()


def test_a_sample_that_cannot_be_beaten_and_never_comes_changes_nothing():
    for rule in ("pay_as_bid", "uniform"):
        with_it = best_response([5.0], [[np.inf], [1.0]], weights=[0, 1], rule=rule)
        without = best_response([5.0], [[1.0]], rule=rule)
        assert with_it.price.tolist() == without.price.tolist() and with_it.surplus == without.surplus


def test_markets_that_are_none_are_refused():
    one = {"values": [2.0, 1.0], "others": [[0.0, 1.0]]}
    for message, more in {
        "must not rise": {"values": [1.0, 2.0]},
        "finite": {"values": [np.nan, 1.0]},
        "must be one of": {"rule": "dutch"},
        "falls from lot to lot in sample 0": {"others": [[1.0, 0.0]]},
        "others is NaN in sample 0": {"others": [[np.nan, 0.0]]},
        "samples of 2 lots": {"others": [1.0]},
        "weights must be one for each": {"weights": [1.0, 1.0]},
        "none negative": {"weights": [0.0]},
        "above 0 MW": {"quantity_mw": [0.0, 1.0]},
        "no rival": {"others": [[-np.inf, 0.0]]},
        "as many": {"quantity_mw": [1.0]},
    }.items():
        with pytest.raises(DataError, match=message):
            best_response(**(one | more))
    with pytest.raises(DataError, match="samples of 1 lots"):
        best_response(1.0, np.zeros((0, 1)))
    with pytest.raises(DataError, match="wants and offers"):
        bid_shaded(mock_bids(2).assign(bidder="a"), [1.0])
    with pytest.raises(DataError, match="is NaN, or a power"):
        critical_prices([[1.0]], [-1.0], capacity_mw=1.0, lots_mw=[1.0])
    with pytest.raises(DataError, match="must have shape"):
        critical_prices([1.0], [1.0], capacity_mw=1.0, lots_mw=[1.0])
