"""Blocks: the optimum, what each winner pays for it, and what no bidder can do about it."""

from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.auctions import blocks_optimum
from gridlab.auctions.blocks import clear_vcg_blocks, clear_vcg_rounded, explain_vcg_blocks
from gridlab.errors import DataError, PlanError

TIME = pd.Timestamp("2025-01-01", tz="UTC")

options = st.dictionaries(st.integers(1, 8), st.integers(0, 12), max_size=3).map(lambda found: list(found.items()))
markets = st.lists(options, min_size=1, max_size=5)
supplies = st.integers(0, 16)


def table(market, unit=1.0, times=TIME):
    """Bids of the options (steps, value) of each bidder, in steps of a unit."""
    rows = [(times, f"b{i}", "it", q * unit, v / (q * unit)) for i, own in enumerate(market) for q, v in own]
    return pd.DataFrame(rows, columns=["time", "bidder", "service", "quantity_mw", "price"]).astype(
        {"bidder": str, "service": str, "quantity_mw": float, "price": float, "time": "datetime64[ns, UTC]"}
    )


def best_of_all(market, supply, without=None):
    """The awards (position of the option or none, by bidder) by going through all; ties by MW, then earlier rows."""
    ways = [[*range(len(own)), None] if i != without else [None] for i, own in enumerate(market)]

    def rank(way):
        won = [market[i][j] for i, j in enumerate(way) if j is not None]
        return -sum(v for _, v in won), sum(q for q, _ in won), [99 if j is None else j for j in way]

    fitting = (w for w in product(*ways) if sum(market[i][j][0] for i, j in enumerate(w) if j is not None) <= supply)
    best = min(fitting, key=rank)
    return best, -rank(best)[0]


def plain_optimum(market, supply, without=None):
    """The optimum by the textbook's dynamic programme."""
    best = np.zeros(supply + 1)
    for i, own in enumerate(market):
        before = best.copy()
        for q, v in own if i != without else ():
            if q <= supply:
                best[q:] = np.maximum(best[q:], before[: supply + 1 - q] + v)
    return best[supply]


def by_bidder(market, bids, clearing):
    """Position of the option awarded to each bidder, or none, and what the bidder pays."""
    won = clearing.awards["quantity_mw"].to_numpy() > 0
    position = bids.groupby("bidder").cumcount().to_numpy()
    award = {b: int(p) for b, p, w in zip(bids["bidder"], position, won, strict=True) if w}
    paid = clearing.payments.groupby(bids["bidder"]).sum().to_dict()
    names = [f"b{i}" for i in range(len(market))]
    return [award.get(n) for n in names], [paid.get(n, 0.0) for n in names]


def surplus(true_values, market, supply, **options):
    """What each bidder gains by its true values where `market` is bid."""
    bids = table(market)
    award, paid = by_bidder(market, bids, clear_vcg_blocks(bids, float(supply), **options))
    return [
        (0 if j is None else dict(own)[bid[j][0]]) - p
        for own, bid, j, p in zip(true_values, market, award, paid, strict=True)
    ]


def require_brute_force(market, supply, unit=1.0, **keywords):
    bids = table(market, unit)
    clearing = clear_vcg_blocks(bids, supply * unit, **keywords)
    award, paid = by_bidder(market, bids, clearing)
    best, welfare = best_of_all(market, supply)
    assert award == list(best)
    for i, j in enumerate(best):
        due = 0 if j is None else best_of_all(market, supply, i)[1] - (welfare - market[i][j][1])
        assert paid[i] == due
    return clearing


@given(market=markets, supply=supplies)
def test_awards_and_payments_are_those_of_all_allocations_gone_through(market, supply):
    clearing = require_brute_force(market, supply, step_mw=1.0)
    if (clearing.awards["quantity_mw"] > 0).any():
        more = best_of_all(market, supply + 1)[1] - best_of_all(market, supply)[1]
        assert clearing.prices.iloc[0] == more


