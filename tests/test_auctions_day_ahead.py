"""Day-ahead clearing with blocks: against trying every choice of blocks, the market's rules, and answers by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.auctions.day_ahead import clear_day_ahead, paradoxical_blocks, welfare_given_up
from gridlab.auctions.double import clear_double
from gridlab.errors import DataError, PlanError
from gridlab.schema import mock_times

TIMES = mock_times(1)
EMPTY = {"block": "", "minimum_share": np.nan, "parent": "", "exclusive_group": ""}


def table_of(hourly: list[tuple[int, float, float]], blocks: list[dict] | None = None) -> pd.DataFrame:
    """Bids from hourly (hour, quantity, price) and from blocks with `power` by hour, `price` and the options."""
    rows = [
        {"hour": hour, "quantity_mw": q, "price": p, "bidder": f"home_{i}"} for i, (hour, q, p) in enumerate(hourly)
    ]
    for i, block in enumerate(blocks or []):
        options = {name: value for name, value in block.items() if name != "power"}
        for hour, power in block["power"].items():
            rows.append({"hour": hour, "quantity_mw": power, "bidder": "plant", "block": f"block_{i}"} | options)
    table = pd.DataFrame(rows)
    for column, value in EMPTY.items():
        table[column] = table[column].fillna(value) if column in table else value
    return table.assign(
        time=TIMES[table["hour"].astype(int)],
        service="energy",
        quantity_mw=table["quantity_mw"].astype(float),
        price=table["price"].astype(float),
    ).drop(columns="hour")


def least_share(row: pd.Series) -> float:
    return 1.0 if np.isnan(row["minimum_share"]) else row["minimum_share"]


class Oracle:
    """
    The obvious way: every choice of blocks by linear programmes.

    A choice is supported by prices if its welfare is that of the market in which each open block may be accepted to any
    share down to 0, and in which the world outside sells at the cap and buys at the floor: by duality prices within
    the floor and the cap then leave no one, block or hourly order, with a better answer than the one it has.
    """

    def __init__(self, book: pd.DataFrame) -> None:
        self.hourly = book[book["block"] == ""]
        self.blocks = list(book[book["block"] != ""].groupby("block"))
        self.names = [name for name, _ in self.blocks]
        self.times = sorted(book["time"].unique())
        self.floor, self.cap = book["price"].min(), book["price"].max()

    def power_at(self, rows: pd.DataFrame) -> np.ndarray:
        return rows.groupby("time")["quantity_mw"].sum().reindex(self.times, fill_value=0.0).to_numpy()

    def welfare(self, is_open: tuple[int, ...], *, whole: bool) -> float:
        """Greatest welfare of a choice, with the blocks' least shares or (`whole` False) without and with the world."""
        n_times, hourly, firsts = len(self.times), self.hourly, [rows.iloc[0] for _, rows in self.blocks]
        at = np.array([[time == t for time in hourly["time"]] for t in self.times]).reshape(n_times, len(hourly))
        profile = np.array([self.power_at(rows) for _, rows in self.blocks]).reshape(-1, n_times)
        balance = np.hstack([at * hourly["quantity_mw"].to_numpy(), profile.T, np.eye(n_times), -np.eye(n_times)])
        cost = np.r_[
            hourly["quantity_mw"] * hourly["price"],
            [energy * first["price"] for energy, first in zip(profile.sum(axis=1), firsts, strict=True)],
            np.full(n_times, self.cap),
            np.full(n_times, -self.floor),
        ]
        bounds = [(0, 1)] * len(hourly)
        bounds += [(o * least_share(f) if whole else 0, o) for o, f in zip(is_open, firsts, strict=True)]
        bounds += [(0, 0 if whole else None)] * (2 * n_times)
        links = []
        for child, first in enumerate(firsts):
            if first["parent"]:
                row = np.zeros(len(cost))
                row[len(hourly) + child], row[len(hourly) + self.names.index(first["parent"])] = 1, -1
                links.append(row)
        limits = {"A_ub": np.array(links), "b_ub": np.zeros(len(links))} if links else {}
        answer = linprog(cost, A_eq=balance, b_eq=np.zeros(n_times), bounds=bounds, **limits)
        return -answer.fun if answer.success else -np.inf

    def allowed(self, is_open: tuple[int, ...]) -> bool:
        groups = [rows.iloc[0]["exclusive_group"] for o, (_, rows) in zip(is_open, self.blocks, strict=True) if o]
        groups = [group for group in groups if group]
        for o, (_, rows) in zip(is_open, self.blocks, strict=True):
            first = rows.iloc[0]
            if o and first["parent"] and not is_open[self.names.index(first["parent"])]:
                return False
        return len(groups) == len(set(groups))

    def best(self) -> tuple[float, float]:
        """Greatest welfare that prices support, and greatest welfare of all."""
        supported, everything = [], []
        for is_open in itertools.product((0, 1), repeat=len(self.blocks)):
            if self.allowed(is_open):
                reached = self.welfare(is_open, whole=True)
                everything.append(reached)
                if reached >= self.welfare(is_open, whole=False) - 1e-7:
                    supported.append(reached)
        return max(supported), max(everything)


