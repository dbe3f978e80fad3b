"""Peer matching: conservation, no loss to anyone, the most value by a linear programme, and answers by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.auctions.double import clear_double
from gridlab.auctions.peer import clear_p2p, match_p2p
from gridlab.errors import DataError
from gridlab.schema import mock_times

RULES = ["pro_rata", "price_ranked"]


def table_of(rows: list[tuple[int, float, float]]) -> pd.DataFrame:
    """Bids from (hour, quantity, price)."""
    hour, quantity, price = (np.array(column) for column in zip(*rows, strict=True))
    return pd.DataFrame(
        {
            "time": mock_times(1)[hour.astype(int)],
            "bidder": [f"home_{i}" for i in range(len(rows))],
            "service": "energy",
            "quantity_mw": quantity.astype(float),
            "price": price.astype(float),
        }
    )


amounts = st.one_of(st.integers(-5, 5), st.floats(-5, 5, allow_subnormal=False))
books = st.lists(st.tuples(st.integers(0, 2), amounts, st.integers(-20, 20)), min_size=1, max_size=12).map(table_of)
losses = st.sampled_from([0.0, 0.05, 0.3, 0.999])


def most_value(book: pd.DataFrame, loss_share: float) -> float:
    """Value of the best matching of one market, by a linear programme over all pairs."""
    sells, buys = book[book["quantity_mw"] > 0], book[book["quantity_mw"] < 0]
    if sells.empty or buys.empty:
        return 0.0
    gain = np.subtract.outer(-sells["price"].to_numpy(), -buys["price"].to_numpy() * (1 - loss_share))
    n_sells, n_buys = gain.shape
    limits = [np.kron(np.eye(n_sells), np.ones(n_buys)), np.kron(np.ones(n_sells), np.eye(n_buys)) * (1 - loss_share)]
    caps = np.r_[sells["quantity_mw"], -buys["quantity_mw"]]
    return float(-linprog(-gain.ravel(), A_ub=np.vstack(limits), b_ub=caps).fun)


@given(books, losses)
@pytest.mark.parametrize("rule", RULES)
def test_what_is_sold_less_the_loss_is_bought_and_money_sums_to_zero_at_each_time(rule, book, loss):
    clearing = clear_p2p(book, rule=rule, loss_share=loss, step_hours=0.25)
    awarded = clearing.awards["quantity_mw"]
    sold, bought = (awarded.clip(lower=0), -awarded.clip(upper=0))
    gap = (sold * (1 - loss) - bought).groupby(book["time"]).sum()
    assert gap.abs().max() < 1e-9
    assert clearing.payments.groupby(book["time"]).sum().abs().max() < 1e-9
    assert (clearing.prices.isna() == (bought.groupby(book["time"]).sum() == 0)).all()


@given(books, losses)
@pytest.mark.parametrize("rule", RULES)
def test_no_one_trades_more_than_it_bid_for_or_worse_than_its_limit(rule, book, loss):
    clearing = clear_p2p(book, rule=rule, loss_share=loss)
    awarded, quantity = clearing.awards["quantity_mw"], book["quantity_mw"]
    assert ((awarded * quantity >= 0) & (awarded.abs() <= quantity.abs() * (1 + 1e-12))).all()
    assert (-clearing.payments - awarded * book["price"] >= -1e-9).all()


@given(books, losses)
def test_no_matching_creates_more_value_than_the_price_ranked(book, loss):
    ranked, shared = (clear_p2p(book, rule=rule, loss_share=loss) for rule in ("price_ranked", "pro_rata"))
    for _, own in book.groupby("time"):
        value = [-(c.awards.loc[own.index, "quantity_mw"] * own["price"]).sum() for c in (ranked, shared)]
        best = most_value(own, loss)
        assert value[0] == pytest.approx(best, abs=1e-7)
        assert value[1] <= best + 1e-7


@given(books, losses)
def test_the_pairs_add_up_to_the_clearing_and_both_gain_the_same_in_each(book, loss):
    clearing, pairs = clear_p2p(book, rule="price_ranked", loss_share=loss), match_p2p(book, loss_share=loss)
    sold = pairs.groupby("seller_row")["sold_mw"].sum().reindex(book.index, fill_value=0.0)
    bought = pairs.groupby("buyer_row")["bought_mw"].sum().reindex(book.index, fill_value=0.0)
    np.testing.assert_allclose(clearing.awards["quantity_mw"], sold - bought, atol=1e-12)
    np.testing.assert_allclose(pairs["sold_mw"] * (1 - loss), pairs["bought_mw"], rtol=1e-12)
    bid, offer = (book["price"].loc[pairs[row]].to_numpy() for row in ("buyer_row", "seller_row"))
    assert (bid * (1 - loss) >= offer).all()
    buyers_gain = pairs["bought_mw"] * (bid - pairs["price"])
    sellers_gain = pairs["bought_mw"] * pairs["price"] - pairs["sold_mw"] * offer
    np.testing.assert_allclose(buyers_gain, sellers_gain, atol=1e-9)
    assert (buyers_gain >= -1e-12).all()
    assert len(pairs) <= len(book)


@given(books)
def test_without_loss_the_price_ranked_matching_trades_what_the_double_auction_trades(book):
    ranked, uniform = clear_p2p(book, rule="price_ranked", loss_share=0.0), clear_double(book)
    worth = [-(c.awards["quantity_mw"] * book["price"]).sum() for c in (ranked, uniform)]
    assert worth[0] == pytest.approx(worth[1], abs=1e-9)


@given(books, losses, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter_to_the_shares(book, loss, random):
    order = list(range(len(book)))
    random.shuffle(order)
    one, two = clear_p2p(book, loss_share=loss), clear_p2p(book.iloc[order], loss_share=loss)
    np.testing.assert_allclose(one.awards["quantity_mw"], two.awards["quantity_mw"].sort_index(), atol=1e-12)
    np.testing.assert_allclose(one.payments, two.payments.sort_index(), atol=1e-9)
    np.testing.assert_allclose(one.prices, two.prices)


@given(books, losses, st.floats(-30, 30))
def test_at_a_stated_price_the_short_side_is_filled_and_the_long_side_shares_alike(book, loss, price):
    awarded = clear_p2p(book, loss_share=loss, price=price).awards["quantity_mw"]
    for _, own in book.groupby("time"):
        sells = own[(own["quantity_mw"] > 0) & (own["price"] <= price * (1 - loss))]
        buys = own[(own["quantity_mw"] < 0) & (own["price"] >= price)]
        arrives, wanted = sells["quantity_mw"].sum() * (1 - loss), -buys["quantity_mw"].sum()
        bought = min(arrives, wanted)
        for side, whole in ((sells, arrives), (buys, wanted)):
            share = bought / whole if whole > 0 else 0.0
            np.testing.assert_allclose(awarded[side.index], side["quantity_mw"] * share, atol=1e-12)
        rest = own.index.difference(sells.index.union(buys.index))
        assert (awarded[rest] == 0).all()


def test_two_solar_homes_sell_to_three_at_the_mid_market_rate():
    """Export at 40, import at 200 and no loss: 120 for all; 5 MW offered, 4 wanted, so each seller sells 4/5."""
    book = table_of([(12, 3, 40), (12, 2, 40), (12, -1, 200), (12, -1, 200), (12, -2, 200)])
    clearing = clear_p2p(book, loss_share=0.0)
    assert clearing.prices.tolist() == [120]
    assert clearing.awards["quantity_mw"].tolist() == pytest.approx([2.4, 1.6, -1, -1, -2])
    assert clearing.payments.tolist() == pytest.approx([-288, -192, 120, 120, 240])


def test_with_five_per_cent_loss_a_trade_needs_a_spread_of_more_than_the_loss():
    """96 x 0.95 = 91.2 > 91 > 90.25 = 95 x 0.95."""
    for rule in RULES:
        assert clear_p2p(table_of([(0, 1, 91), (0, -1, 96)]), rule=rule).awards["quantity_mw"].abs().sum() > 0
        assert clear_p2p(table_of([(0, 1, 91), (0, -1, 95)]), rule=rule).awards["quantity_mw"].abs().sum() == 0


def test_negative_prices_trade_where_both_gain():
    """A seller that would pay 20 to be rid of power and a buyer that wants at least 10 to take it."""
    book = table_of([(0, 2, -20), (0, -1, -10)])
    pairs = match_p2p(book, loss_share=0.5)
    assert pairs[["sold_mw", "bought_mw", "price"]].to_numpy().tolist() == [[2, 1, -25]]
    assert clear_p2p(book, rule="price_ranked", loss_share=0.5).payments.tolist() == [25, -25]


def test_one_side_alone_and_an_empty_book_trade_nothing():
    for rule in RULES:
        alone = clear_p2p(table_of([(0, 2, 5), (1, -2, 5), (2, 0, 5)]), rule=rule)
        assert alone.awards["quantity_mw"].abs().sum() == alone.payments.abs().sum() == 0
        assert alone.prices.isna().all()
        assert [len(part) for part in clear_p2p(table_of([(0, 1, 1)]).iloc[:0], rule=rule)] == [0, 0, 0]
    assert len(match_p2p(table_of([(0, 2, 5)]))) == 0


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("rule", RULES)
def test_tiny_and_huge_quantities_trade_alike(rule, scale):
    book = table_of([(0, 3, 10), (0, 1.7, 12), (0, -2, 40), (0, -4, 30)])
    one, two = (clear_p2p(b, rule=rule) for b in (book, book.assign(quantity_mw=book["quantity_mw"] * scale)))
    np.testing.assert_allclose(two.awards["quantity_mw"], one.awards["quantity_mw"] * scale, rtol=1e-12)


def test_a_price_by_time_is_used_at_its_time():
    book = table_of([(0, 1, 0), (0, -1, 90), (1, 1, 0), (1, -1, 90)])
    price = pd.Series([20.0, 50.0], index=mock_times(1)[:2])
    assert clear_p2p(book, price=price, loss_share=0.0).payments.tolist() == [-20, 20, -50, 50]


def test_takers_of_any_price_share_at_a_stated_price():
    book = table_of([(0, 1, -np.inf), (0, -1, np.inf), (0, 0, np.inf)])
    assert clear_p2p(book, price=30, loss_share=0.0).payments.tolist() == [-30, 30, 0]


def test_what_cannot_be_matched_is_refused():
    book = table_of([(0, 1, 10), (0, -1, 90)])
    for loss in (-0.1, 1.0, np.nan):
        with pytest.raises(DataError, match=r"loss_share must be in \[0, 1\)"):
            clear_p2p(book, loss_share=loss)
    with pytest.raises(DataError, match="price must be finite"):
        clear_p2p(book, price=np.nan)
    with pytest.raises(DataError, match="price has no value for 2024-01-01 00:00"):
        clear_p2p(book, price=pd.Series([1.0], index=mock_times(1)[3:4]))
    with pytest.raises(DataError, match="leave price out"):
        clear_p2p(book, rule="price_ranked", price=3.0)
    for rule in RULES:
        with pytest.raises(DataError, match=r"bids\['price'\] is infinite in row 1"):
            clear_p2p(book.assign(price=[1.0, np.inf]), rule=rule)
        with pytest.raises(DataError, match="2 services"):
            clear_p2p(book.assign(service=["energy", "heat"]), rule=rule)
    with pytest.raises(DataError, match="the names are pro_rata, price_ranked"):
        clear_p2p(book, rule="fair")
    with pytest.raises(DataError, match="step_hours"):
        clear_p2p(book, step_hours=0)


def test_a_price_by_time_that_is_twice_or_not_a_number_is_refused():
    book, twice = table_of([(0, 1, 10), (0, -1, 90)]), mock_times(1)[[0, 0]]
    with pytest.raises(DataError, match=r"price has 2024-01-01 .* twice: give each time one value"):
        clear_p2p(book, price=pd.Series([20.0, 30.0], index=twice))
    with pytest.raises(DataError, match="price must hold numbers, got object"):
        clear_p2p(book, price=pd.Series(["20"], index=twice[:1], dtype=object))
    for price in ("20", [20.0]):
        with pytest.raises(DataError, match="price must be a number or a Series by time"):
            clear_p2p(book, price=price)
    with pytest.raises(DataError, match=r"loss_share must be in \[0, 1\), got None"):
        clear_p2p(book, loss_share=None)
