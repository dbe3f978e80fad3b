import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gridlab.live.services as module
from gridlab.assets import Cooling
from gridlab.auctions import Coupling
from gridlab.live.config import Config
from gridlab.live.services import COLUMNS, clear_services, reserve_price
from gridlab.sources.mara import EVENT, MACHINES, Quote, Scaling, margins, settle

TIME = pd.Timestamp("2025-06-21T12:00", tz="UTC")
PER_MWH = Scaling(cost=1e-6 / 12, revenue=1e-6 / 12)  # prices in $/MWh
COUPLING = Coupling(cop={"inference": 4.0, "training": 5.0, "cooling": 5.0})
SITE = Config(cap_power=60_000, scaling=PER_MWH, coupling=COUPLING)
NOW = Quote(TIME, 30.0, 20.0, 40.0)  # hydro makes 40 $/MWh, which is 10 above its energy


def book(*rows, minima=None):
    table = pd.DataFrame(list(rows), columns=["bidder", "service", "quantity_mw", "price"])
    table.insert(0, "time", pd.DatetimeIndex([TIME] * len(table), tz="UTC"))
    return table if minima is None else table.assign(minimum_mw=minima)


def clear(bids, config=SITE, now=NOW, **options):
    return clear_services(bids, config=config, inventory=EVENT, prices_now=now, time=TIME, **options)