def welfare(book: pd.DataFrame, clearing) -> float:
    return float(-(clearing.awards["quantity_mw"] * book["price"]).sum())


hours = st.integers(0, 2)
hourly_orders = st.lists(st.tuples(hours, st.integers(-6, 6).filter(bool), st.integers(-5, 40)), min_size=2, max_size=9)
powers = st.dictionaries(hours, st.integers(1, 6), min_size=1, max_size=3)
plain = st.builds(
    lambda power, side, price: {"power": {h: side * p for h, p in power.items()}, "price": price},
    powers,
    st.sampled_from([-1, 1, 1]),
    st.integers(-5, 40),
)
books = st.builds(table_of, hourly_orders, st.lists(plain, min_size=1, max_size=4))


@st.composite
def rich_books(draw):
    """Blocks of any least share, of both signs, linked in chains and trees, and in exclusive groups."""
    blocks = draw(st.lists(plain, min_size=2, max_size=4))
    for i, block in enumerate(blocks):
        block["minimum_share"] = draw(st.sampled_from([1.0, 1.0, 0.5, 0.0]))
        kind = draw(st.sampled_from(["", "", "link", "group", "spread"]))
        if kind == "link" and i:
            block["parent"] = f"block_{draw(st.integers(0, i - 1))}"
        elif kind == "group":
            block["exclusive_group"] = "either"
        elif kind == "spread":
            block["power"] = {0: -2, 2: 2}
    return table_of(draw(hourly_orders), blocks)


@given(st.one_of(books, rich_books()))
@settings(max_examples=12)
def test_no_choice_of_blocks_that_prices_support_has_more_welfare(book):
    clearing, (supported, everything) = clear_day_ahead(book), Oracle(book).best()
    assert welfare(book, clearing) == pytest.approx(supported, abs=1e-6)
    given_up = welfare_given_up(book, clearing, step_hours=0.5)
    assert given_up.cleared == pytest.approx(0.5 * supported, abs=1e-6)
    assert given_up.unpriced == pytest.approx(0.5 * everything, abs=1e-6)
    assert given_up.divisible >= given_up.unpriced >= given_up.cleared


@given(st.one_of(books, rich_books()))
def test_power_balances_money_sums_to_zero_and_the_hourly_orders_follow_the_prices(book):
    clearing = clear_day_ahead(book, step_hours=0.25)
    awarded, price = clearing.awards["quantity_mw"], clearing.prices.reindex(book["time"]).to_numpy()
    assert awarded.groupby(book["time"]).sum().abs().max() < 1e-9
    assert clearing.payments.groupby(book["time"]).sum().abs().max() < 1e-9
    np.testing.assert_allclose(clearing.payments, -awarded * np.nan_to_num(price) * 0.25, atol=1e-9)
    share = (awarded / book["quantity_mw"]).to_numpy()
    assert ((share >= 0) & (share <= 1)).all()
    hourly = (book["block"] == "").to_numpy()
    gain = np.sign(book["quantity_mw"]) * (price - book["price"])
    assert (share[hourly & (gain > 1e-7)] > 1 - 1e-9).all()
    assert (share[hourly & (gain < -1e-7)] < 1e-9).all()
    assert clearing.prices.dropna().between(book["price"].min(), book["price"].max()).all()


