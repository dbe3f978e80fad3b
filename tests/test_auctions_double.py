"""Double auctions: laws of the truthful rules against re-solving without each trader, then published answers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.auctions.double import clear_double
from gridlab.errors import DataError
from gridlab.schema import mock_times

Trader = tuple[int, list[tuple[float, float]]]  # side, segments of (quantity, price)


def in_order(side: int, segments: list[tuple[float, float]]) -> Trader:
    return side, sorted(segments, key=lambda segment: side * segment[1])


def table_of(traders: list[Trader], time: int = 0) -> pd.DataFrame:
    """Bids of traders named in order."""
    rows = [(f"trader_{i:02d}", side * q, p) for i, (side, segments) in enumerate(traders) for q, p in segments]
    return pd.DataFrame(rows, columns=["bidder", "quantity_mw", "price"]).assign(
        time=mock_times(1)[time], service="energy", quantity_mw=lambda table: table["quantity_mw"].astype(float)
    )


def units(*buyers_then_sellers: list[float]) -> list[Trader]:
    return [(side, [(1, price)]) for side, prices in zip((-1, 1), buyers_then_sellers, strict=True) for price in prices]


def welfare(book: pd.DataFrame, awarded: pd.Series) -> float:
    return float(-(awarded * book["price"]).sum())


def most_welfare(traders: list[Trader]) -> float:
    """The obvious way: megawatts traded one by one while the next buyer values one more than the next seller."""
    buyers = sorted((p for side, segments in traders if side < 0 for q, p in segments for _ in range(q)), reverse=True)
    sellers = sorted(p for side, segments in traders if side > 0 for q, p in segments for _ in range(q))
    return sum(max(buyer - seller, 0) for buyer, seller in zip(buyers, sellers, strict=False))


def utility(true: Trader, book: pd.DataFrame, clearing, name: str) -> float:
    """What a trader's power is worth to it less what it pays; more than it has or can use is not to be had."""
    side, segments = true
    own = (book["bidder"] == name).to_numpy()
    power = abs(clearing.awards["quantity_mw"].to_numpy()[own].sum())
    have = sum(q for q, _ in segments)
    if power > have + 1e-9:
        return -np.inf
    filled = np.diff(np.minimum(np.r_[0, np.cumsum([q for q, _ in segments])], power))
    return float(-side * (filled * [p for _, p in segments]).sum() - clearing.payments.to_numpy()[own].sum())


segment = st.tuples(st.integers(1, 4), st.integers(-8, 8))
trader = st.builds(in_order, st.sampled_from([-1, 1]), st.lists(segment, min_size=1, max_size=3))
markets = st.lists(trader, min_size=1, max_size=7)
unit = st.builds(lambda side, price: (side, [(1, price)]), st.sampled_from([-1, 1]), st.integers(-8, 8))
unit_markets = st.lists(unit, min_size=1, max_size=10)
TRUTHFUL = ["vcg", "muda", "muda_lottery"]


def cleared(book: pd.DataFrame, rule: str, seed: int = 0):
    return clear_double(book, rule=rule, rng=np.random.default_rng(seed))


@given(markets)
def test_vcg_payments_are_the_harm_to_the_others_found_by_solving_again_without_each_trader(traders):
    book = table_of(traders)
    clearing = clear_double(book, rule="vcg")
    assert welfare(book, clearing.awards["quantity_mw"]) == pytest.approx(most_welfare(traders), abs=1e-9)
    for i in range(len(traders)):
        own = book["bidder"] == f"trader_{i:02d}"
        others = welfare(book[~own], clearing.awards.loc[~own, "quantity_mw"])
        harm = most_welfare(traders[:i] + traders[i + 1 :]) - others
        assert clearing.payments[own].sum() == pytest.approx(harm, abs=1e-9)


