"""Learned bids: regret within what each rule promises, and what auction theory says they come to."""

from collections import namedtuple
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridlab.auctions.merit_order import clear_vcg
from gridlab.auctions.one_sided import clear_pay_as_bid, clear_uniform
from gridlab.bids.learning import LEARNERS, learn_bids
from gridlab.errors import DataError
from gridlab.schema import mock_bids

GRID = np.linspace(0.0, 1.0, 11)
Cleared = namedtuple("Cleared", "awards payments")


def first_price(bids):
    """One lot for the highest bid, which it pays; the earlier bidder wins a tie."""
    wins = np.eye(bids.shape[1])[bids.argmax(axis=1)]
    return wins, wins * bids


def second_price(bids):
    """One lot for the highest bid, which pays the second highest."""
    wins = np.eye(bids.shape[1])[bids.argmax(axis=1)]
    return wins, wins * np.sort(bids, axis=1)[:, -2:-1]


def two_lots_at_one_price(bids):
    """Two lots for the highest bids of all, at the highest losing bid."""
    flat = bids.reshape(len(bids), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    awards = np.zeros_like(flat)
    np.put_along_axis(awards, order[:, :2], 1.0, axis=1)
    price = np.take_along_axis(flat, order[:, 2:3], axis=1)
    awards = awards.reshape(bids.shape)
    return awards, awards.sum(axis=2) * price


def on_tables(mechanism):
    """The same auction on a table with a row for each bidder."""

    def clear(bids):
        awards, payments = mechanism(bids["price"].to_numpy()[None])
        return Cleared(bids.assign(quantity_mw=awards[0]), pd.Series(payments[0], index=bids.index))

    return clear


def learn(values, mechanism, *, seed=0, **more):
    return learn_bids(values, mechanism, **({"shadings": GRID} | more), rng=np.random.default_rng(seed))


@given(
    arrays(float, (30, 4), elements=st.floats(-5, 5)),
    st.sampled_from(["hedge", "regret_matching"]),
    st.sampled_from([1e-300, 1e-9, 1.0, 1e9, 1e300]),
)
def test_regret_is_within_its_bound_whatever_the_payoffs(payoffs, rule, scale):
    learner, earned, mine = LEARNERS[rule](1, 4, 30, (0.0, 1.0)), np.zeros(4), 0.0
    for step, row in enumerate(scale * payoffs):
        mixed = learner.play()
        assert mixed.sum() == pytest.approx(1) and (mixed >= 0).all()
        learner.learn(mixed, row[None], np.array([0]))
        earned, mine = earned + row, mine + mixed[0] @ row
        assert earned.max() - mine <= learner.bound(step + 1)[0] + 1e-9 * scale


@pytest.mark.parametrize("rule", ["hedge", "regret_matching"])
def test_regret_is_within_its_bound_against_an_adversary(rule):
    """Each round pays the actions by how little they are played, which is the worst that can be done to a learner."""
    learner, earned, mine = LEARNERS[rule](1, 5, 400, (0.0, 1.0)), np.zeros(5), 0.0
    for step in range(400):
        mixed = learner.play()
        row = (mixed[0] <= np.median(mixed[0])).astype(float)
        learner.learn(mixed, row[None], np.array([0]))
        earned, mine = earned + row, mine + mixed[0] @ row
        assert earned.max() - mine <= learner.bound(step + 1)[0] + 1e-9


def test_the_mean_regret_of_exp3_is_within_its_bound():
    rng = np.random.default_rng(0)
    payoffs = np.clip(rng.normal([0.3, 0.5, 0.6, 0.4], 0.2, (500, 4)), 0, 1)
    regrets = []
    for _ in range(20):
        learner, mine = LEARNERS["exp3"](1, 4, 500, (0.0, 1.0)), 0.0
        for row in payoffs:
            mixed = learner.play()
            action = rng.choice(4, p=mixed[0])
            learner.learn(mixed, row[None], np.array([action]))
            mine += row[action]
        regrets.append(payoffs.sum(axis=0).max() - mine)
    bound = learner.bound(500)[0]
    assert bound == pytest.approx(np.sqrt(2 * 500 * 4 * np.log(4)))
    assert np.mean(regrets) <= bound


@pytest.mark.parametrize("rule", ["hedge", "regret_matching"])
def test_what_is_recorded_is_what_the_rounds_earned(rule):
    values = np.array([1.0, 0.7, 0.4])
    found = learn(values, first_price, rounds=60, rule=rule)
    assert found.drawn.shape == found.regret.shape == found.bound.shape == (60, 3)
    assert found.play.sum(axis=1) == pytest.approx(1) and found.last_play.sum(axis=1) == pytest.approx(1)
    earned = np.zeros((60, 3, len(GRID)))
    for step, actions in enumerate(found.drawn):
        for bidder, action in product(range(3), range(len(GRID))):
            tried = actions.copy()
            tried[bidder] = action
            wins, paid = first_price((values * GRID[tried])[None])
            earned[step, bidder, action] = (wins * values - paid)[0, bidder]
    mean = earned.mean(axis=0)
    assert found.regret[-1] == pytest.approx(mean.max(axis=1) - found.payoff)
    assert (found.regret <= found.bound + 1e-12).all()
    assert found.bids == pytest.approx(values * GRID[found.drawn[-1]])


@pytest.mark.parametrize("rule", list(LEARNERS))
def test_on_arrays_at_once_or_bit_by_bit_and_on_tables_the_same_is_learned(rule, monkeypatch):
    values = np.array([1.0, 0.7])
    table = mock_bids(2).assign(quantity_mw=1.0, price=values)
    at_once = learn(values, first_price, rounds=40, rule=rule)
    on_table = learn(table, on_tables(first_price), rounds=40, rule=rule)
    monkeypatch.setattr("gridlab.bids.learning._MOST_KEPT", 0)
    by_bits = learn(values, first_price, rounds=40, rule=rule)
    for other in (by_bits, on_table):
        assert (other.drawn == at_once.drawn).all() and other.regret == pytest.approx(at_once.regret)
    assert on_table.bids["price"].tolist() == at_once.bids.tolist()
    assert on_table.bidders == ("bidder_0", "bidder_1")


@pytest.mark.parametrize("rule", ["hedge", "regret_matching"])
def test_in_a_first_price_auction_the_price_comes_to_the_second_highest_worth(rule):
    found = learn([1.0, 0.5], first_price, shadings=np.linspace(0, 1, 21), rounds=6000, rule=rule)
    assert found.mean_shading[0] == pytest.approx(0.5, abs=0.08)
    last = found.drawn[-500:]
    prices = np.maximum(1.0 * last[:, 0] / 20, 0.5 * last[:, 1] / 20)
    assert prices.mean() == pytest.approx(0.5, abs=0.08)
    assert (found.regret[-1] <= 0.02).all()


def test_regret_falls_as_rounds_go_by():
    found = learn([1.0, 0.9, 0.8], first_price, rounds=8000)
    assert (found.regret[7999] < 0.5 * np.maximum(found.regret[99], 0.01)).all()


@pytest.mark.parametrize("rule", list(LEARNERS))
def test_where_the_winner_pays_the_second_price_the_truth_leaves_no_regret(rule):
    """Weakly dominant: the truth earns at least as much as any shading against what the others bid in every round."""
    values = np.array([1.0, 0.9, 0.6])
    found = learn(values, second_price, rounds=3000, rule=rule)
    for bidder in range(3):
        rival = np.delete(values * GRID[found.drawn], bidder, axis=1).max(axis=1)
        truth = np.maximum(values[bidder] - rival, 0.0).mean()
        assert truth >= found.payoff[bidder] - 1e-12
        assert truth - found.payoff[bidder] <= found.regret[-1, bidder] + 1e-12
    assert (found.regret[-1] <= found.bound[-1]).all()


def test_against_random_rivals_second_price_teaches_the_truth_and_first_price_does_not():
    rivals = np.random.default_rng(1).uniform(size=400)

    def against(pays_own):
        def mechanism(bids):
            wins = bids >= rivals
            return wins.mean(axis=1, keepdims=True), np.where(wins, bids if pays_own else rivals, 0).mean(1)[:, None]

        return mechanism

    truth = learn([0.8], against(False), rounds=1500)
    shaded = learn([0.8], against(True), rounds=1500)
    assert truth.last_play[0, -1] > 0.9
    assert shaded.last_play[0, 4:7].sum() > 0.9  # (n - 1) / n of the worth for n = 2


def test_under_one_price_who_wants_two_lots_learns_to_want_less():
    found = learn(np.array([[1.0, 1.0], [0.9, 0.0]]), two_lots_at_one_price, rounds=2000)
    assert found.payoff.sum() > 1.0  # the truth leaves 0.2 and 0 at a price of 0.9 or more


def test_offers_and_bids_to_buy_learn_in_a_market_with_two_sides():
    values = mock_bids(4).assign(quantity_mw=[1.0, -1.0, 1.0, -1.0], price=[20.0, 60.0, 30.0, 50.0])
    found = learn(values, clear_uniform, two_sided=True, shadings=[0.6, 0.8, 1.0, 1.3, 1.6], rounds=150)
    assert (found.regret <= found.bound + 1e-9).all() and (found.payoff > -5).all()
    truth = clear_uniform(values)
    gain = -values["price"] * truth.awards["quantity_mw"] - truth.payments
    assert gain.sum() == pytest.approx(60) and 0 < found.payoff.sum() <= 60 + 1e-9


def test_real_auctions_of_capacity_are_learned_from_as_they_are():
    """By VCG and at the second price the truth leaves no regret; pay as bid the bids come down."""
    values = mock_bids(3).assign(quantity_mw=[2.0, 2.0, 1.0], price=[80.0, 60.0, 50.0])
    grid = np.linspace(0.5, 1.0, 6)
    for clear in (partial(clear_vcg, capacity_mw=3.0), partial(clear_pay_as_bid, capacity_mw=3.0)):
        found = learn(values, clear, shadings=grid, rounds=300)
        assert (found.regret <= found.bound + 1e-9).all()
        truth = []
        for bidder in range(3):
            bids = [values.assign(price=values["price"] * grid[drawn]) for drawn in np.unique(found.drawn, axis=0)]
            for book in bids:
                honest = book.assign(price=np.where(np.arange(3) == bidder, values["price"], book["price"]))
                gains = [
                    values["price"][bidder] * cleared.awards["quantity_mw"][bidder] - cleared.payments[bidder]
                    for cleared in (clear(honest), clear(book))
                ]
                truth.append(gains[0] >= gains[1] - 1e-9)
        assert all(truth) == (clear.func is clear_vcg)


def test_the_same_seed_learns_the_same_and_another_does_not():
    one, two, three = (learn([1.0, 0.9], first_price, rounds=50, seed=seed) for seed in (3, 3, 4))
    assert (one.drawn == two.drawn).all() and not (one.drawn == three.drawn).all()


def test_a_scale_of_the_worths_changes_nothing_but_money():
    one = learn([1.0, 0.75], first_price, rounds=100)
    for scale in (2.0**-30, 2.0**30):
        other = learn(scale * np.array([1.0, 0.75]), first_price, rounds=100)
        assert (other.drawn == one.drawn).all() and other.regret == pytest.approx(scale * one.regret)


@pytest.mark.parametrize("hours", [0.25, 1.0, 24.0])
def test_the_length_of_the_interval_changes_nothing_but_money(hours):
    bids = mock_bids(3).assign(bidder=["a", "b", "c"], quantity_mw=1.0, price=[50.0, 40.0, 30.0])
    rounds = {"rounds": 30, "shadings": [0.5, 0.8, 1.0]}
    one = learn(bids, partial(clear_pay_as_bid, capacity_mw=2.0), **rounds)
    clear = partial(clear_pay_as_bid, capacity_mw=2.0, step_hours=hours)
    for rule in ("hedge", "exp3"):
        one = learn(bids, partial(clear_pay_as_bid, capacity_mw=2.0), rule=rule, **rounds)
        other = learn(bids, clear, rule=rule, step_hours=hours, **rounds)
        assert (other.drawn == one.drawn).all()
        assert other.payoff == pytest.approx(hours * one.payoff) and other.bound == pytest.approx(hours * one.bound)


def test_exp3_knows_the_range_of_who_bids_below_what_it_would_have_to_be_paid():
    def at_their_bids(bids):
        return np.ones_like(bids), bids

    learned = learn([-5.0, 2.0], at_their_bids, rule="exp3", shadings=[0.0, 0.5, 1.0], rounds=50)
    assert learned.payoff[0] < 0 <= learned.payoff[1]


def test_where_nothing_can_be_earned_nothing_is_regretted():
    found = learn([0.0, 0.0], first_price, rounds=20)
    assert (found.regret == 0).all() and found.play == pytest.approx(1 / len(GRID))


def test_games_that_are_none_are_refused():
    one = {"values": [1.0, 0.5], "mechanism": first_price}
    for message, more in {
        "two or more different": {"shadings": [1.0]},
        "different numbers": {"shadings": [1.0, 1.0]},
        "at least 0 and finite": {"shadings": [-0.1, 1.0]},
        "rounds must be at least 1": {"rounds": 0},
        "rounds must be at least 1, a whole number, got 1.5": {"rounds": 1.5},
        "step_hours must be above 0": {"step_hours": 0.0},
        "rule must be one of": {"rule": "greedy"},
        "values must be finite": {"values": [np.nan, 1.0]},
        "awards of shape": {"mechanism": lambda bids: (bids[:, :1], bids)},
        "not finite": {"mechanism": lambda bids: (bids, np.full_like(bids, np.nan))},
        "outside payoff_range": {"rule": "exp3", "payoff_range": (0.9, 1.0), "rounds": 50},
        "the least first": {"rule": "exp3", "payoff_range": (1.0, 0.0)},
        "a pair of awards and payments, got a NoneType": {"mechanism": lambda bids: None},
        "with awards and payments, got a NoneType": {"values": mock_bids(2), "mechanism": lambda bids: None},
        "no rows": {"values": mock_bids(1).iloc[:0]},
        "worth of a MWh is inf": {"values": mock_bids(2).assign(price=np.inf)},
    }.items():
        with pytest.raises(DataError, match=message):
            learn(**(one | more))