@given(market=markets, supply=supplies, unit=st.sampled_from([0.1, 0.25, 3.0, 1e-6, 1e6]))
def test_sizes_that_are_decimals_are_counted_in_their_common_step(market, supply, unit):
    require_brute_force(market, supply, unit)


@given(market=markets, supply=supplies, unit=st.sampled_from([np.pi, 1 / 3, np.sqrt(2) * 1e-9]))
def test_sizes_without_a_common_step_are_cleared_exactly(market, supply, unit):
    clearing = require_brute_force(market, supply, unit)
    assert unit == 1 / 3 or clearing.prices.isna().all()


@given(market=markets, supply=supplies)
def test_lists_and_the_grid_give_the_same(market, supply):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_optimum, "_GRID_WORK", -1)
        require_brute_force(market, supply)


@pytest.mark.parametrize("kind", ["any", "nearly one price", "one price", "concave", "few large"])
@pytest.mark.parametrize("seed", range(6))
def test_payments_are_those_of_a_solve_without_each_winner_exactly(kind, seed):
    rng = np.random.default_rng(seed)
    n_bidders, supply = int(rng.integers(20, 60)), int(rng.integers(20, 400))
    market = [many_options(kind, supply, rng) for _ in range(n_bidders)]
    bids = table(market)
    award, paid = by_bidder(market, bids, clear_vcg_blocks(bids, float(supply)))
    welfare = plain_optimum(market, supply)
    assert sum(market[i][j][1] for i, j in enumerate(award) if j is not None) == welfare
    for i, j in enumerate(award):
        due = 0 if j is None else plain_optimum(market, supply, i) - (welfare - market[i][j][1])
        assert paid[i] == due