@given(markets, trader, st.integers(0, 30))
@settings(max_examples=40)
@pytest.mark.parametrize("rule", TRUTHFUL)
def test_no_trader_gains_by_another_price_or_quantity_whatever_the_coins(rule, traders, lie, seed):
    true = traders[0]
    told = in_order(true[0], lie[1])
    honest_book, false_book = table_of(traders), table_of([told, *traders[1:]])
    honest = utility(true, honest_book, cleared(honest_book, rule, seed), "trader_00")
    false = utility(true, false_book, cleared(false_book, rule, seed), "trader_00")
    assert false <= honest + 1e-9


@given(unit_markets, st.integers(-9, 9))
@settings(max_examples=60)
def test_no_trader_of_a_unit_gains_by_another_price_under_mcafee(traders, lie):
    true = traders[0]
    honest_book, false_book = table_of(traders), table_of([(true[0], [(1, lie)]), *traders[1:]])
    honest = utility(true, honest_book, cleared(honest_book, "mcafee"), "trader_00")
    false = utility(true, false_book, cleared(false_book, "mcafee"), "trader_00")
    assert false <= honest + 1e-9


@given(markets, st.integers(0, 30))
@pytest.mark.parametrize("rule", ["uniform", *TRUTHFUL])
def test_power_balances_no_row_trades_at_a_loss_and_the_money_left_over_is_as_theory_says(rule, traders, seed):
    book = table_of(traders)
    clearing = cleared(book, rule, seed)
    awarded, quantity = clearing.awards["quantity_mw"], book["quantity_mw"]
    assert abs(awarded.sum()) < 1e-9
    assert ((awarded * np.sign(quantity) >= 0) & (awarded.abs() <= quantity.abs() + 1e-12)).all()
    assert (-clearing.payments - awarded * book["price"] >= -1e-9).all()
    left = clearing.payments.sum()
    assert {"uniform": abs(left) < 1e-9, "vcg": left < 1e-9, "muda": left > -1e-9, "muda_lottery": abs(left) < 1e-9}[
        rule
    ]
    best = most_welfare(traders)
    reached = welfare(book, awarded)
    assert reached <= best + 1e-9
    if rule in ("uniform", "vcg"):
        assert reached == pytest.approx(best, abs=1e-9)


@given(unit_markets)
def test_mcafee_loses_at_most_the_least_valuable_trade_and_never_pays_in(traders):
    book = table_of(traders)
    clearing = cleared(book, "mcafee")
    awarded = clearing.awards["quantity_mw"]
    assert awarded.sum() == 0
    assert (-clearing.payments - awarded * book["price"] >= -1e-9).all()
    assert clearing.payments.sum() >= -1e-9
    assert np.isnan(clearing.prices.iloc[0]) or clearing.payments.sum() == pytest.approx(0)
    buyers = sorted((segments[0][1] for side, segments in traders if side < 0), reverse=True)
    sellers = sorted(segments[0][1] for side, segments in traders if side > 0)
    gains = [b - s for b, s in zip(buyers, sellers, strict=False) if b >= s]
    lost = sum(gains) - welfare(book, awarded)
    assert lost == pytest.approx(0) or lost == pytest.approx(gains[-1])


@given(markets, st.randoms(use_true_random=False))
@pytest.mark.parametrize("rule", ["uniform", *TRUTHFUL])
def test_the_order_of_the_traders_does_not_matter(rule, traders, random):
    book = table_of(traders)
    names = list(book["bidder"].unique())
    random.shuffle(names)
    mixed = pd.concat([book[book["bidder"] == name] for name in names])
    one, two = cleared(book, rule, 5), cleared(mixed, rule, 5)
    np.testing.assert_allclose(one.awards["quantity_mw"], two.awards["quantity_mw"].sort_index(), atol=1e-12)
    np.testing.assert_allclose(one.payments, two.payments.sort_index(), atol=1e-9)


