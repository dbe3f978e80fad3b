"""Auctions of power under one cap: laws against re-solves in exact fractions, then answers from the literature."""

from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridlab.auctions.double import clear_double
from gridlab.auctions.merit_order import clear_vcg, explain_vcg
from gridlab.auctions.one_sided import clear_first_price, clear_pay_as_bid, clear_second_price, clear_uniform
from gridlab.errors import DataError, PlanError
from gridlab.schema import mock_bids, mock_times
from gridlab.sources import read_prices

HOUR = mock_times(1)[0]
DIVISIBLE = [clear_vcg, clear_uniform, clear_pay_as_bid]
LOTS = [clear_first_price, clear_second_price]


def table_of(curves: list[list[tuple[float, float]]], *, time: pd.Timestamp = HOUR, service: str = "power"):
    """Bids of one time: a curve of (quantity, price) for each bidder."""
    rows = [(f"bidder_{i}", q, p) for i, curve in enumerate(curves) for q, p in curve]
    names, quantity, price = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex([time] * len(rows), tz="UTC"),
            "bidder": pd.Series(names, dtype=str),
            "service": pd.Series([service] * len(rows), dtype=str),
            "quantity_mw": np.array(quantity, dtype=float),
            "price": np.array(price, dtype=float),
        }
    )


def decreasing(quantities, prices, most=4):
    segment = st.tuples(quantities, prices)
    return st.lists(segment, min_size=1, max_size=most).map(lambda curve: sorted(curve, key=lambda row: -row[1]))


whole = decreasing(st.integers(0, 4), st.integers(-3, 12))
real = decreasing(
    st.one_of(st.floats(0, 5), st.sampled_from([0.1, 0.2, 0.3])), st.one_of(st.floats(-20, 200), st.just(0.0))
)
wild = decreasing(st.sampled_from([0.0, 1e-9, 1e-3, 1.0, 7.0, 1e6, 1e9]), st.sampled_from([-1e4, 0.0, 1e-6, 3.0, 5e5]))
books = st.one_of(*(st.lists(curve, min_size=1, max_size=5) for curve in (whole, real, wild)))
supplies = st.one_of(st.integers(0, 12), st.floats(1e-6, 20), st.sampled_from([0.6, 1e-9, 1e6]))
reserves = st.one_of(st.just(0.0), st.integers(-4, 12), st.floats(0, 50))


def most_worth(rows, capacity, reserve) -> Fraction:
    """The greatest sum of values in exact fractions, what the seller keeps valued at the reserve."""
    left, total = Fraction(capacity), Fraction(0)
    for quantity, price in sorted(rows, key=lambda row: -row[1]):
        served = min(Fraction(quantity), left) if price >= reserve else Fraction(0)
        left, total = left - served, total + served * Fraction(price)
    return total + left * Fraction(reserve)


def without(curves, i):
    return [row for j, curve in enumerate(curves) if j != i for row in curve]


def payments_by_solving_again(curves, capacity, reserve) -> list[Fraction]:
    """What each pays: the others' best without it, less what they have with it; n + 1 solves and no merit order."""
    total = most_worth(without(curves, None), capacity, reserve)
    own = [served_worth(curves, i, capacity, reserve) for i in range(len(curves))]
    return [most_worth(without(curves, i), capacity, reserve) - (total - own[i]) for i in range(len(curves))]


def served_worth(curves, i, capacity, reserve) -> Fraction:
    """What bidder `i` is served is worth to it, rows at the marginal price sharing what is left in proportion."""
    left, total = Fraction(capacity), Fraction(0)
    rows = [(j, Fraction(q), p) for j, curve in enumerate(curves) for q, p in curve if p >= reserve]
    for price in sorted({p for _, _, p in rows}, reverse=True):
        equal = [(j, q) for j, q, p in rows if p == price]
        wanted = sum(q for _, q in equal)
        share = min(Fraction(1), left / wanted) if wanted else Fraction(0)
        total += sum(share * q * Fraction(price) for j, q in equal if j == i)
        left -= share * wanted
    return total


def by_name(bids, rows) -> pd.Series:
    return pd.Series(np.asarray(rows, dtype=float)).groupby(bids["bidder"].to_numpy()).sum()


def worth(curve, power: float) -> float:
    """What an amount of power is worth to a bidder that uses it where it is worth most and cannot use more."""
    total = 0.0
    for quantity, price in curve:
        total += min(quantity, power) * price
        power -= min(quantity, power)
    return total - 1e4 * max(power - 1e-9, 0.0)


def scale_of(curves, capacity, reserve) -> float:
    """The size of the numbers that a sum of values adds."""
    size = sum(min(q, capacity) * abs(p) for curve in curves for q, p in curve)
    return max(size, capacity * abs(reserve), 1e-300)


