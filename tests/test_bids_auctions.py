"""Bids and auctions: laws of clearing, against the slow way, then small answers worked by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import auctions, bids
from gridlab.auctions.double import clear_double
from gridlab.errors import DataError
from gridlab.schema import mock_bids, mock_prices, mock_schedule, mock_times, validate


def table_of(rows: list[tuple[int, float, float]]) -> pd.DataFrame:
    """Bids from (hour, quantity, price)."""
    hour, quantity, price = (np.array(column) for column in zip(*rows, strict=True))
    return pd.DataFrame(
        {
            "time": mock_times(1)[hour.astype(int)],
            "bidder": [f"bidder_{i}" for i in range(len(rows))],
            "service": "energy",
            "quantity_mw": quantity.astype(float),
            "price": price.astype(float),
        }
    )


one_bid = st.tuples(st.integers(0, 2), st.integers(-5, 5), st.integers(-20, 20))
books = st.lists(one_bid, min_size=1, max_size=14).map(table_of)


def volume_at(book: pd.DataFrame, price: float) -> float:
    """The most that can be traded at a price, the obvious way."""
    quantity, limit = book["quantity_mw"], book["price"]
    return min(quantity[(quantity > 0) & (limit <= price)].sum(), -quantity[(quantity < 0) & (limit >= price)].sum())


@given(books)
def test_at_one_price_supply_equals_demand_and_the_payments_sum_to_zero(book):
    clearing = clear_double(book, step_hours=0.5)
    awarded = clearing.awards["quantity_mw"]
    assert awarded.groupby(book["time"]).sum().abs().max() < 1e-9
    assert abs(clearing.payments.sum()) < 1e-9
    price = clearing.prices.reindex(book["time"]).fillna(0).to_numpy()
    assert clearing.payments.to_numpy() == pytest.approx(-awarded.to_numpy() * price * 0.5)


@given(books)
def test_no_one_gets_more_than_it_bid_for_or_trades_at_a_loss_to_its_bid(book):
    clearing = clear_double(book)
    quantity, awarded = book["quantity_mw"].to_numpy(), clearing.awards["quantity_mw"].to_numpy()
    assert (np.abs(awarded) <= np.abs(quantity) + 1e-12).all()
    assert (awarded * quantity >= 0).all()
    assert (-clearing.payments - awarded * book["price"] >= -1e-9).all()


@given(books)
def test_no_price_trades_more(book):
    clearing = clear_double(book)
    for at, own in book.groupby("time"):
        traded = clearing.awards.loc[own.index, "quantity_mw"].clip(lower=0).sum()
        candidates = np.r_[own["price"], own["price"] + 0.5]
        assert traded == pytest.approx(max(volume_at(own, price) for price in candidates))
        assert np.isnan(clearing.prices[at]) == (traded == 0)


@given(books, st.randoms(use_true_random=False))
def test_the_order_of_the_bids_does_not_matter(book, random):
    order = list(range(len(book)))
    random.shuffle(order)
    one, two = clear_double(book), auctions.clear_uniform(book.iloc[order])
    pd.testing.assert_frame_equal(one.awards, two.awards.sort_index())
    pd.testing.assert_series_equal(one.prices, two.prices)


def test_the_price_is_the_middle_of_the_prices_that_clear():
    clearing = clear_double(table_of([(0, 2, 10), (0, -2, 30), (1, 2, 40), (1, -2, 30)]))
    assert clearing.prices.iloc[0] == 20
    assert np.isnan(clearing.prices.iloc[1])
    assert clearing.awards["quantity_mw"].tolist() == [2, -2, 0, 0]


def test_bids_at_the_price_share_what_is_left_by_quantity():
    clearing = clear_double(table_of([(0, 3, 20), (0, 1, 20), (0, -2, 50)]))
    assert clearing.prices.tolist() == [20]
    assert clearing.awards["quantity_mw"].tolist() == [1.5, 0.5, -2]


def test_a_price_taker_gets_the_other_sides_price():
    clearing = clear_double(table_of([(0, 2, -np.inf), (0, -2, 50), (1, 3, 20), (1, -1, np.inf)]))
    assert clearing.prices.tolist() == [50, 20]
    assert clear_double(table_of([(0, 0, -np.inf), (0, 2, 10), (0, -2, 50)])).prices.tolist() == [30]


def test_price_takers_alone_set_no_price():
    with pytest.raises(DataError, match="only price takers"):
        clear_double(table_of([(0, 2, -np.inf), (0, -2, np.inf)]))


def test_an_empty_book_clears_to_nothing():
    clearing = clear_double(table_of([(0, 1, 1)]).iloc[:0])
    assert [len(part) for part in clearing] == [0, 0, 0]


def test_what_one_auction_cannot_clear_is_refused():
    book = mock_bids(4)
    with pytest.raises(DataError, match="2 services"):
        clear_double(book.assign(service=["energy", "energy", "heat", "heat"]))
    with pytest.raises(DataError, match="step_hours"):
        clear_double(book, step_hours=0)


def test_a_hundred_thousand_bids_leave_nothing_unsold_that_was_bought():
    book = mock_bids(100_000)
    hours = np.random.default_rng(0).integers(0, 24, len(book))
    clearing = clear_double(book.assign(time=mock_times(1)[hours]))
    assert clearing.awards["quantity_mw"].groupby(clearing.awards["time"]).sum().abs().max() < 1e-9


@given(books)
def test_at_the_markets_price_everyone_gets_all_or_nothing_and_no_one_loses(book):
    prices = mock_prices(days=1).assign(price=5.0)
    clearing = auctions.clear_at_price(book, prices)
    quantity, awarded = book["quantity_mw"], clearing.awards["quantity_mw"]
    assert awarded[awarded != 0].equals(quantity[awarded != 0])
    assert (-clearing.payments >= awarded * book["price"]).all()
    refused = book[(awarded == 0) & (quantity != 0)]
    assert ((refused["price"] - 5.0) * np.sign(refused["quantity_mw"]) > 0).all()


def test_nothing_is_awarded_in_a_gap_and_a_time_without_a_row_is_refused():
    book = mock_bids(4)
    gap = mock_prices(days=1).assign(price=np.nan)
    clearing = auctions.clear_at_price(book, gap)
    assert clearing.awards["quantity_mw"].abs().sum() == clearing.payments.abs().sum() == 0
    with pytest.raises(DataError, match="no price for the bid at 2024-01-01"):
        auctions.clear_at_price(book, mock_prices(days=1, start="2025-01-01"))


def test_payments_are_for_the_length_of_the_interval():
    prices = mock_prices(days=1, freq="15min").assign(price=40.0)
    assert auctions.clear_at_price(table_of([(0, 2, 0)]), prices).payments.tolist() == [-20]


def test_a_price_taker_bids_its_whole_schedule_and_gets_it():
    schedule, prices = mock_schedule(days=2), mock_prices(days=2)
    book = validate(bids.bid_price_taker(schedule), "bids")
    awards = auctions.clear_at_price(book, prices).awards
    planned = schedule["battery_mw"][schedule["battery_mw"] != 0]
    assert awards["quantity_mw"].tolist() == planned.tolist()
    assert awards["time"].tolist() == planned.index.tolist()


def test_a_price_taker_bids_within_the_auctions_limits():
    book = bids.bid_price_taker(mock_schedule(days=1), floor=-500, cap=3000)
    assert book["price"].tolist() == [3000, -500]


def test_a_schedule_without_power_makes_an_empty_table_of_bids():
    book = bids.bid_price_taker(mock_schedule(days=1) * 0.0)
    assert len(validate(book, "bids")) == 0


def test_bids_that_cannot_be_made_are_refused():
    with pytest.raises(DataError, match="no column 'miner_mw'"):
        bids.bid_price_taker(mock_schedule(days=1), bidder="miner")
    with pytest.raises(DataError, match="floor must be below cap"):
        bids.bid_price_taker(mock_schedule(days=1), floor=5, cap=5)


def test_no_payment_at_the_markets_price_is_minus_zero():
    clearing = auctions.clear_at_price(
        table_of([(0, 2, 50), (0, 2, 0), (0, -2, 0)]), mock_prices(days=1).assign(price=5.0)
    )
    assert not np.signbit(clearing.payments[clearing.payments == 0]).any()
    assert clearing.prices.tolist() == [5] and clearing.prices.index.name == "time"