@given(markets, markets)
@pytest.mark.parametrize("rule", ["uniform", "vcg"])
def test_each_time_is_a_market_of_its_own(rule, first, second):
    books = [table_of(first, 3), table_of(second, 1)]
    both = pd.concat(books, ignore_index=True)
    together = clear_double(both, rule=rule, step_hours=0.25)
    apart = [clear_double(book, rule=rule, step_hours=0.25) for book in books]
    np.testing.assert_allclose(together.payments, np.concatenate([one.payments for one in apart]), atol=1e-12)
    np.testing.assert_array_equal(together.prices, [apart[1].prices.iloc[0], apart[0].prices.iloc[0]])


def test_mcafee_all_four_trade_at_eight_and_a_half():
    """E. Segal-Halevi's demonstration of McAfee's rule, github.com/erelsgl/auctions, worked by hand."""
    book = table_of(units([17, 14, 13, 9, 6], [1, 4, 5, 8, 11]))
    clearing = clear_double(book, rule="mcafee")
    assert clearing.prices.tolist() == [8.5]
    assert clearing.awards["quantity_mw"].tolist() == [-1, -1, -1, -1, 0, 1, 1, 1, 1, 0]
    assert clearing.payments.sum() == 0


def test_mcafee_drops_the_fourth_trade_where_the_next_seller_asks_thirteen():
    """The same demonstration: (6 + 13) / 2 is above the fourth buyer's 9, so three pay 9, three get 8, 3 are left."""
    book = table_of(units([17, 14, 13, 9, 6], [1, 4, 5, 8, 13]))
    clearing = clear_double(book, rule="mcafee")
    assert clearing.payments.tolist() == [9, 9, 9, 0, 0, -8, -8, -8, 0, 0]
    assert np.isnan(clearing.prices.iloc[0])


def test_bilateral_vcg_trades_at_a_deficit():
    """Myerson and Satterthwaite 1983: the buyer pays the seller's 10, the seller gets the buyer's 30."""
    clearing = clear_double(table_of(units([30], [10])), rule="vcg")
    assert clearing.payments.tolist() == [10, -30]
    assert clear_double(table_of(units([30], [10])), rule="mcafee").awards["quantity_mw"].abs().sum() == 0


MUDA_PAPER = [  # given price: units traded, gain of the traders, money left over, by the authors' own doctest
    (51, (0, 0, 0)),
    (101, (4, 404, 496)),
    (151, (4, 603, 297)),
    (201, (8, 1099, 1)),
]


@pytest.mark.parametrize(("price", "answer"), MUDA_PAPER)
def test_muda_at_a_given_price_as_its_authors_compute_it(price, answer):
    """Traders of E. Segal-Halevi's doctest: 5 at 250; 3 at 350, 4 at 150; against 5 at 200; 4 at 100, 3 at 300."""
    four = [(-1, [(5, 250)]), (-1, [(3, 350), (4, 150)]), (1, [(5, 200)]), (1, [(4, 100), (3, 300)])]
    setters = [(-1, [(1, price)]), (1, [(1, price)])]
    book = table_of([*four, *setters])
    seed = next(s for s in range(10_000) if _halves(s, 6) == [0, 0, 0, 0, 1, 1])
    clearing = cleared(book, "muda", seed)
    ours = book.index[book["bidder"] < "trader_04"]
    awarded, payments = clearing.awards["quantity_mw"][ours], clearing.payments[ours]
    gain = welfare(book.loc[ours], awarded) - payments.sum()
    assert (awarded.clip(lower=0).sum(), gain, payments.sum()) == pytest.approx(answer)


def _halves(seed: int, n: int) -> list[int]:
    return (np.random.default_rng(seed).random((n, 2))[:, 0] < 0.5).astype(int).tolist()


def test_k_moves_the_price_from_the_sellers_end_to_the_buyers():
    """Chatterjee and Samuelson 1983: price k b + (1 - k) s of one buyer and one seller."""
    book = table_of(units([30], [10]))
    assert [clear_double(book, k=k).prices.iloc[0] for k in (0, 0.25, 1)] == [10, 15, 30]


