"""Core payments: no coalition blocks, the total is the least, and of those the nearest to VCG."""

from itertools import chain, combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.auctions.blocks import clear_vcg_blocks
from gridlab.auctions.core_prices import core_payments
from gridlab.errors import DataError, PlanError

TIME = pd.Timestamp("2025-01-01", tz="UTC")

options = st.dictionaries(st.integers(1, 6), st.integers(0, 12), max_size=2).map(lambda found: list(found.items()))
markets = st.lists(options, min_size=1, max_size=5)
supplies = st.integers(1, 9)


def table(market):
    rows = [(TIME, f"b{i}", "it", float(q), v / q) for i, own in enumerate(market) for q, v in own]
    return pd.DataFrame(rows, columns=["time", "bidder", "service", "quantity_mw", "price"]).astype(
        {"bidder": str, "service": str, "quantity_mw": float, "price": float, "time": "datetime64[ns, UTC]"}
    )


def worth_of(market, supply, members):
    """What a coalition's bids are worth at most."""
    ways = product(*([(0, 0), *market[i]] for i in members))
    return max(sum(v for _, v in way) for way in ways if sum(q for q, _ in way) <= supply)


def coalitions(n):
    return chain.from_iterable(combinations(range(n), k) for k in range(n + 1))


def core_of(market, supply, value, winners):
    """Every coalition's claim on the winners outside it, row by row."""
    rows, claims = [], []
    for members in coalitions(len(market)):
        rows.append([i not in members for i in winners])
        claims.append(worth_of(market, supply, members) - sum(v for i, v in value.items() if i in members))
    return np.array(rows, float).reshape(len(rows), len(winners)), np.array(claims)


def cleared(market, supply, kind):
    """Value of each winner's award and what it pays."""
    bids = table(market)
    clearing = clear_vcg_blocks(bids, float(supply), payments=kind)
    won = (clearing.awards["quantity_mw"] > 0).to_numpy()
    winners = [int(name[1:]) for name in bids["bidder"][won]]
    value = np.rint((bids["price"] * bids["quantity_mw"])[won].to_numpy())
    return dict(zip(winners, value, strict=True)), clearing.payments[won].to_numpy()


@given(market=markets, supply=supplies)
def test_no_coalition_blocks_and_the_total_is_the_least_that_none_does(market, supply):
    value, paid = cleared(market, supply, "core")
    _, vcg = cleared(market, supply, "vcg")
    rows, claims = core_of(market, supply, value, list(value))
    assert (paid >= vcg - 1e-9).all()
    assert (paid <= np.array(list(value.values())) + 1e-9).all()
    if len(value):
        assert (rows @ paid >= claims - 1e-7).all()
        least = linprog(np.ones(len(value)), -rows, -claims, bounds=[(0, v) for v in value.values()])
        assert paid.sum() == pytest.approx(least.fun, abs=1e-7)


@given(market=markets, supply=supplies)
@settings(max_examples=25)
def test_of_the_least_payments_the_nearest_to_vcg_are_taken(market, supply):
    value, paid = cleared(market, supply, "core")
    _, vcg = cleared(market, supply, "vcg")
    if len(value) < 2:
        return
    assert paid == pytest.approx(
        nearest(*core_of(market, supply, value, list(value)), list(value.values()), vcg), abs=1e-4
    )


def nearest(rows, claims, value, vcg):
    """The same by a quadratic programme over all coalitions."""
    import cvxpy as cp

    least = linprog(np.ones(len(vcg)), -rows, -claims, bounds=[(0, v) for v in value]).fun
    pays = cp.Variable(len(vcg))
    limits = [rows @ pays >= claims, pays <= value, cp.sum(pays) <= least + 1e-9]
    cp.Problem(cp.Minimize(cp.sum_squares(pays - vcg)), limits).solve(solver="CLARABEL")
    return pays.value


@given(market=markets, supply=supplies)
def test_vcg_stays_where_it_is_in_the_core(market, supply):
    value, paid = cleared(market, supply, "core")
    _, vcg = cleared(market, supply, "vcg")
    rows, claims = core_of(market, supply, value, list(value))
    if not len(value) or (rows @ vcg >= claims).all():
        assert paid.tolist() == vcg.tolist()


def test_lovely_but_lonely_pays_two_and_not_nothing():
    market = [[(2, 2)], [(1, 2)], [(1, 2)]]
    assert clear_vcg_blocks(table(market), 2.0).payments.tolist() == [0.0, 0.0, 0.0]
    assert clear_vcg_blocks(table(market[:2]), 2.0).payments.sum() == 2.0
    assert clear_vcg_blocks(table(market), 2.0, payments="core").payments.tolist() == [0.0, 1.0, 1.0]


@given(market=markets, supply=supplies)
def test_the_seller_gets_no_less_than_under_vcg(market, supply):
    _, vcg = cleared(market, supply, "vcg")
    _, paid = cleared(market, supply, "core")
    assert paid.sum() >= vcg.sum() - 1e-9