@given(books, supplies, reserves)
def test_vcg_payments_equal_n_plus_one_full_solves(curves, capacity, reserve):
    bids = table_of(curves)
    paid = by_name(bids, clear_vcg(bids, capacity, reserve_price=reserve).payments)
    slow = payments_by_solving_again(curves, capacity, reserve)
    for i in range(len(curves)):
        assert abs(paid[f"bidder_{i}"] - float(slow[i])) <= 1e-9 * scale_of(curves, capacity, reserve)


@given(st.lists(whole, min_size=1, max_size=5), st.integers(0, 12), st.integers(-4, 12))
def test_vcg_payments_equal_n_plus_one_full_solves_to_rounding_in_integers(curves, capacity, reserve):
    bids = table_of(curves)
    paid = by_name(bids, clear_vcg(bids, capacity, reserve_price=reserve).payments)
    slow = [float(payment) for payment in payments_by_solving_again(curves, capacity, reserve)]
    assert paid.to_numpy() == pytest.approx(slow, abs=1e-12)


@given(st.lists(whole, min_size=1, max_size=4), st.integers(0, 6))
def test_no_split_in_whole_mw_is_worth_more(curves, capacity):
    bids = table_of(curves)
    clearing = clear_vcg(bids, capacity)
    achieved = (clearing.awards["quantity_mw"] * bids["price"]).sum()
    wants = [range(min(capacity, sum(q for q, _ in curve)) + 1) for curve in curves]
    splits = (split for split in product(*wants) if sum(split) <= capacity)
    best = max(sum(worth(curve, power) for curve, power in zip(curves, split, strict=True)) for split in splits)
    assert achieved == pytest.approx(max(best, 0), abs=1e-9)


@given(books, supplies, reserves)
def test_awards_stay_within_the_bids_and_the_capacity_and_nothing_that_meets_the_reserve_is_left(
    curves, capacity, reserve
):
    bids = table_of(curves)
    for clear in DIVISIBLE:
        awarded = clear(bids, capacity, reserve_price=reserve).awards["quantity_mw"].to_numpy()
        meets = bids["price"].to_numpy() >= reserve
        assert (awarded >= 0).all() and (awarded <= bids["quantity_mw"]).all() and not awarded[~meets].any()
        wanted = bids["quantity_mw"].to_numpy()[meets].sum()
        assert awarded.sum() == pytest.approx(min(wanted, capacity), rel=1e-11)


@given(st.lists(st.one_of(whole, real), min_size=1, max_size=5), st.one_of(whole, real), supplies, reserves)
def test_no_bidder_gains_by_stating_other_values_or_quantities(curves, lie, capacity, reserve):
    stated = [lie, *curves[1:]]
    surplus = []
    for book in (curves, stated):
        bids = table_of(book)
        clearing = clear_vcg(bids, capacity, reserve_price=reserve)
        power = by_name(bids, clearing.awards["quantity_mw"])["bidder_0"]
        surplus.append(worth(curves[0], power) - by_name(bids, clearing.payments)["bidder_0"])
    assert surplus[1] <= surplus[0] + 1e-9 * (1 + scale_of(curves, capacity, reserve))


@given(st.lists(st.one_of(whole, real), min_size=1, max_size=5), st.data(), supplies)
def test_no_bidder_gains_by_bidding_under_two_names(curves, data, capacity):
    part = [data.draw(st.floats(0, 1)) for _ in curves[0]]
    halves = [[(s * q, p) for s, (q, p) in zip(part, curves[0], strict=True)]]
    halves += [[((1 - s) * q, p) for s, (q, p) in zip(part, curves[0], strict=True)]]
    surplus = []
    for book, names in ((curves, ["bidder_0"]), ([*halves, *curves[1:]], ["bidder_0", "bidder_1"])):
        bids = table_of(book)
        clearing = clear_vcg(bids, capacity)
        power, paid = by_name(bids, clearing.awards["quantity_mw"]), by_name(bids, clearing.payments)
        surplus.append(worth(curves[0], power[names].sum()) - paid[names].sum())
    assert surplus[1] <= surplus[0] + 1e-9 * (1 + scale_of(curves, capacity, 0.0))


@given(books, whole, supplies, st.floats(0, 10))
def test_one_more_bidder_never_lowers_the_revenue(curves, joining, capacity, reserve):
    before = clear_vcg(table_of(curves), capacity, reserve_price=reserve).payments.sum()
    after = clear_vcg(table_of([*curves, joining]), capacity, reserve_price=reserve).payments.sum()
    assert after >= before - 1e-9 * (1 + scale_of(curves, capacity, reserve))


@given(books, supplies, reserves)
def test_no_row_pays_more_than_it_is_worth_or_less_than_the_reserve_and_losers_pay_nothing(curves, capacity, reserve):
    bids = table_of(curves)
    for clear in DIVISIBLE:
        clearing = clear(bids, capacity, reserve_price=reserve)
        awarded, paid = clearing.awards["quantity_mw"].to_numpy(), clearing.payments.to_numpy()
        slack = 1e-12 * scale_of(curves, capacity, reserve)
        assert (paid <= awarded * bids["price"] + slack).all() and (paid >= awarded * reserve - slack).all()
        assert not paid[awarded == 0].any()