def test_mudas_share_of_the_optimum_grows_with_the_market():
    def share(n_traders: int) -> float:
        rng = np.random.default_rng(3)
        rates = []
        for _ in range(8):
            book = table_of(units(list(rng.uniform(0, 100, n_traders)), list(rng.uniform(0, 100, n_traders))))
            best, reached = (clear_double(book, rule=rule, rng=rng) for rule in ("uniform", "muda"))
            rates.append(welfare(book, reached.awards["quantity_mw"]) / welfare(book, best.awards["quantity_mw"]))
        return float(np.mean(rates))

    shares = [share(n) for n in (10, 60, 400)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.93


@pytest.mark.parametrize("rule", ["uniform", "vcg", "mcafee", "muda", "muda_lottery"])
@pytest.mark.parametrize("traders", [[(1, [(2, 5)])], [(-1, [(2, 5)])], [(1, [(0, 5)]), (-1, [(0, 9)])]])
def test_one_side_alone_and_empty_rows_trade_nothing(rule, traders):
    clearing = cleared(table_of(traders), rule)
    assert clearing.awards["quantity_mw"].abs().sum() == clearing.payments.abs().sum() == 0
    assert clearing.prices.isna().all()
    assert [len(part) for part in cleared(table_of(traders).iloc[:0], rule)] == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_tiny_and_huge_quantities_and_prices_keep_the_vcg_payments(scale):
    traders = [(-1, [(3, 50), (2, 20)]), (-1, [(4, 40)]), (1, [(5, 10)]), (1, [(1, 15), (3, 35)])]
    book = table_of(traders)
    scaled = book.assign(quantity_mw=book["quantity_mw"] * scale, price=book["price"] * scale)
    np.testing.assert_allclose(
        clear_double(scaled, rule="vcg").payments, clear_double(book, rule="vcg").payments * scale**2, rtol=1e-12
    )


def test_what_a_truthful_rule_cannot_take_is_refused():
    good = [(-1, [(2, 9), (1, 7)]), (1, [(2, 3), (1, 4)])]
    book = table_of(good)
    with pytest.raises(DataError, match="bidder 'trader_00' is on both sides at 2024-01-01 00:00:00"):
        clear_double(book.assign(bidder="trader_00"), rule="vcg")
    with pytest.raises(DataError, match=r"bids\['price'\] is out of order in row 1, 9 \$/MWh: prices of offers must"):
        clear_double(book.assign(price=[7, 9, 3, 4]), rule="muda", rng=np.random.default_rng())
    with pytest.raises(DataError, match="'trader_00' comes twice, in separate places at 2024"):
        clear_double(book.iloc[[0, 2, 3, 1]], rule="vcg")
    with pytest.raises(DataError, match=r"bids\['price'\] is infinite in row 0"):
        clear_double(book.assign(price=[np.inf, 7, 3, 4]), rule="vcg")
    with pytest.raises(DataError, match="is not a unit in row 1, -1 MW: mcafee trades one unit size at a time, here 2"):
        clear_double(book, rule="mcafee")
    with pytest.raises(DataError, match="bidder 'trader_00' has a second unit"):
        clear_double(book.assign(quantity_mw=[-1.0, -1, 1, 1]), rule="mcafee")
    with pytest.raises(DataError, match="muda tosses coins"):
        clear_double(book, rule="muda")
    with pytest.raises(DataError, match="no rule of a double auction 'mcaffee', did you mean 'mcafee'"):
        clear_double(book, rule="mcaffee")
    with pytest.raises(DataError, match="k must be in"):
        clear_double(book, k=1.5)


def test_a_hundred_thousand_traders_clear_by_every_rule():
    rng = np.random.default_rng(1)
    n = 100_000
    book = pd.DataFrame(
        {
            "time": mock_times(1)[np.arange(n) % 24],
            "bidder": [f"trader_{i}" for i in range(n)],
            "service": "energy",
            "quantity_mw": np.where(rng.random(n) < 0.5, 1.0, -1.0),
            "price": rng.normal(40, 10, n),
        }
    )
    reached = {rule: clear_double(book, rule=rule, rng=rng) for rule in ("uniform", "vcg", "mcafee", "muda")}
    totals = {rule: welfare(book, clearing.awards["quantity_mw"]) for rule, clearing in reached.items()}
    assert totals["vcg"] == pytest.approx(totals["uniform"], rel=1e-12)
    assert totals["uniform"] >= totals["mcafee"] >= totals["muda"] > 0.95 * totals["uniform"]


@given(unit_markets, st.randoms(use_true_random=False))
def test_mcafee_leaves_every_trader_the_same_gain_in_any_order(traders, random):
    book = table_of(traders)
    order = list(range(len(book)))
    random.shuffle(order)
    gains = [
        (-clearing.payments - clearing.awards["quantity_mw"] * clearing.awards["price"]).sort_index()
        for clearing in (cleared(book, "mcafee"), cleared(book.iloc[order], "mcafee"))
    ]
    np.testing.assert_allclose(*gains, atol=1e-12)


@given(markets)
def test_as_bid_the_awards_are_the_uniform_ones_and_the_market_keeps_all_that_the_traders_would_gain(traders):
    book = table_of(traders)
    uniform, own = clear_double(book), clear_double(book, rule="pay_as_bid", step_hours=0.5)
    pd.testing.assert_frame_equal(own.awards, uniform.awards)
    pd.testing.assert_series_equal(own.prices, uniform.prices)
    np.testing.assert_allclose(own.payments, -0.5 * uniform.awards["quantity_mw"] * book["price"], atol=1e-12)
    assert own.payments.sum() == pytest.approx(0.5 * most_welfare(traders), abs=1e-9)


def test_a_bid_at_any_price_cannot_pay_its_own():
    book = table_of(units([30, np.inf], [10]))
    assert clear_double(book).prices.tolist() == [30]
    with pytest.raises(
        DataError, match=r"bids\['price'\] is infinite in row 1, inf .*: each row pays or is paid its own"
    ):
        clear_double(book, rule="pay_as_bid")


def test_a_small_bid_beside_large_ones_is_not_taken_for_rounding():
    """1e9 MW at 10 against 1e9 at 50 and 1e-4 at 40: the small buyer is turned down and bounds the price."""
    book = table_of([(1, [(1e9, 10)]), (-1, [(1e9, 50)]), (-1, [(1e-4, 40)])])
    for side in (1, -1):
        mirror = book.assign(quantity_mw=side * book["quantity_mw"], price=side * book["price"])
        clearing = clear_double(mirror)
        assert clearing.prices.tolist() == [side * 45.0]
        assert clearing.awards["quantity_mw"].tolist() == [side * 1e9, side * -1e9, 0]


def test_tenths_that_meet_three_tenths_clear_whole():
    book = table_of([(1, [(0.1, 1)]), (1, [(0.1, 2)]), (1, [(0.1, 3)]), (1, [(1, 9)]), (-1, [(0.3, 7)])])
    clearing = clear_double(book)
    assert clearing.awards["quantity_mw"].to_numpy() == pytest.approx([0.1, 0.1, 0.1, 0, -0.3], rel=1e-12)
    assert clearing.prices.tolist() == [5]


def test_services_that_are_numbers_and_a_rng_that_is_one_are_refused():
    book = table_of(units([30], [10]))
    with pytest.raises(DataError, match=r"bids hold 2 services \(1, 2\)"):
        clear_double(book.assign(service=[1, 2]))
    for rule in ("muda", "uniform"):
        with pytest.raises(DataError, match=r"rng must be a numpy\.random\.Generator, got 3"):
            clear_double(book, rule=rule, rng=3)
    for k in (None, "0.5"):
        with pytest.raises(DataError, match="k must be in"):
            clear_double(book, k=k)
