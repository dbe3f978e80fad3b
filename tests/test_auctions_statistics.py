"""Statistics of a clearing: identities, the optimum against linear programmes, and answers worked by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.auctions.clearing import Clearing
from gridlab.auctions.double import clear_double
from gridlab.auctions.merit_order import clear_vcg
from gridlab.auctions.one_sided import clear_pay_as_bid, clear_second_price, clear_uniform
from gridlab.auctions.statistics import by_bidder, statistics
from gridlab.errors import DataError
from gridlab.schema import mock_bids, mock_times


def table_of(rows: list[tuple[int, int, float, float]]) -> pd.DataFrame:
    """Bids from (hour, bidder, quantity, price), sorted so that each bidder's curve for power on sale decreases."""
    rows = sorted(rows, key=lambda row: (row[0], row[1], -row[3]))
    hour, bidder, quantity, price = (np.array(column) for column in zip(*rows, strict=True))
    return pd.DataFrame(
        {
            "time": mock_times(1)[hour.astype(int)],
            "bidder": [f"bidder_{i}" for i in bidder],
            "service": "energy",
            "quantity_mw": quantity.astype(float),
            "price": price.astype(float),
        }
    )


def rows(quantities):
    row = st.tuples(st.integers(0, 2), st.integers(0, 3), quantities, st.integers(-5, 20))
    return st.lists(row, min_size=1, max_size=10).map(table_of)


wanted, traded = rows(st.integers(0, 5)), rows(st.integers(-5, 5))
supplies = st.integers(0, 15)


def best_by_linear_programme(bids, side, capacity=None) -> float:
    """The greatest sum of `side` times value over the rows: within the capacity, or with sold equal to bought."""
    total = 0.0
    for _, rows_now in bids.groupby("time"):
        quantity, price = rows_now["quantity_mw"].to_numpy(), rows_now["price"].to_numpy()
        bounds = [(min(q, 0.0), max(q, 0.0)) for q in quantity]
        ones = np.ones((1, len(quantity)))
        limit = {"A_eq": ones, "b_eq": [0.0]} if capacity is None else {"A_ub": ones, "b_ub": [capacity]}
        total -= linprog(-side * price, bounds=bounds, **limit).fun
    return total


@given(wanted, supplies, st.sampled_from([clear_vcg, clear_uniform, clear_pay_as_bid]))
def test_truthful_bids_for_capacity_reach_the_optimum_of_the_linear_programme(bids, capacity, clear):
    clearing = clear(bids, capacity, step_hours=0.5)
    found = statistics(bids, clearing, capacity_mw=capacity, step_hours=0.5)
    assert found["optimum"] == pytest.approx(best_by_linear_programme(bids, 1, capacity) / 2, abs=1e-9)
    assert found["welfare"] == pytest.approx(found["optimum"], abs=1e-9)
    assert found["efficiency"] == pytest.approx(1.0) if found["optimum"] else np.isnan(found["efficiency"])


@given(traded)
def test_truthful_offers_and_bids_reach_the_optimum_of_the_linear_programme_and_balance_at_one_price(bids):
    found = statistics(bids, clear_double(bids, step_hours=0.5), two_sided=True, step_hours=0.5)
    assert found["optimum"] == pytest.approx(best_by_linear_programme(bids, -1) / 2, abs=1e-9)
    assert found["welfare"] == pytest.approx(found["optimum"], abs=1e-9)
    assert found["balance"] == pytest.approx(0, abs=1e-9) and found["revenue"] == pytest.approx(found["payout"])