@given(books, supplies)
def test_no_payment_is_negative_without_a_reserve(curves, capacity):
    bids = table_of(curves)
    assert all((clear(bids, capacity).payments >= 0).all() for clear in DIVISIBLE)


@given(books, supplies, reserves)
def test_the_same_bids_earn_least_by_vcg_more_at_one_price_and_most_as_bid(curves, capacity, reserve):
    bids = table_of(curves)
    clearings = [clear(bids, capacity, reserve_price=reserve) for clear in DIVISIBLE]
    revenue = [clearing.payments.sum() for clearing in clearings]
    slack = 1e-9 * scale_of(curves, capacity, reserve)
    assert revenue[0] <= revenue[1] + slack and revenue[1] <= revenue[2] + slack
    for clearing in clearings[1:]:
        pd.testing.assert_frame_equal(clearing.awards, clearings[0].awards)
        pd.testing.assert_series_equal(clearing.prices, clearings[0].prices)


@given(books, supplies, st.floats(0, 30), st.floats(0, 30))
def test_a_higher_reserve_never_raises_welfare(curves, capacity, low, more):
    bids = table_of(curves)
    welfare = [
        (clear_vcg(bids, capacity, reserve_price=reserve).awards["quantity_mw"] * bids["price"]).sum()
        for reserve in (low, low + more)
    ]
    assert welfare[1] <= welfare[0] + 1e-9 * scale_of(curves, capacity, 0.0)


@given(books, supplies, reserves)
def test_the_price_is_what_one_more_mwh_would_be_worth(curves, capacity, reserve):
    price = clear_vcg(table_of(curves), capacity, reserve_price=reserve).prices
    offered = [(q, p) for q, p in without(curves, None) if p >= reserve and q > 0]
    if not offered or capacity == 0:
        assert price.isna().all()
        return
    assume(all(abs(served_up_to(offered, p) - Fraction(capacity)) > 1e-11 * capacity for _, p in offered))
    slope = Fraction(capacity) / 10**40
    more = most_worth(offered, Fraction(capacity) + slope, reserve) - most_worth(offered, capacity, reserve)
    assert price.iloc[0] == float(more / slope)


def served_up_to(offered, price) -> Fraction:
    return sum((Fraction(q) for q, p in offered if p >= price), Fraction(0))


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_the_price_is_the_dearest_losing_bid_where_no_row_is_cut(clear):
    bids = table_of([[(0.1, 9), (0.2, 8)], [(0.3, 7), (1.0, 5)]])
    assert clear(bids, 0.1 + 0.2 + 0.3).prices.tolist() == [5]
    assert clear(bids, 0.6).prices.tolist() == [5]
    assert clear(bids, 0.6, reserve_price=6).prices.tolist() == [6]
    assert clear(bids, 1.6).prices.tolist() == [0]
    assert clear(bids, 5, reserve_price=2).prices.tolist() == [2]
    assert clear(bids, 0.55).prices.tolist() == [7]


@given(st.lists(st.one_of(whole, real), min_size=2, max_size=5), supplies, reserves, st.data())
def test_the_order_of_the_bidders_does_not_matter(curves, capacity, reserve, data):
    shuffled = data.draw(st.permutations(range(len(curves))))
    bids = table_of(curves)
    moved = pd.concat([bids[bids["bidder"] == f"bidder_{i}"] for i in shuffled])
    for clear in DIVISIBLE:
        first, second = (clear(table, capacity, reserve_price=reserve) for table in (bids, moved))
        assert second.payments.sort_index().to_numpy() == pytest.approx(first.payments.to_numpy(), abs=1e-9)
        assert second.awards.sort_index()["quantity_mw"].to_numpy() == pytest.approx(
            first.awards["quantity_mw"].to_numpy(), abs=1e-9
        )


@given(st.lists(st.lists(whole, min_size=1, max_size=3), min_size=2, max_size=4), st.integers(0, 9), st.data())
def test_times_cleared_at_once_are_auctions_of_their_own_in_whatever_order_their_rows_come(hours, capacity, data):
    tables = [table_of(curves, time=time) for curves, time in zip(hours, mock_times(1), strict=False)]
    book = pd.concat(tables, ignore_index=True)
    where = np.array(data.draw(st.permutations(range(len(book)))))
    for _, rows in book.groupby(["time", "bidder"]):
        where[rows.index] = np.sort(where[rows.index])
    mixed = book.iloc[np.argsort(where)]
    mixed = mixed.sort_values("bidder", kind="stable")
    supply = pd.Series(np.arange(len(hours)) + float(capacity), index=mock_times(1)[: len(hours)])
    for clear in DIVISIBLE:
        joint = clear(mixed, supply, reserve_price=1.0, step_hours=0.25)
        alone = [clear(table, supply[table["time"][0]], reserve_price=1.0, step_hours=0.25) for table in tables]
        assert joint.payments.sort_index().to_numpy() == pytest.approx(
            pd.concat([clearing.payments for clearing in alone]).to_numpy(), abs=1e-12
        )
        pd.testing.assert_series_equal(
            joint.prices, pd.concat([clearing.prices for clearing in alone]), check_freq=False
        )