@given(st.one_of(books, rich_books()))
@settings(max_examples=20)
def test_no_accepted_block_loses_but_a_parent_whose_children_carry_it(book):
    clearing = clear_day_ahead(book)
    price = clearing.prices.reindex(book["time"]).to_numpy()
    rows = book.assign(
        awarded=clearing.awards["quantity_mw"],
        gain=np.nan_to_num(clearing.awards["quantity_mw"] * (price - book["price"])),
        whole=book["quantity_mw"].abs(),
    )[book["block"] != ""]
    blocks = rows.groupby("block").agg(
        awarded=("awarded", lambda values: values.abs().sum()),
        whole=("whole", "sum"),
        gain=("gain", "sum"),
        least=("minimum_share", lambda values: least_share(values.to_frame().iloc[0])),
        parent=("parent", "first"),
        group=("exclusive_group", "first"),
    )
    share = blocks["awarded"] / blocks["whole"]
    for name, block in blocks.iterrows():
        own = rows[rows["block"] == name]
        np.testing.assert_allclose(own["awarded"], own["quantity_mw"] * share[name], atol=1e-9)
        assert share[name] < 1e-9 or share[name] >= block["least"] - 1e-9
        assert not block["parent"] or share[name] <= share[block["parent"]] + 1e-9
        children = blocks[blocks["parent"] == name]
        if children.empty:
            assert block["gain"] >= -1e-6
            assert not 1e-9 < share[name] < 1 - 1e-9 or block["parent"] or abs(block["gain"]) < 1e-6
    for root in blocks.index[blocks["parent"] == ""]:
        family, grown = {root}, True
        while grown:
            more = set(blocks.index[blocks["parent"].isin(family)]) | family
            family, grown = more, more != family
        assert blocks.loc[list(family), "gain"].sum() >= -1e-6
    assert (share[blocks["group"] == "either"] > 1e-9).sum() <= 1


@given(hourly_orders)
@settings(max_examples=20)
def test_without_blocks_it_is_the_uniform_double_auction(hourly):
    book = table_of(hourly)
    for table in (book, book.drop(columns=list(EMPTY)), book.assign(block=np.nan)):
        ours, theirs = clear_day_ahead(table), clear_double(book)
        np.testing.assert_allclose(ours.awards["quantity_mw"], theirs.awards["quantity_mw"], atol=1e-9)
        np.testing.assert_allclose(ours.prices, theirs.prices, atol=1e-9)


@given(hourly_orders)
@settings(max_examples=20)
def test_a_block_of_one_hour_and_any_share_is_an_hourly_order(hourly):
    book = table_of(hourly)
    as_blocks = book.assign(block=[f"b{i}" for i in range(len(book))], minimum_share=0.0)
    one, two = clear_day_ahead(book), clear_day_ahead(as_blocks)
    assert welfare(book, one) == pytest.approx(welfare(book, two), abs=1e-6)