def test_the_reserve_and_the_hours_are_counted_in_core_payments():
    bids = table([[(2, 8)], [(1, 6)], [(1, 6)]])
    above = clear_vcg_blocks(bids, 2.0, reserve_price=1.0, payments="core", step_hours=0.5)
    assert above.payments.tolist() == pytest.approx([0.0, 2.0, 2.0])
    assert clear_vcg_blocks(bids, 2.0, reserve_price=5.0, payments="core").payments.tolist() == [0.0, 5.0, 5.0]


def distinct_goods(bids, winners):
    """The winner determination of bids (goods, value) for distinct goods, each bidder one bid, gone through."""

    def offer(surplus):
        charge = dict(zip(winners, surplus, strict=True))
        best, members = 0.0, ()
        for group in coalitions(len(bids)):
            goods = "".join(bids[i][0] for i in group)
            worth = sum(bids[i][1] - charge.get(i, 0.0) for i in group)
            if len(set(goods)) == len(goods) and worth > best:
                best, members = worth, group
        return best, [i in members for i in winners]

    return offer


def test_five_bidders_of_day_and_cramton_pay_seventeen_and_fifteen():
    bids = [("A", 28.0), ("B", 20.0), ("AB", 32.0), ("A", 14.0), ("B", 12.0)]
    paid = core_payments([28.0, 20.0], [14.0, 12.0], distinct_goods(bids, [0, 1]))
    assert paid.tolist() == pytest.approx([17.0, 15.0], abs=1e-12)


def test_claims_that_overlap_are_met_at_the_least_total():
    bids = [("A", 20.0), ("B", 20.0), ("C", 20.0), ("AB", 28.0), ("BC", 20.0), ("AC", 16.0)]
    paid = core_payments([20.0] * 3, [0.0] * 3, distinct_goods(bids, [0, 1, 2]))
    assert paid.sum() == pytest.approx(32.0, abs=1e-12)
    assert paid.tolist() == pytest.approx([12.0, 16.0, 4.0], abs=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_core_payments_grow_with_the_values(scale):
    bids = [("A", 28.0 * scale), ("B", 20.0 * scale), ("AB", 32.0 * scale)]
    paid = core_payments([28.0 * scale, 20.0 * scale], [12.0 * scale, 4.0 * scale], distinct_goods(bids, [0, 1]))
    assert (paid / scale).tolist() == pytest.approx([20.0, 12.0], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_many_winners_reach_a_point_that_no_coalition_blocks(seed):
    rng = np.random.default_rng(seed)
    market = [
        [(int(q), int(rng.integers(1, 40) * q)) for q in rng.choice([1, 2, 5, 9], 2, replace=False)] for _ in range(40)
    ]
    bids = table(market)
    clearing = clear_vcg_blocks(bids, 60.0, payments="core")
    vcg = clear_vcg_blocks(bids, 60.0)
    assert (clearing.payments >= vcg.payments - 1e-9).all()
    surplus = (bids["price"] * clearing.awards["quantity_mw"] - clearing.payments).groupby(bids["bidder"]).sum()
    lowered = bids.assign(price=bids["price"] - bids["bidder"].map(surplus) / bids["quantity_mw"])
    best = clear_vcg_blocks(lowered[lowered["price"] > 0], 60.0).awards
    assert (best["price"] * best["quantity_mw"]).sum() <= clearing.payments.sum() * (1 + 1e-7)


def test_no_winners_pay_nothing():
    assert core_payments([], [], lambda surplus: (0.0, [])).tolist() == []


def test_what_cannot_be_winners_is_refused():
    def offer(surplus):
        return 9.0, [False, False]

    with pytest.raises(PlanError, match="offers 5 \\$ more than the winners' whole value"):
        core_payments([2.0, 2.0], [0.0, 0.0], offer)
    with pytest.raises(PlanError, match="offers 3 \\$ more than the winners' whole value"):
        core_payments([2.0, 2.0], [0.0, 0.0], lambda surplus: (3.0, [True, True]))
    with pytest.raises(DataError, match="one number for each winner"):
        core_payments([2.0, 2.0], [0.0], offer)
    with pytest.raises(DataError, match="must be finite"):
        core_payments([2.0, np.nan], [0.0, 0.0], offer)
    with pytest.raises(DataError, match="one flag for each of 2 winners, got shape \\(1,\\)"):
        core_payments([2.0, 2.0], [0.0, 0.0], lambda surplus: (3.0, [True]))
    with pytest.raises(DataError, match="above the value for winner 1"):
        core_payments([2.0, 2.0], [0.0, 3.0], offer)


def test_an_answer_that_is_not_the_optimum_is_noticed():
    with pytest.raises(PlanError, match="not the optimum of the bids lowered"):
        core_payments([2.0, 2.0], [0.0, 0.0], lambda surplus: (4.5 - surplus.sum(), [True, False]))