@given(st.lists(whole, min_size=1, max_size=4), st.lists(whole, min_size=1, max_size=4), st.integers(0, 12))
def test_a_bidders_services_are_one_bidder_under_the_shared_cap(power, cooling, capacity):
    both = [power, cooling]
    bids = pd.concat([table_of(curves, service=name) for curves, name in zip(both, "pc", strict=True)])
    merged = [[*(power[i : i + 1] or [[]])[0], *(cooling[i : i + 1] or [[]])[0]] for i in range(4)]
    one = table_of([sorted(curve, key=lambda row: -row[1]) for curve in merged])
    paid = by_name(bids, clear_vcg(bids, capacity).payments)
    assert paid.to_dict() == pytest.approx(by_name(one, clear_vcg(one, capacity).payments).to_dict(), abs=1e-9)


@given(st.lists(st.one_of(whole, real), min_size=1, max_size=4), supplies, st.data())
def test_rows_cut_in_two_and_rows_of_nothing_change_no_payment(curves, capacity, data):
    cut = data.draw(st.floats(0, 1))
    finer = [[row for q, p in curve for row in ((cut * q, p), (0.0, p), (q - cut * q, p))] for curve in curves]
    coarse, fine = table_of(curves), table_of(finer)
    for clear in DIVISIBLE:
        paid = by_name(fine, clear(fine, capacity).payments)
        assert paid.to_dict() == pytest.approx(by_name(coarse, clear(coarse, capacity).payments).to_dict(), abs=1e-7)


@given(st.lists(whole, min_size=1, max_size=4), st.integers(0, 9), st.sampled_from([1e-9, 0.5, 1e9]))
def test_other_units_of_money_power_or_time_scale_the_payments(curves, capacity, unit):
    bids = table_of(curves)
    for clear in DIVISIBLE:
        paid = clear(bids, capacity, reserve_price=1.0).payments.to_numpy()
        dearer = clear(bids.assign(price=bids["price"] * unit), capacity, reserve_price=unit)
        larger = clear(bids.assign(quantity_mw=bids["quantity_mw"] * unit), capacity * unit, reserve_price=1.0)
        longer = clear(bids, capacity, reserve_price=1.0, step_hours=unit)
        for other in (dearer, larger, longer):
            assert other.payments.to_numpy() == pytest.approx(paid * unit, rel=1e-9, abs=1e-12 * unit)


@given(books, supplies, reserves)
def test_what_each_winner_displaced_sums_to_its_award_and_its_payment(curves, capacity, reserve):
    bids = table_of(curves)
    clearing = clear_vcg(bids, capacity, reserve_price=reserve, step_hours=0.5)
    why = explain_vcg(bids, capacity, reserve_price=reserve, step_hours=0.5)
    names = pd.Index(bids["bidder"].unique())
    amount = why.groupby("bidder")["amount"].sum().reindex(names, fill_value=0.0)
    power = why.groupby("bidder")["quantity_mw"].sum().reindex(names, fill_value=0.0)
    slack = 1e-9 * scale_of(curves, capacity, reserve)
    assert (amount - by_name(bids, clearing.payments)[names]).abs().max() <= slack
    awarded = by_name(bids, clearing.awards["quantity_mw"])[names]
    assert (power - awarded).abs().max() <= 1e-9 * awarded.max()
    assert (why["bidder"] != why["displaced"]).all() and (why["quantity_mw"] > 0).all()
    assert (why["amount"] == why["quantity_mw"] * why["price"] * 0.5).all()


@given(st.lists(whole, min_size=2, max_size=4), st.integers(1, 9))
def test_the_displaced_are_served_so_much_more_where_the_winner_stays_away(curves, capacity):
    bids = table_of(curves)
    here = by_name(bids, clear_vcg(bids, capacity).awards["quantity_mw"])
    why = explain_vcg(bids, capacity)
    for winner in here.index[here > 0]:
        rest = bids[bids["bidder"] != winner]
        away = by_name(rest, clear_vcg(rest, capacity).awards["quantity_mw"])
        gained = (away - here.drop(winner)).round(9)
        told = why[(why["bidder"] == winner) & why["service"].notna()].groupby("displaced")["quantity_mw"].sum()
        assert gained[gained != 0].to_dict() == pytest.approx(told.to_dict())