def best_profit(power, now=NOW, scaling=PER_MWH):
    """The integer knapsack by trying all; of types that draw as much the better is enough."""
    best_of = {}
    for name, worth in margins(EVENT, now, scaling).items():
        best_of[EVENT.power[name]] = max(best_of.get(EVENT.power[name], 0.0), worth)
    tried = itertools.product(*(range(power // drawn + 1) for drawn in best_of))
    return max(
        sum(n * worth for n, worth in zip(counts, best_of.values(), strict=True))
        for counts in tried
        if sum(n * drawn for n, drawn in zip(counts, best_of, strict=True)) <= power
    )


SERVICE = st.sampled_from(["inference", "training", "cooling"])
SIZE, PRICE = st.floats(0.001, 0.05), st.floats(0, 150)
BIDS = st.lists(st.tuples(SERVICE, SIZE, PRICE), min_size=1, max_size=4)


def of(rows):
    return book(*((f"bidder_{number}", *row) for number, row in enumerate(rows)))


@given(BIDS, st.tuples(SIZE, PRICE), st.sampled_from([20.0, 5.0]))
def test_no_bidder_gains_by_misreporting(rows, lie, hash_price):
    now = Quote(TIME, 30.0, hash_price, 40.0)
    service, size, price = rows[0]

    def gain(stated):
        table = clear(of(stated), now=now, explain=False).table
        won = table.loc[table["bidder"] == "bidder_0"]
        return min(won["award_mw"].sum(), size) * price / 12 - won["payment"].sum()

    honest = gain(rows)
    assert honest >= -1e-9
    assert gain([(service, *lie), *rows[1:]]) <= honest + 1e-9


@given(BIDS, st.floats(0, 60), st.floats(0, 40), st.floats(0, 120))
def test_the_site_earns_what_its_machines_would_but_for_one_machine_at_most(rows, energy, hashed, token):
    now = Quote(TIME, energy, hashed, token)
    sold = clear(of(rows), now=now)
    assert sold.problem is None
    own, alone = best_profit(sold.rest_power, now), best_profit(SITE.cap_power, now)
    energy_of_services = sold.drawn_mw / 12 * energy
    with_services = own + sold.paid - energy_of_services
    worth = margins(EVENT, now, PER_MWH)
    densest = max(MACHINES, key=lambda name: worth[name] / EVENT.power[name])
    assert with_services >= alone - max(worth[densest], 0.0) - 1e-9
    draws = sold.table["award_mw"] * sold.table["service"].map(COUPLING.draw)
    assert (sold.table["payment"] >= draws * sold.reserve_price / 12 - 1e-9).all()
    assert (sold.table["payment"] <= sold.table["award_mw"] * sold.table["price"] / 12 + 1e-9).all()


@given(BIDS)
def test_what_is_sold_and_what_is_left_share_the_cap(rows):
    sold = clear(of(rows))
    assert sold.drawn_mw + sold.rest_power * 1e-6 <= SITE.cap_mw + 1e-9
    assert sold.rest_power >= SITE.cap_power - math.ceil(sold.drawn_mw * 1e6) - 1
    draws = sold.table["award_mw"] * sold.table["service"].map(COUPLING.draw)
    assert sold.drawn_mw == pytest.approx(draws.sum())
    by_bidder = sold.explained.groupby("bidder")["amount"].sum().reindex(sold.table["bidder"]).fillna(0.0)
    assert by_bidder.to_numpy() == pytest.approx(sold.table["payment"].to_numpy(), abs=1e-9)
    assert list(sold.table) == COLUMNS


def test_a_bidder_pays_whom_it_displaces_and_displaces_own_machines_only_if_it_pays_more():
    sold = clear(
        book(("lab", "training", 0.03, 90.0), ("mill", "training", 0.04, 60.0), ("shop", "inference", 0.1, 49.0))
    )
    assert sold.reserve_price == pytest.approx(40.0)
    assert sold.services_mw == pytest.approx({"training": 0.06})  # lab 0.03 and mill 0.02, each with its cooling
    awards = sold.table.set_index("bidder")["award_mw"]
    assert awards.to_dict() == pytest.approx({"lab": 0.03, "mill": 0.02, "shop": 0.0})  # 49 a MWh is 39 of the cap
    paid = sold.table.set_index("bidder")["payment"] * 12
    # lab displaces 0.02 MW of the mill at 60, and shop is worth less than the reserve of the other 0.012
    assert paid["lab"] == pytest.approx(0.02 * 60 + 0.012 * 40) and paid["mill"] == pytest.approx(0.024 * 40)
    assert sold.rest_power == 0


def test_the_reserve_is_the_energy_and_the_best_own_machine():
    assert reserve_price(SITE, EVENT, NOW) == pytest.approx(40.0)
    for now in (NOW, Quote(TIME, 30.0, 1.0, 1.0), Quote(TIME, 30.0, 1.0, 90.0)):
        one = [settle(dict.fromkeys(MACHINES, 0) | {name: 1}, EVENT, now, PER_MWH) for name in MACHINES]
        best = max([0.0, *(s.profit / s.total_power_used for s in one)])
        assert reserve_price(SITE, EVENT, now) == pytest.approx(30.0 + best * 12e6)
    literal = Config(coupling=COUPLING)
    assert reserve_price(literal, EVENT, Quote(TIME, 1.5, 1.75, 1.0)) == pytest.approx(3.5 * 12e6)
    assert reserve_price(SITE, EVENT, Quote(TIME, -30.0, 0.0, 0.0)) == 0.0
    assert math.isnan(reserve_price(SITE, EVENT, Quote(TIME, 30.0, math.nan, 1.0)))


def test_own_machines_that_are_cooled_are_worth_less_of_the_cap_and_the_chiller_keeps_its_own_power():
    chilled = Config(cap_power=60_000, scaling=PER_MWH, coupling=COUPLING, cooling=Cooling(capacity_mw=0.02))
    compute = Quote(TIME, 30.0, 1.0, 200.0)  # asic makes 100 $/MWh of its own power
    cop = chilled.cooling.cop(35.0)
    assert reserve_price(chilled, EVENT, compute) == pytest.approx(100 / (1 + 1 / cop))
    sold = clear(book(("lab", "training", 9.0, 500.0)), chilled)
    assert sold.heat_mw == pytest.approx(0.02) and sold.table["award_mw"].tolist() == pytest.approx([0.02])
    wide = Config(cap_power=60_000, scaling=PER_MWH, coupling=COUPLING, cooling=Cooling(capacity_mw=1.0))
    standing = wide.cooling.power_mw(0.0, 35.0)
    assert clear(book(("lab", "training", 9.0, 500.0)), wide).drawn_mw == pytest.approx(0.06 - standing)


@pytest.mark.parametrize(("row", "words"), [
    (("bad", "training", -1.0, 50.0), "quantity_mw is -1.0"),
    (("bad", "training", math.nan, 50.0), "quantity_mw is nan"),
    (("bad", "training", 1e300, 50.0), "quantity_mw is 1e[+]300"),
    (("bad", "training", 0.01, math.inf), "price is inf"),
    (("bad", "training", 0.01, 1e300), "price is 1e[+]300"),
    (("bad", "training", 0.01, "much"), "price is 'much'"),
    (("bad", "training", True, 50.0), "quantity_mw is True"),
    (("bad", "steam", 0.01, 50.0), "service is 'steam', on sale are cooling, inference, training"),
    (("bad", None, 0.01, 50.0), "service is (None|nan)"),
    (("", "training", 0.01, 50.0), "a bidder needs a name"),
    (("reserve", "training", 0.01, 50.0), "cannot be reserve or shortfall"),
    ((7, "training", 0.01, 50.0), "a bidder needs a name"),
    (("lab", "training", 0.01, 95.0), "is above the row's before, 90.0"),
])  # fmt: skip
def test_a_row_that_breaks_a_rule_costs_that_row_alone(row, words):
    good = [("lab", "training", 0.03, 90.0), ("mill", "training", 0.04, 60.0)]
    expected = clear(book(*good))
    sold = clear(book(good[0], row, good[1]))
    assert len(sold.left_out) == 1 and sold.problem is None
    assert re.search(words, sold.left_out[0])
    assert sold.left_out[0].startswith("Row 1 of the bids") and sold.left_out[0].endswith(".")
    pd.testing.assert_frame_equal(sold.table, expected.table)


def test_rows_of_another_interval_and_minima_that_cannot_be_are_left_out():
    bids = book(("lab", "training", 0.03, 90.0), ("mill", "training", 0.04, 60.0), minima=[0.05, np.nan])
    sold = clear(bids, time_limit_s=60.0)
    assert sold.left_out == ("The bids of 'lab' are left out: its minimum_mw is 0.05 and the rows left want 0.03 MW of "
                             "training.",)  # fmt: skip
    assert sold.table["award_mw"].tolist() == pytest.approx([0.04])
    late = bids.assign(time=TIME + pd.Timedelta(minutes=5), minimum_mw=0.0)
    assert len(clear(late).left_out) == 2 and clear(late).services_mw == {}
    naive = bids.assign(time=TIME.tz_localize(None), minimum_mw=0.0)
    assert len(clear(naive).left_out) == 2


def test_a_minimum_is_served_whole_or_not_at_all():
    sold = clear(
        book(("lab", "training", 0.03, 90.0), ("mill", "training", 0.04, 60.0), minima=[0.03, 0.04]), time_limit_s=60.0
    )
    assert sold.problem is None and sold.table["award_mw"].tolist() == pytest.approx([0.03, 0.0])


def test_rows_of_one_bidder_need_not_stand_together():
    apart = book(("lab", "training", 0.02, 90.0), ("mill", "training", 0.04, 60.0), ("lab", "training", 0.01, 80.0))
    sold = clear(apart)
    assert sold.left_out == () and sold.problem is None
    assert sold.table.loc[sold.table["bidder"] == "lab", "award_mw"].tolist() == pytest.approx([0.02, 0.01])


def test_an_auction_that_fails_sells_nothing_and_says_why(monkeypatch):
    bids = book(("lab", "training", 0.03, 90.0))
    must = Config(
        cap_power=60_000, scaling=PER_MWH, coupling=Coupling(cop={"training": 4.0}, at_least={"training": 9.0})
    )
    nothing = clear(bids, must)
    assert nothing.services_mw == {} and nothing.rest_power == 60_000 and len(nothing.table) == 0
    assert nothing.problem.startswith("The services are not sold: ") and nothing.problem.endswith(".")
    for fault in (MemoryError("no memory"), KeyError("x"), FloatingPointError("underflow")):

        def fails(*_, fault=fault, **__):
            raise fault

        monkeypatch.setattr(module, "clear_vcg_services", fails)
        assert clear(bids).problem.startswith("The services are not sold: ")


def test_a_flood_of_bids_does_not_keep_the_others_out():
    flood = [(f"b{number}", "training", 0.00001, 45.0) for number in range(1500)]
    sold = clear(book(("lab", "training", 0.03, 90.0), *flood), explain=False)
    assert sold.problem is None and len(sold.table) == 1000 and sold.table["award_mw"].iloc[0] == pytest.approx(0.03)
    assert sold.left_out == ("Rows of the bids after the first 1000 are left out: 1501 are too many for an interval.",)


def test_without_bids_a_coupling_or_prices_nothing_is_sold():
    assert clear(book()).problem is None and clear(book()).services_mw == {}
    bids = book(("lab", "training", 0.03, 90.0))
    assert "no service is on sale" in clear(bids, Config(scaling=PER_MWH)).problem
    assert "without the prices" in clear(bids, now=Quote(TIME, math.nan, 1.0, 1.0)).problem
    assert clear(bids.drop(columns="price")).problem.startswith("The bids have no column price")
    assert clear(None).problem == "The bids are a NoneType, not a table."


WILD = st.one_of(st.none(), st.floats(), st.floats(0, 0.1), st.floats(0, 200), st.text(max_size=3), st.booleans())


@given(st.lists(st.tuples(st.one_of(st.none(), st.just("odd"), st.text(max_size=3)), SERVICE, WILD, WILD), max_size=4))
def test_whatever_others_bid_a_bidder_who_keeps_the_rules_is_served(rows):
    sold = clear(book(("lab", "training", 0.03, 39_000.0), *rows))
    assert sold.problem is None
    assert (
        sold.table.loc[sold.table["bidder"] == "lab", "award_mw"].sum() >= 0.03 - 1e-6
        or max(sold.table.loc[sold.table["bidder"] != "lab", "price"]) >= 39_000 * 5 / 6 / 1.25
    )
    assert sold.drawn_mw <= SITE.cap_mw + 1e-9