@given(traded, st.data())
def test_welfare_is_the_bidders_surplus_and_the_auctions_balance_and_never_above_the_optimum(bids, data):
    values = np.array([data.draw(st.integers(-5, 20)) for _ in range(len(bids))], dtype=float)
    clearing = clear_double(bids)
    found = statistics(bids, clearing, values=values, two_sided=True)
    each = by_bidder(bids, clearing, values=values, two_sided=True)
    assert found["welfare"] == pytest.approx(found["surplus"] + found["balance"], abs=1e-9)
    assert found["balance"] == pytest.approx(found["revenue"] - found["payout"], abs=1e-9)
    assert each["surplus"].sum() == pytest.approx(found["surplus"], abs=1e-9)
    assert each["value"].sum() == pytest.approx(found["welfare"], abs=1e-9)
    assert each["payment"].sum() == pytest.approx(found["balance"], abs=1e-9)
    assert found["welfare"] <= found["optimum"] + 1e-9


@given(wanted, supplies, st.data())
def test_bids_that_are_not_the_values_never_reach_more_than_the_optimum_of_the_values(bids, capacity, data):
    values = np.array([data.draw(st.integers(0, 20)) for _ in range(len(bids))], dtype=float)
    truth = bids.assign(price=values)
    found = statistics(bids, clear_uniform(bids, capacity), values=values, capacity_mw=capacity)
    assert found["optimum"] == pytest.approx(best_by_linear_programme(truth, 1, capacity), abs=1e-9)
    assert found["welfare"] <= found["optimum"] + 1e-9


def test_what_a_bidder_bid_at_one_price_counts_as_used_where_it_is_truly_worth_most():
    bids = table_of([(0, 0, 2, 10), (0, 0, 2, 10), (0, 1, 4, 10)])
    clearing = clear_uniform(bids, 4)
    assert clearing.awards["quantity_mw"].tolist() == [1, 1, 2]
    each = by_bidder(bids, clearing, values=[30.0, 12.0, 11.0])
    assert each["value"].tolist() == [60, 22]
    sold = bids.assign(quantity_mw=[2.0, 2.0, -2.0], price=[10.0, 10.0, 30.0])
    costs = by_bidder(sold, clear_double(sold), values=[9.0, 4.0, 30.0])
    assert costs["value"].tolist() == [-8, 60]


def test_ausubels_five_licences_earn_385_of_a_welfare_of_589():
    """L. M. Ausubel, "An efficient ascending-bid auction for multiple objects," AER 94(5), 2004, section I."""
    values = [(123, 113, 103), (75, 5, 3), (125, 125, 49), (85, 65, 7), (45, 25, 5)]
    bids = table_of([(0, i, 1, value) for i, curve in enumerate(values) for value in curve])
    found = statistics(bids, clear_vcg(bids, 5), capacity_mw=5)
    assert found.round(9).to_dict() == {
        "welfare": 589, "optimum": 589, "efficiency": 1, "surplus": 204, "revenue": 385, "payout": 0, "balance": 385,
    }  # fmt: skip
    each = by_bidder(bids, clear_vcg(bids, 5))
    assert each.loc["bidder_0"].round(9).to_dict() == {"awarded_mwh": 3, "value": 339, "payment": 225, "surplus": 114}
    assert statistics(bids, clear_uniform(bids, 5))["revenue"] == 425


def test_honest_payments_on_both_sides_leave_the_auction_a_deficit():
    """One seller at 4 and one buyer at 10: each is paid what it brings the other (Myerson and Satterthwaite 1983)."""
    bids = table_of([(0, 0, 1, 4), (0, 1, -1, 10)])
    clearing = Clearing(bids, pd.Series([-10.0, 4.0]), pd.Series([np.nan]))
    found = statistics(bids, clearing)
    assert found[["welfare", "surplus", "revenue", "payout", "balance"]].tolist() == [6, 12, 4, 10, -6]


def test_a_lot_that_shaded_bids_send_astray_is_less_than_efficient():
    bids = table_of([(0, 0, 2, 10), (0, 1, 2, 12)])
    found = statistics(bids, clear_second_price(bids), values=[20.0, 15.0], capacity_mw=2)
    assert found[["welfare", "optimum", "efficiency"]].tolist() == [30, 40, 0.75]
    assert statistics(bids, clear_second_price(bids), values=[20.0, 15.0], optimum=60.0)["efficiency"] == 0.5