def test_asking_for_some_winners_explains_those_alone():
    bids = mock_bids(40).assign(quantity_mw=1.0)
    whole_table = explain_vcg(bids, 9.5)
    names = whole_table["bidder"].unique()[[0, 3]].tolist()
    some = whole_table[whole_table["bidder"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(explain_vcg(bids, 9.5, bidders=names), some)
    with pytest.raises(DataError, match=r"bidders has nobody, who does not bid"):
        explain_vcg(bids, 9.5, bidders=["nobody"])


def test_an_explanation_too_long_to_hold_is_refused_until_winners_are_named():
    bids = mock_bids(4000).assign(quantity_mw=1.0, price=30.0)
    with pytest.raises(PlanError, match="the explanation would have over 10,000,000 rows: name the winners"):
        explain_vcg(bids, 3500)
    assert len(explain_vcg(bids, 3500, bidders=["bidder_7"])) == 3999
    assert clear_vcg(bids, 3500).payments.to_numpy() == pytest.approx(0.875 * 30)


def test_small_amounts_are_displaced_exactly_behind_a_huge_losing_row_of_the_winner():
    curves = [[(1e-3, 90.0), (1e12, 50.0)], [(1e-3, 45.0)], [(5.0, 80.0)]]
    bids = table_of(curves)
    capacity = 5.0 + 1e-3
    slow = payments_by_solving_again(curves, capacity, 0.0)
    paid = by_name(bids, clear_vcg(bids, capacity).payments)
    assert paid.to_numpy() == pytest.approx([float(payment) for payment in slow], rel=1e-9)
    assert paid["bidder_0"] == pytest.approx(0.045)


def test_many_bidders_and_times_equal_solving_again_without_each():
    rng = np.random.default_rng(5)
    quantity, price = rng.integers(0, 5, (6, 30, 8)), -np.sort(-rng.integers(0, 40, (6, 30, 8)), axis=-1)
    tables, expected = [], []
    for hour in range(6):
        curves = [list(zip(*pair, strict=True)) for pair in zip(quantity[hour], price[hour], strict=True)]
        curves = [[(int(q), int(p)) for q, p in curve] for curve in curves]
        tables.append(table_of(curves, time=mock_times(1)[hour]))
        expected += payments_by_solving_again(curves, 10 * hour**2, 4)
    bids = pd.concat(tables, ignore_index=True)
    supply = pd.Series(10.0 * np.arange(6) ** 2, index=mock_times(1)[:6])
    paid = clear_vcg(bids, supply, reserve_price=4.0).payments
    fast = paid.groupby([bids["time"], bids["bidder"]], sort=False).sum()
    assert fast.to_numpy() == pytest.approx([float(payment) for payment in expected], abs=1e-9)


def test_curves_from_real_prices_pay_what_solving_again_says(data_dir):
    prices = read_prices(data_dir / "epf" / "PJM.csv")["price"].iloc[:72]
    mark_ups = [[1.5, 1.1, 0.7], [1.3, 1.0, 0.9], [2.0, 0.8, 0.5], [1.2, 1.2, 0.6]]
    tables, expected = [], []
    for time, price in prices.items():
        curves = [[(1.0 + k, factor * price) for k, factor in enumerate(bidder)] for bidder in mark_ups]
        tables.append(table_of(curves, time=time))
        expected += payments_by_solving_again(curves, 9.5, 20.0)
    bids = pd.concat(tables, ignore_index=True)
    paid = clear_vcg(bids, 9.5, reserve_price=20.0).payments
    fast = paid.groupby([bids["time"], bids["bidder"]], sort=False).sum()
    assert fast.to_numpy() == pytest.approx([float(payment) for payment in expected], rel=1e-9, abs=1e-9)


def ausubel() -> pd.DataFrame:
    values = {"A": (123, 113, 103), "B": (75, 5, 3), "C": (125, 125, 49), "D": (85, 65, 7), "E": (45, 25, 5)}
    bids = table_of([[(1, value) for value in curve] for curve in values.values()])
    return bids.assign(bidder=np.repeat(list(values), 3))


def test_ausubels_five_licences_go_to_a_for_225_and_to_c_for_160_and_earn_425_at_one_price():
    """L. M. Ausubel, "An efficient ascending-bid auction for multiple objects," AER 94(5), 2004, section I."""
    bids = ausubel()
    clearing = clear_vcg(bids, 5)
    assert by_name(bids, clearing.awards["quantity_mw"]).to_dict() == {"A": 3, "B": 0, "C": 2, "D": 0, "E": 0}
    assert by_name(bids, clearing.payments).round(9).to_dict() == {"A": 225, "B": 0, "C": 160, "D": 0, "E": 0}
    uniform = clear_uniform(bids, 5)
    assert uniform.prices.tolist() == [85] and uniform.payments.sum() == 425
    assert clear_pay_as_bid(bids, 5).payments.sum() == 123 + 113 + 103 + 125 + 125


def test_ausubels_payments_are_explained_by_the_bids_of_d_and_b():
    why = explain_vcg(ausubel(), 5).set_index("bidder")[["displaced", "price"]]
    assert why.loc["A"].to_numpy().tolist() == [["D", 85], ["B", 75], ["D", 65]]
    assert why.loc["C"].to_numpy().tolist() == [["D", 85], ["B", 75]]


def test_rows_at_the_marginal_price_share_what_is_left_in_proportion():
    bids = table_of([[(1, 9), (2, 5)], [(6, 5)], [(4, 3)]])
    for clear in DIVISIBLE:
        assert clear(bids, 5).awards["quantity_mw"].tolist() == [1, 1, 3, 0]
    paid = by_name(bids, clear_vcg(bids, 5).payments)
    assert paid.tolist() == pytest.approx([2 * 5, 1 * 5 + 2 * 3, 0])


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_a_bid_at_the_reserve_is_met_and_one_below_it_is_not(clear):
    clearing = clear(table_of([[(1, 20.0)], [(1, 19.999)]]), 5, reserve_price=20.0)
    assert clearing.awards["quantity_mw"].tolist() == [1, 0] and clearing.payments.tolist() == [20, 0]


def test_a_reserve_below_zero_pays_bidders_to_take_power():
    bids = table_of([[(1, 5.0), (1, -2.0)], [(1, -8.0)]])
    clearing = clear_vcg(bids, 3, reserve_price=-4.0)
    assert clearing.awards["quantity_mw"].tolist() == [1, 1, 0]
    assert clearing.payments.tolist() == [-4, -4, 0] and clearing.prices.tolist() == [-4]


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_no_supply_and_no_bids_award_nothing_at_no_price(clear):
    for bids, capacity in ((table_of([[(1, 5)], [(2, 4)]]), 0.0), (table_of([]), 3.0), (table_of([[(0, 5)]]), 3.0)):
        clearing = clear(bids, capacity)
        assert not clearing.awards["quantity_mw"].any() and not clearing.payments.any() and clearing.prices.isna().all()
        assert clearing.payments.index.equals(bids.index) and clearing.prices.index.name == "time"
    assert explain_vcg(table_of([]), 3.0).empty and explain_vcg(table_of([[(1, 5)]]), 0.0).empty


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_one_bidder_alone_pays_the_reserve_whatever_it_bids_except_as_bid(clear):
    clearing = clear(table_of([[(2, 50.0), (9, 40.0)]]), 4, reserve_price=3.0)
    expected = {clear_vcg: 12, clear_uniform: 160, clear_pay_as_bid: 180}[clear]
    assert clearing.payments.sum() == pytest.approx(expected)


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_bids_that_break_a_rule_are_refused_with_the_row(clear):
    good = table_of([[(1, 5), (1, 4)], [(2, 3)]])
    faults = [
        (
            good.assign(price=[4.0, 5.0, 3.0]),
            r"bids\['price'\] is above the bidder's segment before in row 1, 5 \$/MWh",
        ),
        (good.iloc[[0, 2, 1]], r"bids\['bidder'\] has bidder_0 twice at 2024-01-01 .* for power, again in row 1"),
        (good.assign(quantity_mw=[1.0, -2.0, 1.0]), r"bids\['quantity_mw'\] is negative in row 1, -2 MW"),
        (good.assign(price=[5.0, np.nan, 3.0]), r"bids\['price'\] is NaN in 1 rows, the first at 1"),
        (good.assign(quantity_mw=[5.0, np.inf, 3.0]), r"bids\['quantity_mw'\] is infinite"),
        (good.drop(columns="service"), r"bids has no column 'service'"),
    ]
    for bids, message in faults:
        with pytest.raises(DataError, match=message):
            clear(bids, 3.0)
    for changed, message in (
        ({"capacity_mw": -1.0}, "capacity_mw must be at least 0 MW"),
        ({"capacity_mw": np.nan}, "capacity_mw must be at least 0 MW"),
        ({"reserve_price": np.nan}, "reserve_price must be finite"),
        ({"step_hours": 0.0}, "step_hours must be above 0"),
    ):
        with pytest.raises(DataError, match=message):
            clear(good, **{"capacity_mw": 3.0, **changed})


def test_a_bidder_may_come_again_at_another_time_or_for_another_service():
    hours = [table_of([[(1, 5)], [(1, 4)]], time=time, service=name) for time in mock_times(1)[:2] for name in "pc"]
    clear_vcg(pd.concat(hours, ignore_index=True), 3.0)
    clear_vcg(pd.concat(hours, ignore_index=True).sort_values("bidder", kind="stable"), 3.0)
    with pytest.raises(DataError, match=r"bidder_0 twice at 2024-01-01 00:00:00\+00:00 for p, again in row 8"):
        clear_vcg(pd.concat([*hours, hours[0]], ignore_index=True), 3.0)


def test_a_bid_at_any_price_takes_what_it_wants_where_another_sets_the_price():
    bids = table_of([[(2, np.inf), (1, 8.0)], [(2, 7.0)], [(3, -np.inf)]])
    clearing = clear_uniform(bids, 4)
    assert clearing.awards["quantity_mw"].tolist() == [2, 1, 1, 0] and clearing.payments.tolist() == [14, 7, 7, 0]
    with pytest.raises(DataError, match="bids at any price alone set the price at 2024-01-01"):
        clear_uniform(bids, 1)
    for clear in (clear_vcg, clear_pay_as_bid):
        with pytest.raises(DataError, match=r"bids\['price'\] is infinite in row 0"):
            clear(bids, 4)


def test_without_a_capacity_the_two_sides_of_the_table_meet():
    bids = mock_bids(50)
    here, there = clear_uniform(bids, step_hours=0.5), clear_double(bids, rule="uniform", step_hours=0.5)
    pd.testing.assert_series_equal(here.payments, there.payments)
    pd.testing.assert_frame_equal(here.awards, there.awards)
    with pytest.raises(DataError, match=r"reserve_price = 5\.0 needs capacity_mw"):
        clear_uniform(bids, reserve_price=5.0)


lots = st.lists(st.integers(-5, 20), min_size=1, max_size=6)


@given(lots, st.integers(-5, 20), st.sampled_from([0.5, 3.0]))
def test_one_lot_goes_to_the_highest_bid_at_the_second_highest_or_the_reserve(prices, reserve, lot):
    bids = table_of([[(lot, price)] for price in prices])
    clearing = clear_second_price(bids, reserve_price=reserve, step_hours=2.0)
    winner = int(np.argmax(prices))
    sold = prices[winner] >= reserve
    second = max([reserve, *(prices[:winner] + prices[winner + 1 :])])
    assert clearing.awards["quantity_mw"].tolist() == [lot * (sold and i == winner) for i in range(len(prices))]
    assert clearing.payments.sum() == (second * lot * 2 if sold else 0)
    assert clearing.prices.tolist() == [second] if sold else clearing.prices.isna().all()
    first = clear_first_price(bids, reserve_price=reserve, step_hours=2.0)
    assert first.payments.sum() == (prices[winner] * lot * 2 if sold else 0)
    pd.testing.assert_frame_equal(first.awards, clearing.awards)


@given(lots, st.integers(-5, 20))
def test_every_bidder_for_one_lot_keeps_by_second_price_what_it_keeps_by_vcg(prices, reserve):
    bids = table_of([[(2.0, price)] for price in prices])
    kept = [
        clearing.awards["quantity_mw"] * bids["price"] - clearing.payments
        for clearing in (
            clear_second_price(bids, reserve_price=reserve),
            clear_vcg(bids, 2.0, reserve_price=reserve),
        )
    ]
    assert kept[0].to_numpy() == pytest.approx(kept[1].to_numpy(), abs=1e-9)


@given(lots, st.integers(-5, 20), st.integers(-5, 20))
def test_no_bidder_for_one_lot_gains_by_stating_another_value(prices, lie, reserve):
    kept = []
    for stated in (prices[0], lie):
        bids = table_of([[(2.0, price)] for price in [stated, *prices[1:]]])
        clearing = clear_second_price(bids, reserve_price=reserve)
        kept.append(clearing.awards["quantity_mw"].iloc[0] * prices[0] - clearing.payments.iloc[0])
    assert kept[1] <= kept[0]


@pytest.mark.parametrize("clear", LOTS)
def test_a_tie_for_one_lot_goes_to_the_earliest_row_of_each_time(clear):
    times = mock_times(1)[:2]
    bids = pd.concat(
        [table_of([[(lot, 7)], [(lot, 9)], [(lot, 9)]], time=t) for lot, t in zip((2, 3), times, strict=True)]
    )
    bids = bids.sort_values("bidder", kind="stable")
    clearing = clear(bids)
    assert clearing.awards["quantity_mw"].tolist() == [0, 0, 2, 3, 0, 0]
    assert clearing.prices.tolist() == [9, 9] and clearing.payments.sum() == 9 * (2 + 3)


@pytest.mark.parametrize("clear", LOTS)
def test_bids_for_one_lot_that_break_a_rule_are_refused_with_the_row(clear):
    good = table_of([[(2, 5)], [(2, 4)], [(2, 3)]])
    faults = [
        (good.assign(bidder=["a", "b", "a"]), r"bids\['bidder'\] has a twice at 2024-01-01 .*, again in row 2"),
        (good.assign(quantity_mw=[2.0, 2.0, 3.0]), r"bids\['quantity_mw'\] is 3.0 MW in row 2 and 2.0 MW in another"),
        (good.assign(service=["p", "p", "c"]), r"bids\['service'\] is c in row 2 and p in another"),
        (good.assign(quantity_mw=-2.0), r"bids\['quantity_mw'\] is negative in row 0"),
        (good.assign(price=[np.inf, 1.0, 1.0]), r"bids\['price'\] is infinite in row 0"),
    ]
    for bids, message in faults:
        with pytest.raises(DataError, match=message):
            clear(bids)


@pytest.mark.parametrize("clear", LOTS)
def test_a_lot_of_nothing_and_no_bids_award_nothing_at_no_price(clear):
    for bids in (table_of([]), table_of([[(0, 5)], [(0, 3)]])):
        clearing = clear(bids)
        assert not clearing.awards["quantity_mw"].any() and not clearing.payments.any() and clearing.prices.isna().all()


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_a_small_row_beside_a_large_capacity_is_not_taken_for_rounding(clear):
    bids = table_of([[(1e9, 50.0)], [(1e-4, 40.0)], [(1.0, 30.0)]])
    clearing = clear(bids, 1e9)
    assert clearing.awards["quantity_mw"].tolist() == [1e9, 0, 0] and clearing.prices.tolist() == [40]
    assert clear(bids, 1e9 + 2.5e-5).awards["quantity_mw"].iloc[1] == pytest.approx(2.5e-5, rel=1e-2)


@pytest.mark.parametrize("clear", DIVISIBLE)
def test_tenths_that_fill_a_decimal_capacity_are_whole_and_rows_of_nothing_after_them_too(clear):
    clearing = clear(table_of([[(0.1, 9)], [(0.1, 8)], [(0.1, 7), (0.0, 6)], [(1.0, 5)]]), 0.3)
    assert clearing.awards["quantity_mw"].tolist() == [0.1, 0.1, 0.1, 0, 0] and clearing.prices.tolist() == [5]


def test_bidders_and_services_that_are_categories_clear_and_are_explained_as_names_are():
    bids = table_of([[(1, 9), (1, 6)], [(2, 5)], [(2, 4)]])
    grouped = bids.astype({"bidder": "category", "service": "category"})
    pd.testing.assert_series_equal(clear_vcg(grouped, 3).payments, clear_vcg(bids, 3).payments)
    named = explain_vcg(grouped, 3, reserve_price=4.5, bidders=["bidder_0"]).astype({"bidder": str, "service": object})
    there = explain_vcg(bids, 3, reserve_price=4.5, bidders=["bidder_0"]).astype({"bidder": str, "service": object})
    pd.testing.assert_frame_equal(named, there, check_dtype=False)
    lot = grouped.assign(quantity_mw=1.0).iloc[1:]
    assert clear_first_price(lot).payments.sum() == 6


@pytest.mark.parametrize("value", [None, "5", pd.Series([1.0])])
def test_a_reserve_a_step_or_a_capacity_that_is_no_number_is_refused(value):
    bids = table_of([[(1, 5)]])
    for clear in (clear_vcg, clear_uniform, clear_pay_as_bid, explain_vcg):
        with pytest.raises(DataError, match="reserve_price must be finite, a number in"):
            clear(bids, 3.0, reserve_price=value)
        with pytest.raises(DataError, match="step_hours must be above 0, a number of hours"):
            clear(bids, 3.0, step_hours=value)
    with pytest.raises(DataError, match="reserve_price must be finite, a number in"):
        clear_uniform(bids, reserve_price=value)
    with pytest.raises(DataError, match=r"capacity_mw (must be a number or a Series|has no value for 2024-01-01)"):
        clear_vcg(bids, value)


def test_a_capacity_by_time_that_is_twice_or_not_a_number_is_refused():
    bids, twice = table_of([[(1, 5)]]), pd.DatetimeIndex([HOUR, HOUR])
    with pytest.raises(DataError, match=r"capacity_mw has 2024-01-01 .* twice: give each time one value"):
        clear_vcg(bids, pd.Series([1.0, 2.0], index=twice))
    with pytest.raises(DataError, match=r"capacity_mw must hold numbers, got object: use pd\.to_numeric"):
        clear_vcg(bids, pd.Series(["1"], index=twice[:1], dtype=object))


def test_one_name_is_no_sequence_of_names():
    with pytest.raises(DataError, match=r"bidders must be a sequence of names, got 'lab': write \['lab'\]"):
        explain_vcg(table_of([[(1, 5)]]), 3.0, bidders="lab")


def test_no_award_payment_or_price_is_minus_zero():
    clearing = clear_double(table_of([[(2, 10)], [(-3, 50)], [(-1, -0.0)], [(0, 4)]]))
    single = clear_pay_as_bid(table_of([[(1, -0.0)], [(1, -3.0)]]), 2.0, reserve_price=-5.0)
    for part in (clearing.awards["quantity_mw"], clearing.payments, single.awards["quantity_mw"], single.payments):
        assert not np.signbit(part[part == 0]).any()