def many_options(kind, supply, rng):
    size = np.sort(rng.choice(np.arange(1, supply if kind == "few large" else 20), 4, replace=False))
    value = {
        "any": lambda: rng.integers(-5, 1000, 4),
        "nearly one price": lambda: 10 * size + rng.integers(0, 3, 4),
        "one price": lambda: 10 * size,
        "concave": lambda: np.rint(rng.uniform(5, 50) * size**0.8).astype(int),
        "few large": lambda: rng.integers(1, 1000) * size + rng.integers(0, 50, 4),
    }[kind]()
    return list(zip(size.tolist(), value.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_lists_of_real_sizes_pay_what_a_solve_without_each_winner_says(seed):
    rng = np.random.default_rng(seed)
    market = [[(float(q), float(q * rng.uniform(5, 15))) for q in np.sort(rng.uniform(0.1, 5, 3))] for _ in range(12)]
    bids, supply = table(market), 9.7
    award, paid = by_bidder(market, bids, clear_vcg_blocks(bids, supply))

    def states(without=None):
        found = [(0.0, 0.0)]
        for i, own in enumerate(market):
            ways = [(s + q, w + v) for s, w in found for q, v in ([(0.0, 0.0), *own] if i != without else [(0.0, 0.0)])]
            found = []
            for s, w in sorted((way for way in ways if way[0] <= supply), key=lambda way: (way[0], -way[1])):
                if not found or w > found[-1][1]:
                    found.append((s, w))
        return found[-1][1]

    welfare = sum(market[i][j][1] for i, j in enumerate(award) if j is not None)
    assert welfare == pytest.approx(states(), rel=1e-12)
    due = [0 if j is None else states(i) - (welfare - market[i][j][1]) for i, j in enumerate(award)]
    assert paid == pytest.approx(due, abs=1e-9)


@given(market=markets, supply=supplies, data=st.data())
def test_no_bidder_gains_by_misreporting_its_values(market, supply, data):
    lie = [(q, data.draw(st.integers(-3, 20))) for q, _ in market[0]]
    honest, shaded = surplus(market, market, supply), surplus(market, [lie, *market[1:]], supply)
    assert shaded[0] <= honest[0]


@given(market=markets, supply=supplies, data=st.data())
def test_no_bidder_gains_by_leaving_options_out_or_by_asking_for_more_than_it_can_use(market, supply, data):
    worth = dict(market[0])
    sizes = data.draw(st.lists(st.integers(1, 9), unique=True, max_size=3))
    lie = [(q, data.draw(st.integers(0, 20))) for q in sizes]
    usable = {q: max([0, *(v for own, v in worth.items() if own <= q)]) for q in range(1, 10)}
    use = [list(usable.items()), *market[1:]]
    assert surplus(use, [lie, *market[1:]], supply)[0] <= surplus(market, market, supply)[0]


@given(market=markets, supply=supplies, reserve=st.integers(-4, 4), kind=st.sampled_from(["vcg", "core"]))
def test_winners_pay_at_least_the_reserve_and_at_most_their_bid_and_losers_nothing(market, supply, reserve, kind):
    bids = table(market)
    clearing = clear_vcg_blocks(bids, float(supply), reserve_price=float(reserve), payments=kind)
    award = clearing.awards["quantity_mw"]
    lost = award == 0
    assert (clearing.payments[lost] == 0).all()
    assert (clearing.payments[~lost] >= reserve * award[~lost] - 1e-9).all()
    assert (clearing.payments[~lost] <= (bids["price"] * award)[~lost] + 1e-9).all()
    assert (bids["price"][~lost] > reserve).all()
    assert award.sum() <= supply
    assert ((award == bids["quantity_mw"]) | lost).all()


@given(market=markets, supply=supplies, reserve=st.integers(-4, 4))
def test_a_reserve_price_is_a_bid_of_the_seller_for_each_step(market, supply, reserve):
    bids = table(market)
    clearing = clear_vcg_blocks(bids, float(supply), step_mw=1.0, reserve_price=float(reserve))
    above = [[(q, v - reserve * q) for q, v in own] for own in market]
    best, welfare = best_of_all(above, supply)
    award, paid = by_bidder(market, bids, clearing)
    assert award == list(best)
    for i, j in enumerate(best):
        if j is not None:
            q, v = above[i][j]
            assert paid[i] == reserve * q + best_of_all(above, supply, i)[1] - (welfare - v)
    if any(j is not None for j in best):
        assert clearing.prices.iloc[0] == best_of_all(above, supply + 1)[1] - welfare + reserve


@given(market=markets, supply=supplies, data=st.data())
def test_the_order_of_the_bidders_changes_no_ones_surplus(market, supply, data):
    order = data.draw(st.permutations(range(len(market))))
    plain, moved = surplus(market, market, supply), [market[i] for i in order]
    assert surplus(moved, moved, supply) == [plain[i] for i in order]


@given(first=markets, second=markets, supplies=st.tuples(supplies, supplies))
def test_each_time_is_an_auction_of_its_own(first, second, supplies):
    later = TIME + pd.Timedelta("1h")
    parts = [table(first), table(second, times=later).set_axis(range(100, 100 + sum(map(len, second))), axis=0)]
    both = pd.concat([part for part in parts if len(part)] or parts[:1])
    both = both.reset_index(drop=True)
    capacity = pd.Series(np.array(supplies, float), index=[TIME, later])
    together = clear_vcg_blocks(both, capacity)
    alone = [clear_vcg_blocks(p.reset_index(drop=True), float(s)) for p, s in zip(parts, supplies, strict=True)]
    assert together.payments.tolist() == [x for c in alone for x in c.payments]
    assert together.awards["quantity_mw"].tolist() == [x for c in alone for x in c.awards["quantity_mw"]]
    assert together.prices.tolist() == pytest.approx([x for c in alone for x in c.prices], nan_ok=True)


def test_two_chairs_for_alice_who_bids_seven_for_both_and_bob():
    bids = table([[(1, 5), (2, 7)], [(1, 4)]])
    clearing = clear_vcg_blocks(bids, 2.0)
    assert clearing.awards["quantity_mw"].tolist() == [1.0, 0.0, 1.0]
    assert clearing.payments.tolist() == [0.0, 0.0, 2.0]
    assert clearing.prices.tolist() == [2.0]


def test_five_licences_of_ausubel_as_packages_give_the_payments_of_the_book():
    marginals = [[123, 113, 103], [75, 5, 3], [125, 125, 49], [85, 65, 7], [45, 25, 5]]
    market = [[(k + 1, sum(own[: k + 1])) for k in range(3)] for own in marginals]
    bids = table(market)
    award, paid = by_bidder(market, bids, clear_vcg_blocks(bids, 5.0))
    assert award == [2, None, 1, None, None]
    assert paid == [225, 0, 160, 0, 0]


def test_revenue_may_be_nothing_and_fall_with_a_bidder_more():
    pair, one, other = [(2, 2)], [(1, 2)], [(1, 2)]
    assert clear_vcg_blocks(table([pair, one, other]), 2.0).payments.sum() == 0
    assert clear_vcg_blocks(table([pair, one]), 2.0).payments.sum() == 2


def test_two_losers_may_win_for_nothing_by_bidding_higher_together():
    honest = clear_vcg_blocks(table([[(2, 3)], [(1, 1)], [(1, 1)]]), 2.0)
    together = clear_vcg_blocks(table([[(2, 3)], [(1, 3)], [(1, 3)]]), 2.0)
    assert honest.awards["quantity_mw"].tolist() == [2.0, 0.0, 0.0]
    assert together.awards["quantity_mw"].tolist() == [0.0, 1.0, 1.0]
    assert together.payments.sum() == 0


def test_values_that_grow_faster_than_the_power_are_as_good_as_any():
    clearing = clear_vcg_blocks(table([[(1, 1), (2, 10)], [(1, 4)], [(1, 3)]]), 2.0)
    assert clearing.awards["quantity_mw"].tolist() == [0.0, 2.0, 0.0, 0.0]
    assert clearing.payments.tolist() == [0.0, 7.0, 0.0, 0.0]


def test_equal_optima_go_to_the_fewest_mw_then_to_the_earlier_bidder_and_row():
    assert clear_vcg_blocks(table([[(3, 6)], [(2, 6)]]), 3.0).awards["quantity_mw"].tolist() == [0.0, 2.0]
    assert clear_vcg_blocks(table([[(2, 6)], [(2, 6)]]), 3.0).awards["quantity_mw"].tolist() == [2.0, 0.0]
    rows = table([[(2, 6), (1, 6)], [(2, 1)]])
    assert clear_vcg_blocks(rows, 2.0).awards["quantity_mw"].tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("hours", [0.25, 5 / 60, 1 / 3, 1.0, 7.0])
@pytest.mark.parametrize("places", [0, 1, 2, 4])
def test_decimal_bids_give_payments_to_the_last_digit(hours, places):
    rng = np.random.default_rng(places)
    value = rng.integers(1, 10**4, (8, 3))
    size = np.array([rng.choice(np.arange(1, 12), 3, replace=False) for _ in range(8)])
    market = [[(int(q), int(v)) for q, v in zip(*own, strict=True)] for own in zip(size, value, strict=True)]
    cents = [[(q, q * v) for q, v in own] for own in market]
    bids = table([[(q, q * (v / 10**places)) for q, v in own] for own in market], unit=0.1)
    bids["price"] = [v / 10**places for own in market for _, v in own]
    clearing = clear_vcg_blocks(bids, 2.0, step_hours=hours)
    best, welfare = best_of_all(cents, 20)
    share = Fraction(hours).limit_denominator(100) / 10 ** (places + 1)
    _, paid = by_bidder(market, bids, clearing)
    for i, j in enumerate(best):
        due = 0 if j is None else plain_optimum(cents, 20, i) - (welfare - cents[i][j][1])
        assert paid[i] == float(Fraction(int(due)) * share)


def test_a_value_that_no_price_hits_is_taken_whole():
    bids = table([[(3, 10)], [(7, 10)], [(49, 1)]])
    clearing = clear_vcg_blocks(bids, 9.0)
    assert bids["price"].tolist() == [10 / 3, 10 / 7, 1 / 49]
    assert clearing.payments.tolist() == [10.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e-3, 1e3, 1e12, 1e200])
def test_payments_grow_with_the_values_however_large_or_small(scale):
    rng = np.random.default_rng(5)
    market = [[(int(q), float(rng.uniform(1, 50) * q)) for q in (1, 3, 4)] for _ in range(9)]
    plain = clear_vcg_blocks(table(market), 11.0)
    scaled = clear_vcg_blocks(table([[(q, v * scale) for q, v in own] for own in market]), 11.0)
    assert scaled.awards["quantity_mw"].tolist() == plain.awards["quantity_mw"].tolist()
    assert (scaled.payments / scale).tolist() == pytest.approx(plain.payments.tolist(), abs=1e-9)


def test_one_spike_does_not_blur_the_rest():
    market = [[(1, 10**12)], [(1, 5)], [(2, 7)], [(1, 3)]]
    assert (
        clear_vcg_blocks(table(market), 3.0).payments.tolist()
        == [3.0, 2.0, 0.0, 0.0][:0] + require_brute_force(market, 3).payments.tolist()
    )


def test_empty_auctions_have_the_stated_answer():
    bids = table([[(2, 5)], [(3, 9)]])
    for clearing in (clear_vcg_blocks(bids, 0.0), clear_vcg_blocks(bids, 1.0), clear_vcg_blocks(bids.iloc[:0], 4.0)):
        assert (clearing.awards["quantity_mw"] == 0).all()
        assert (clearing.payments == 0).all()
        assert clearing.prices.isna().all()
    assert len(explain_vcg_blocks(bids, 0.0)) == 0
    assert list(explain_vcg_blocks(bids.iloc[:0], 1.0)) == list(explain_vcg_blocks(bids, 4.0))
    rounded = clear_vcg_rounded(bids, 0.0, step_mw=1.0)
    assert (rounded.welfare.tolist(), rounded.bound.tolist(), rounded.gap.tolist()) == ([0.0], [0.0], [0.0])


def test_one_bidder_has_its_best_option_for_the_reserve():
    bids = table([[(1, 5), (2, 7), (9, 50)]])
    assert clear_vcg_blocks(bids, 4.0).payments.tolist() == [0.0, 0.0, 0.0]
    assert clear_vcg_blocks(bids, 4.0).awards["quantity_mw"].tolist() == [0.0, 2.0, 0.0]
    assert clear_vcg_blocks(bids, 4.0, reserve_price=3.0).payments.tolist() == [3.0, 0.0, 0.0]
    assert clear_vcg_blocks(bids, 4.0, payments="core").payments.tolist() == [0.0, 0.0, 0.0]


def test_a_block_of_no_power_is_awarded_nothing_and_pays_nothing():
    bids = table([[(1, 5)], [(2, 3)]])
    bids.loc[len(bids)] = [TIME, "b1", "it", 0.0, 100.0]
    clearing = clear_vcg_blocks(bids, 1.0)
    assert clearing.awards["quantity_mw"].tolist() == [1.0, 0.0, 0.0]
    assert clearing.payments.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("step", [None, 1.0, 1e-9])
def test_more_capacity_than_anyone_wants_goes_for_nothing(step):
    clearing = clear_vcg_blocks(table([[(1, 5), (2, 7)], [(1, 4)]]), 1e30, step_mw=step)
    assert clearing.awards["quantity_mw"].tolist() == [0.0, 2.0, 1.0]
    assert clearing.payments.tolist() == [0.0, 0.0, 0.0]
    assert clearing.prices.tolist() == [0.0]


def test_steps_too_many_for_a_grid_are_cleared_all_the_same():
    market = [[(1, 5), (2, 7)], [(1, 4)], [(3, 9)]]
    coarse, fine = (clear_vcg_blocks(table(market), 3.0, step_mw=step) for step in (1.0, 1e-9))
    assert fine.awards.equals(coarse.awards)
    assert fine.payments.tolist() == coarse.payments.tolist()


def test_bids_keep_their_index_and_are_not_changed():
    bids = table([[(1, 5), (2, 7)], [(1, 4)]])
    before = bids.copy()
    clearing = clear_vcg_blocks(bids, 2.0)
    pd.testing.assert_frame_equal(bids, before)
    assert clearing.awards.index.equals(bids.index)
    assert clearing.payments.index.equals(bids.index)


@given(market=markets, supply=supplies, reserve=st.integers(-2, 3))
def test_what_a_winner_displaced_sums_to_its_payment(market, supply, reserve):
    bids = table(market)
    clearing = clear_vcg_blocks(bids, float(supply), reserve_price=float(reserve))
    shown = explain_vcg_blocks(bids, float(supply), reserve_price=float(reserve))
    _, paid = by_bidder(market, bids, clearing)
    sums = shown.groupby("bidder")["amount"].sum()
    for i, amount in enumerate(paid):
        assert sums.get(f"b{i}", 0.0) == pytest.approx(amount, abs=1e-9)
    assert (shown["bidder"] != shown["displaced"]).all()
    told = shown["quantity_mw"] != 0
    assert (shown["price"] * shown["quantity_mw"])[told].tolist() == pytest.approx(shown["amount"][told].tolist())
    assert shown["price"][~told].isna().all()


def test_one_that_fits_only_beside_the_winner_is_shown_as_gaining_by_it():
    shown = explain_vcg_blocks(table([[(2, 9)], [(3, 8)], [(1, 2)]]), 3.0)
    assert shown[["bidder", "displaced", "quantity_mw", "amount"]].values.tolist() == [
        ["b0", "b1", 3.0, 8.0],
        ["b0", "b2", -1.0, -2.0],
    ]
    assert shown["price"].tolist() == pytest.approx([8 / 3, 2.0])


def test_the_reserve_is_shown_as_displaced():
    bids = table([[(2, 9)], [(1, 5)], [(2, 4)]])
    shown = explain_vcg_blocks(bids, 4.0, reserve_price=1.5)
    columns = ["bidder", "displaced", "quantity_mw", "price", "amount"]
    assert shown[columns].values.tolist() == [
        ["b0", "b2", 2.0, 2.0, 4.0],
        ["b1", "b2", 2.0, 2.0, 4.0],
        ["b1", "reserve", -1.0, 1.5, -1.5],
    ]
    assert clear_vcg_blocks(bids, 4.0, reserve_price=1.5).payments.tolist() == [4.0, 2.5, 0.0]
    alone = explain_vcg_blocks(bids.iloc[:2], 4.0, reserve_price=1.5)
    assert alone["displaced"].tolist() == ["reserve", "reserve"]
    assert alone["amount"].tolist() == [3.0, 1.5]


def test_only_the_bidders_asked_for_are_explained():
    bids = table([[(1, 5)], [(1, 4)], [(1, 3)]])
    assert explain_vcg_blocks(bids, 2.0, bidders=["b1"])["bidder"].unique().tolist() == ["b1"]
    with pytest.raises(DataError, match="'nobody', who has no bid"):
        explain_vcg_blocks(bids, 2.0, bidders=["nobody"])


@given(market=markets, supply=supplies, step=st.sampled_from([1.0, 2.0, 2.5, 4.0]))
def test_rounded_blocks_fit_and_are_within_their_gap_of_the_optimum(market, supply, step):
    bids = table(market)
    rounded = clear_vcg_rounded(bids, float(supply), step_mw=step)
    _, optimum = best_of_all(market, supply)
    for welfare, bound, gap in zip(rounded.welfare, rounded.bound, rounded.gap, strict=True):
        assert welfare <= optimum + 1e-9
        assert optimum <= bound + 1e-9
        assert welfare >= (1 - gap) * optimum - 1e-9
        assert welfare == pytest.approx((rounded.clearing.awards["quantity_mw"] * bids["price"]).sum())
        assert step > 1 or welfare == optimum
    assert rounded.clearing.awards["quantity_mw"].sum() <= supply


@given(market=markets, supply=supplies, step=st.sampled_from([2.0, 2.5, 4.0]), data=st.data())
def test_rounding_leaves_no_gain_from_misreporting(market, supply, step, data):
    lie = [(q, data.draw(st.integers(-3, 20))) for q, _ in market[0]]

    def gain(stated):
        bids = table(stated)
        award, paid = by_bidder(stated, bids, clear_vcg_rounded(bids, float(supply), step_mw=step).clearing)
        assert all(p >= 0 for p in paid)
        return (0 if award[0] is None else market[0][award[0]][1]) - paid[0]

    assert gain(market) >= 0
    assert gain([lie, *market[1:]]) <= gain(market)


def test_sizes_that_are_multiples_of_the_step_but_for_rounding_are_taken():
    bids = table([[(3, 5)], [(7, 9)]], unit=0.1)
    bids["quantity_mw"] = [0.1 + 0.2, 0.7]
    clearing = clear_vcg_blocks(bids, 1.0, step_mw=0.1)
    assert (clearing.awards["quantity_mw"] > 0).all()


def test_real_prices_hour_by_hour_pay_what_solves_without_each_winner_say(data_dir):
    from gridlab.sources import read_prices

    worth = read_prices(data_dir / "epf" / "PJM.csv")["price"].iloc[-48:]
    rng = np.random.default_rng(3)
    parts, markets = [], []
    for time, price in worth.items():
        sizes = [rng.choice(np.arange(1, 9), 2, replace=False) for _ in range(8)]
        cents = np.rint(100 * price * rng.uniform(0.2, 3.0, (8, 2))).astype(int)
        markets.append(
            [[(int(q), int(q * c)) for q, c in zip(*own, strict=True)] for own in zip(sizes, cents, strict=True)]
        )
        bids = table(markets[-1], times=time)
        parts.append(bids.assign(price=cents.ravel() / 100))
    bids = pd.concat(parts, ignore_index=True)
    clearing = clear_vcg_blocks(bids, 14.0)
    for market, (_, rows) in zip(markets, bids.groupby("time"), strict=True):
        won = clearing.awards.loc[rows.index, "quantity_mw"] > 0
        value = [v for own in market for _, v in own]
        due = []
        for row, (wins, v) in enumerate(zip(won, value, strict=True)):
            rest = plain_optimum(market, 14) - v
            due.append((plain_optimum(market, 14, row // 2) - rest) / 100 if wins else 0.0)
        assert clearing.payments.loc[rows.index].tolist() == due


def test_blocks_fill_a_capacity_that_is_their_sum_but_for_rounding():
    size = np.random.default_rng(0).integers(1, 40, (200, 6)) / 10
    times = pd.date_range(TIME, periods=200, freq="h")
    markets = [[[(q, 10 * q + i)] for i, q in enumerate(own)] for own in size]
    tables = [table(market, times=at) for market, at in zip(markets, times, strict=True)]
    even = pd.concat(tables, ignore_index=True)
    uneven = even.assign(quantity_mw=np.pi * even["quantity_mw"])
    for total in (size.sum(axis=1), [sum(own) for own in size.tolist()], 100 - (100 - size.sum(axis=1))):
        capacity = pd.Series(total, index=times)
        found = [clear_vcg_blocks(even, capacity, step_mw=step) for step in (None, 0.1)]
        found += [clear_vcg_rounded(even, capacity, step_mw=0.1).clearing, clear_vcg_blocks(uneven, np.pi * capacity)]
        assert all((clearing.awards["quantity_mw"] > 0).all() for clearing in found)


def test_a_block_fits_a_capacity_one_rounding_below_it_and_no_smaller_one():
    bids = table([[(0.1, 0.5)]])
    for step in (None, 0.1):
        assert clear_vcg_blocks(bids, 1 - 0.9, step_mw=step).awards["quantity_mw"].tolist() == [0.1]
        assert clear_vcg_blocks(bids, 0.1 * (1 - 1e-11), step_mw=step).awards["quantity_mw"].tolist() == [0.0]


@pytest.mark.parametrize("step", [None, 0.5, 1e-9])
@pytest.mark.parametrize("capacity", [1e17, 1e300, np.finfo(float).max])
def test_a_capacity_beyond_all_that_is_wanted_serves_all_for_nothing(capacity, step):
    bids = table([[(0.5, 4), (1.5, 5)], [(1.0, 3)]])
    for clearing in (
        clear_vcg_blocks(bids, capacity, step_mw=step),
        clear_vcg_rounded(bids, capacity, step_mw=step or 0.3).clearing,
    ):
        assert clearing.awards["quantity_mw"].tolist() == [0.0, 1.5, 1.0]
        assert clearing.payments.tolist() == [0.0] * 3 and clearing.prices.tolist() == [0.0]
    assert explain_vcg_blocks(bids, capacity, step_mw=step).empty


def test_who_is_called_as_the_seller_is_cannot_be_explained():
    bids = table([[(1, 5)], [(1, 4)]]).assign(bidder=["reserve", "b1"])
    assert clear_vcg_blocks(bids, 1.0).payments.tolist() == [4.0, 0.0]
    with pytest.raises(DataError, match="'reserve', which stands for the seller"):
        explain_vcg_blocks(bids, 1.0)


def refused(match, bids=None, capacity=3.0, **keywords):
    with pytest.raises(DataError, match=match):
        clear_vcg_blocks(table([[(1, 5), (2, 7)], [(1, 4)]]) if bids is None else bids, capacity, **keywords)


def test_bad_bids_are_refused_with_the_row_and_the_rule():
    bids = table([[(1, 5), (2, 7)], [(1, 4)]])
    refused("is not a multiple of step_mw .* in row 0, 1 MW", step_mw=2.0)
    for step in (0.0, float("nan"), float("inf"), "1"):
        refused("step_mw must be a number above 0", step_mw=step)
    refused("comes twice for its bidder, time and service in row 1", bids.assign(quantity_mw=1.0))
    refused("comes twice, row 2 .*stand together", bids.iloc[[0, 2, 1]].reset_index(drop=True))
    refused("payments must be 'vcg' or 'core'", payments="shapley")
    refused("is negative in row 1", bids.assign(quantity_mw=[1.0, -2.0, 1.0]))
    refused("price", bids.assign(price=[1.0, np.nan, 1.0]))
    refused("is infinite in row 2", bids.assign(price=[1.0, 1.0, np.inf]))
    refused("beyond all numbers in row 0", bids.assign(price=1e308, quantity_mw=[10.0, 20.0, 1.0]))
    refused(r"sums to more than 1e\+300 \$ at its time", bids.assign(price=[1e308, 0.4e308, 1e308]))
    refused(r"sums to more than 1e\+300 MW at its time", bids.assign(quantity_mw=[1e300, 2e300, 1e300], price=1e-300))
    large = bids.assign(quantity_mw=[1e300, 2.0, 1.0], price=1e-300)
    refused(r"sums to 2\*\*52 steps or more at its time in row 0", large, step_mw=0.5)
    refused("capacity_mw must be at least 0", capacity=-1.0)
    refused("reserve_price must be finite", reserve_price=float("nan"))
    refused("step_hours must be above 0", step_hours=0.0)


def test_more_combinations_than_can_be_held_are_refused_and_not_guessed(monkeypatch):
    monkeypatch.setattr(blocks_optimum, "_STATES", 1000)
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 2, 40)
    bids = table([[(q, 10 * q)] for q in size])
    with pytest.raises(PlanError, match="coarser common step, or clear them by clear_vcg_rounded"):
        clear_vcg_blocks(bids, 30.0)
    assert clear_vcg_rounded(bids, 30.0, step_mw=0.01).gap.iloc[0] < 0.01