def test_a_bidder_that_sells_and_buys_is_netted():
    bids = table_of([(0, 0, 2, 10), (1, 0, -3, 30), (0, 1, -2, 20), (1, 1, 3, 15)])
    each = by_bidder(bids, clear_double(bids), values=pd.Series(bids["price"]))
    assert each["awarded_mwh"].tolist() == [-1, 1]
    assert each["value"].tolist() == [-20 + 90, 40 - 45]


def test_the_efficiency_of_nothing_to_gain_or_of_an_unknown_optimum_is_nan():
    bids = table_of([(0, 0, 2, 10)])
    assert np.isnan(statistics(bids, clear_vcg(bids, 0), capacity_mw=0)["efficiency"])
    assert statistics(bids, clear_vcg(bids, 1))[["optimum", "efficiency"]].isna().all()
    empty = bids.iloc[:0]
    found = statistics(empty, clear_vcg(empty, 5), capacity_mw=5)
    assert not found.drop("efficiency").any() and by_bidder(empty, clear_vcg(empty, 5)).empty


def test_one_side_alone_may_be_said_to_be_a_market_of_two():
    bids = mock_bids(4).assign(quantity_mw=1.0, price=[1.0, 2.0, 3.0, 4.0])
    clearing = clear_double(bids)
    assert statistics(bids, clearing, two_sided=True)[["welfare", "optimum"]].tolist() == [0, 0]


def test_a_clearing_or_values_that_do_not_fit_the_bids_are_refused():
    bids = mock_bids(4)
    clearing = clear_double(bids)
    with pytest.raises(DataError, match=r"clearing has 4 awards and 4 payments whose rows are not the 3 of bids"):
        statistics(bids.iloc[:3], clearing)
    with pytest.raises(DataError, match=r"values must have one number for each of the 4 rows, got shape \(3,\)"):
        statistics(bids, clearing, values=[1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"values has 4 rows that are not those of the bids"):
        by_bidder(bids, clearing, values=pd.Series([1.0, 2.0, 3.0, 4.0], index=[3, 2, 1, 0]))
    with pytest.raises(DataError, match=r"values is not finite in row 1, nan"):
        statistics(bids, clearing, values=[1.0, np.nan, 3.0, 4.0])
    with pytest.raises(DataError, match=r"bids\['price'\] is not finite in row 2, inf \$/MWh: state what .* in values"):
        statistics(bids.assign(price=[1.0, 2.0, np.inf, 4.0]), clearing)
    with pytest.raises(DataError, match="optimum must be finite, a number in"):
        statistics(bids, clearing, optimum=np.nan)
    with pytest.raises(DataError, match="step_hours must be above 0"):
        by_bidder(bids, clearing, step_hours=0.0)


def test_a_clearing_of_the_same_bids_in_another_order_is_refused():
    bids = table_of([(0, 0, 2, 10), (0, 1, -2, 30), (1, 2, 1, 5)])
    other = clear_double(bids.iloc[::-1].reset_index(drop=True))
    for made in (statistics, by_bidder):
        with pytest.raises(DataError, match=r"clearing has the time 2024-01-01 01:00.* in row 0 where bids have 2024"):
            made(bids, other)
    with pytest.raises(
        DataError, match="has the bidder bidder_1 in row 0 where bids have bidder_0: pass the bids that"
    ):
        statistics(bids, clear_double(bids.assign(bidder=["bidder_1", "bidder_0", "bidder_2"])))
    with pytest.raises(DataError, match="clearing has the service heat in row 0 where bids have energy"):
        statistics(bids, clear_double(bids.assign(service="heat")))
    grouped = bids.astype({"bidder": "category"})
    assert statistics(bids, clear_double(grouped)).equals(statistics(bids, clear_double(bids)))


def test_a_payout_of_nothing_is_plus_zero():
    bids = table_of([(0, 0, 2, 10)])
    assert not np.signbit(statistics(bids, clear_vcg(bids, 1))["payout"])