@given(books, st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_the_rows_does_not_matter(book, random):
    order = list(range(len(book)))
    random.shuffle(order)
    one, two = clear_day_ahead(book), clear_day_ahead(book.iloc[order])
    np.testing.assert_allclose(one.awards["quantity_mw"], two.awards["quantity_mw"].sort_index(), atol=1e-7)
    np.testing.assert_allclose(one.prices, two.prices, atol=1e-7)


@given(books)
@settings(max_examples=20)
def test_a_paradoxical_block_is_rejected_and_would_gain(book):
    clearing = clear_day_ahead(book)
    table = paradoxical_blocks(book, clearing, step_hours=0.5)
    awarded = clearing.awards["quantity_mw"].abs().groupby(book["block"]).sum()
    assert (awarded[table["block"]] == 0).all()
    assert (table["forgone"] > 0).all()
    for _, row in table.iterrows():
        own = book[book["block"] == row["block"]]
        price = clearing.prices[own["time"]].to_numpy()
        if not np.isnan(price).any():
            assert row["forgone"] == pytest.approx(0.5 * (own["quantity_mw"] * (price - own["price"])).sum())
    if table.empty and welfare_given_up(book, clearing).unpriced > welfare(book, clearing) + 1e-6:
        pytest.fail("welfare was given up though every rejected block would lose")


def test_a_block_too_large_for_the_price_it_makes_is_rejected_though_it_would_gain():
    """
    Buy 11 at 300, sell 10 at 100, a block sells 12 at 40.

    The block does not fit into 11; with the 10 MW at 100 the price is that of the buyer, 300, at which it would gain.
    """
    book = table_of([(0, -11, 300), (0, 10, 100)], [{"power": {0: 12}, "price": 40}])
    clearing = clear_day_ahead(book)
    assert clearing.awards["quantity_mw"].tolist() == [-10, 10, 0]
    assert clearing.prices.tolist() == [300]
    assert paradoxical_blocks(book, clearing)["forgone"].tolist() == [12 * 260]


def test_a_block_that_would_set_a_price_below_its_limit_is_not_accepted():
    """
    Buy 10 at 100 and 5 at 20; sell 10 at 90; a block sells 12 at 30.

    With the block the 12 MW meet 10 at 100 and 2 at 20: price 20, the block loses 10 a MWh, although the welfare is
    1000 + 40 - 360 = 680. Without it the welfare is 100.
    """
    book = table_of([(0, -10, 100), (0, -5, 20), (0, 10, 90)], [{"power": {0: 12}, "price": 30}])
    clearing = clear_day_ahead(book)
    assert clearing.prices.tolist() == [95]
    assert tuple(welfare_given_up(book, clearing)) == pytest.approx((100, 680, 700))
    assert paradoxical_blocks(book, clearing)[["market_price", "forgone"]].to_numpy().tolist() == [[95, 780]]


def test_a_block_that_may_be_cut_is_accepted_in_part_at_its_own_price():
    """As before, but to 1/2 at least: 10 of 12 MW at 30, so that the buyer at 20 gets nothing."""
    block = {"power": {0: 12}, "price": 30, "minimum_share": 0.5}
    clearing = clear_day_ahead(table_of([(0, -10, 100), (0, -5, 20), (0, 10, 90)], [block]))
    assert clearing.awards["quantity_mw"].tolist() == pytest.approx([-10, 0, 0, 10])
    assert clearing.prices.tolist() == pytest.approx([30])


def test_a_child_carries_the_loss_of_its_parent_and_not_the_other_way_round():
    """
    A buyer of 10 at 20 in hour 0 and at 100 in hour 1; the parent sells hour 0 at 25, the child hour 1 at 60.

    The parent loses 5 a MWh at best; the child's gain of up to 40 carries it. With the roles exchanged the child would
    be the one that loses, and only its parent is accepted.
    """
    hourly = [(0, -10, 20), (1, -10, 100)]
    start, rest = {"power": {0: 10}, "price": 25}, {"power": {1: 10}, "price": 60}
    carried = clear_day_ahead(table_of(hourly, [start, rest | {"parent": "block_0"}]))
    assert carried.awards["quantity_mw"].tolist() == [-10, -10, 10, 10]
    gain = (carried.prices.to_numpy() - [25, 60]) * 10
    assert gain.sum() >= 0 > gain[0]
    turned = clear_day_ahead(table_of(hourly, [start | {"parent": "block_1"}, rest]))
    assert turned.awards["quantity_mw"].tolist() == [0, -10, 0, 10]


def test_one_of_an_exclusive_group_is_accepted():
    hourly = [(0, -10, 80), (1, -10, 90)]
    blocks = [{"power": {h: 10}, "price": 30, "exclusive_group": "start"} for h in (0, 1)]
    book = table_of(hourly, blocks)
    clearing = clear_day_ahead(book)
    assert clearing.awards["quantity_mw"].tolist() == [0, -10, 0, 10]
    assert paradoxical_blocks(book, clearing).empty


def test_prices_pay_a_block_over_its_hours_together():
    """A block sells 10 at 50 in both hours; buyers pay up to 20 and up to 100: the prices average at least 50."""
    clearing = clear_day_ahead(
        table_of([(0, -10, 20), (1, -10, 100), (1, 4, 85)], [{"power": {0: 10, 1: 10}, "price": 50}])
    )
    assert clearing.awards["quantity_mw"].tolist() == [-10, -10, 0, 10, 10]
    assert clearing.prices.mean() >= 50 - 1e-9


def test_two_blocks_can_trade_with_each_other_alone():
    blocks = [{"power": {0: 5, 1: 5}, "price": 30}, {"power": {0: -5, 1: -5}, "price": 40}]
    clearing = clear_day_ahead(table_of([(2, 1, 10)], blocks), floor=-500, cap=4000)
    assert clearing.awards["quantity_mw"].tolist() == [0, 5, 5, -5, -5]
    assert 30 <= clearing.prices.iloc[:2].mean() <= 40
    assert np.isnan(clearing.prices.iloc[2])


@pytest.mark.parametrize(("power", "money"), [(1e-6, 1.0), (1e6, 1.0), (1.0, 1e-4), (1.0, 1e5)])
def test_the_units_do_not_matter(power, money):
    book = table_of([(0, -10, 100), (0, -5, 20), (0, 10, 90)], [{"power": {0: 12}, "price": 30, "minimum_share": 0.5}])
    scaled = book.assign(quantity_mw=book["quantity_mw"] * power, price=book["price"] * money)
    one, two = clear_day_ahead(book), clear_day_ahead(scaled)
    np.testing.assert_allclose(two.awards["quantity_mw"], one.awards["quantity_mw"] * power, atol=1e-9 * power)
    np.testing.assert_allclose(two.prices, one.prices * money, rtol=1e-9)


def test_an_empty_book_one_side_and_blocks_without_power_trade_nothing():
    book = table_of([(0, 1, 10), (1, 2, 20)], [{"power": {0: 3}, "price": 5}, {"power": {0: 0}, "price": 0}])
    clearing = clear_day_ahead(book)
    assert clearing.awards["quantity_mw"].abs().sum() == clearing.payments.abs().sum() == 0
    assert clearing.prices.isna().all()
    assert paradoxical_blocks(book, clearing).empty
    nothing = book.iloc[:0]
    assert [len(part) for part in clear_day_ahead(nothing)] == [0, 0, 0]
    assert paradoxical_blocks(nothing, clear_day_ahead(nothing)).empty
    assert tuple(welfare_given_up(nothing, clear_day_ahead(nothing))) == (0, 0, 0)


def test_what_is_not_a_day_ahead_market_is_refused():
    pair = [{"power": {0: 1, 1: 1}, "price": 5}, {"power": {1: 1}, "price": 6}]
    book = table_of([(0, -2, 10), (1, -2, 20)], pair)

    def refused(match: str, **changes):
        with pytest.raises(DataError, match=match):
            clear_day_ahead(book.assign(**changes))

    refused("block 'block_0' of 'plant' has two values of price, 5.0 and 7.0 in row 3", price=[10, 20, 5, 7.0, 6])
    refused("two values of minimum_share", minimum_share=[np.nan, np.nan, 1, 0.5, 1])
    refused(r"bids\['minimum_share'\] is outside \[0, 1\] in row 4, 1.5", minimum_share=["", "", "1", "1", "1.5"])
    refused("has the parent 'block_9', not a block of it", parent=["", "", "", "", "block_9"])
    refused("among its own ancestors", parent=["", "", "block_1", "block_1", "block_0"])
    refused("among its own ancestors", parent=["", "", "", "", "block_1"])
    refused("two values of parent", parent=["", "", "", "block_1", ""])
    refused("in the hourly row 1: leave it empty, or name the row's block", minimum_share=[np.nan, 0.5, 1, 1, 1])
    refused(r"bids\['minimum_share'\] is 'a' in row 2: a number in \[0, 1\]", minimum_share=["", "", "a", "a", ""])
    refused("in the hourly row 0: leave it empty", exclusive_group=["x", "", "", "", ""])
    refused(r"bids\['price'\] is infinite in row 0", price=[np.inf, 20, 5, 5, 6])
    refused("2 services", service=["energy", "heat", "energy", "energy", "energy"])
    with pytest.raises(DataError, match="outside the price limits in row 1, 20"):
        clear_day_ahead(book, floor=0, cap=15)
    with pytest.raises(DataError, match="floor must be finite, a number in"):
        clear_day_ahead(book, floor=-np.inf)
    with pytest.raises(DataError, match="step_hours"):
        clear_day_ahead(book, step_hours=0)
    with pytest.raises(DataError, match="clearing has 2 awards and 2 payments whose rows are not the 5 of bids"):
        paradoxical_blocks(book, clear_day_ahead(book.iloc[:2]))


def test_a_search_cut_short_says_what_bounds_the_welfare():
    book = table_of([(0, -10, 100), (0, -5, 20), (0, 10, 90)], [{"power": {0: 12}, "price": 30}])
    with pytest.raises(PlanError, match=r"not solved within time_limit_s=1e-09 .*; no bound is known"):
        clear_day_ahead(book, time_limit_s=1e-9)


def test_blocks_of_two_bidders_may_have_the_same_name():
    book = table_of([(0, -10, 100)], [{"power": {0: 4}, "price": 30}, {"power": {0: 5}, "price": 40}])
    book = book.assign(block=["", "base", "base"], bidder=["home", "one", "two"])
    assert clear_day_ahead(book).awards["quantity_mw"].tolist() == [-9, 4, 5]


def a_day(n_blocks: int, rng: np.random.Generator) -> pd.DataFrame:
    """A day of 40 hourly orders an hour and blocks of 3 hours or more near the money."""
    hourly, blocks = [], []
    for hour in range(24):
        demand = 1 + 0.4 * np.sin((hour - 9) * np.pi / 12)
        sells, buys = rng.uniform(5, 40, 20), rng.uniform(5, 40, 20) * demand
        hourly += [(hour, q, p) for q, p in zip(sells, rng.gamma(4, 12, 20), strict=True)]
        hourly += [(hour, -q, p) for q, p in zip(buys, rng.gamma(6, 12, 20), strict=True)]
    for _ in range(n_blocks):
        length = rng.integers(3, 25)
        first = rng.integers(0, 25 - length)
        power = rng.uniform(3, 20) * (1 if rng.random() < 0.6 else -1)
        blocks.append({"power": dict.fromkeys(range(first, first + length), power), "price": rng.normal(55, 12)})
    return table_of(hourly, blocks)


def test_a_day_of_hundreds_of_hourly_orders_and_fifty_blocks_keeps_every_rule():
    book = a_day(50, np.random.default_rng(3))
    clearing = clear_day_ahead(book)
    awarded, price = clearing.awards["quantity_mw"], clearing.prices.reindex(book["time"]).to_numpy()
    assert awarded.groupby(book["time"]).sum().abs().max() < 1e-9
    assert abs(clearing.payments.sum()) < 1e-6
    gain = (awarded * (price - book["price"])).groupby(book["block"]).sum()
    assert (gain >= -1e-6).all()
    whole = awarded[book["block"] != ""] / book["quantity_mw"][book["block"] != ""]
    assert whole.isin([0.0, 1.0]).all()
    given_up = welfare_given_up(book, clearing)
    assert given_up.cleared <= given_up.unpriced * (1 + 1e-9) <= given_up.divisible * (1 + 2e-9)
    rejected = paradoxical_blocks(book, clearing)
    assert (awarded[book["block"].isin(rejected["block"])] == 0).all()


@pytest.mark.parametrize("hourly", [[(0, 0, 100)], [(0, 0, 100), (1, 0, 20)]])
def test_rows_of_no_power_trade_nothing(hourly):
    book = table_of(hourly)
    clearing = clear_day_ahead(book)
    assert clearing.awards["quantity_mw"].tolist() == clearing.payments.tolist() == [0] * len(hourly)
    assert clearing.prices.isna().all() and len(clearing.prices) == len(hourly)
    assert tuple(welfare_given_up(book, clearing)) == (0, 0, 0)
    assert paradoxical_blocks(book, clearing).empty


def test_limits_the_wrong_way_round_and_no_time_are_refused_before_anything_is_solved():
    book = table_of([(0, -2, 10), (0, 2, 5)])
    for bids in (book, book.iloc[:0]):
        with pytest.raises(DataError, match="floor must not be above cap, got 100 and 0"):
            clear_day_ahead(bids, floor=100, cap=0)
    for limit in (0.0, -1.0, np.nan, None, "1"):
        with pytest.raises(DataError, match="time_limit_s must be above 0 s"):
            clear_day_ahead(book, time_limit_s=limit)
        with pytest.raises(DataError, match="time_limit_s must be above 0 s"):
            welfare_given_up(book, clear_day_ahead(book), time_limit_s=limit)


def test_bidders_that_are_numbers_keep_their_kind_and_their_own_parents_and_groups():
    blocks = [{"power": {0: 12}, "price": 40, "exclusive_group": "x"}] * 2
    book = table_of([(0, -11, 300), (0, 10, 100)], blocks).assign(bidder=[1, 2, 10, 9])
    table = paradoxical_blocks(book, clear_day_ahead(book))
    assert table["bidder"].tolist() == [10, 9]
    assert all(isinstance(name, int | np.integer) for name in table["bidder"])


def test_a_clearing_of_the_same_bids_in_another_order_is_refused():
    book = table_of([(0, -2, 10), (0, 2, 5)])
    other = clear_day_ahead(book.iloc[::-1].reset_index(drop=True))
    for asked in (paradoxical_blocks, welfare_given_up):
        with pytest.raises(DataError, match="clearing has the bidder home_1 in row 0 where bids have home_0"):
            asked(book, other)
