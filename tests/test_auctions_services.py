"""Services that couple: laws of the award and the payments, against n + 1 solves from nothing, then answers by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from gridlab.auctions import services_model, services_solver
from gridlab.auctions.blocks import clear_vcg_blocks
from gridlab.auctions.merit_order import clear_vcg
from gridlab.auctions.services import (
    CAP,
    CHILLER,
    COOLING,
    Coupling,
    clear_vcg_services,
    explain_vcg_services,
    services_report,
)
from gridlab.errors import DataError, PlanError

NOON = pd.Timestamp("2024-07-01 12:00", tz="UTC")
few = settings(max_examples=20)
SERVICES = (COOLING, "inference", "mining", "training")


def book_of(rows: list[tuple]) -> pd.DataFrame:
    """Bids from (bidder, service, quantity, price) and perhaps a minimum."""
    columns = ["bidder", "service", "quantity_mw", "price", "minimum_mw"]
    book = pd.DataFrame(rows, columns=columns[: len(rows[0])])
    book.insert(0, "time", NOON)
    return book.astype({"quantity_mw": float, "price": float})


def slow_optimum(book: pd.DataFrame, capacity: float, coupling: Coupling, reserve: float = 0.0) -> float:
    """The welfare above the reserve by one cold solve; -inf where the minima cannot be met."""
    curves = [own.index for _, own in book.groupby(["bidder", "service"])] if "minimum_mw" in book else []
    minima = [(service, least) for service, least in coupling.at_least.items() if least > 0]
    n, wide = len(book), len(book) + len(minima) + len(curves)
    soft = np.isfinite(coupling.shortfall_price)
    worth = book["price"].to_numpy() - reserve * book["service"].map(coupling.draw).to_numpy(float)
    value = np.r_[worth, np.full(len(minima), -coupling.shortfall_price if soft else 0.0), np.zeros(len(curves))]
    high = np.r_[book["quantity_mw"], np.full(len(minima), np.inf if soft else 0.0), np.ones(len(curves))]
    if not wide:
        return 0.0
    rows, most = slow_limits(book, capacity, coupling, minima, wide)
    for number, curve in enumerate(curves, n + len(minima)):
        whole = np.zeros((len(curve) + 1, wide))
        whole[range(len(curve)), curve], whole[-1, curve] = 1.0, -1.0
        whole[:, number] = np.r_[-book["quantity_mw"][curve], book["minimum_mw"][curve[0]]]
        rows, most = np.vstack([rows, whole]), np.r_[most, np.zeros(len(whole))]
    low = np.zeros(wide)
    if curves:
        whole = np.r_[np.zeros(wide - len(curves)), np.ones(len(curves))]
        limits = LinearConstraint(rows, ub=most)
        options = {"mip_rel_gap": 0.0}
        found = milp(-value, constraints=limits, bounds=Bounds(0, high), integrality=whole, options=options)
        if found.x is None:
            return -np.inf
        served = np.rint(found.x[wide - len(curves) :])  # HiGHS's whole numbers are so to 1e-6 only
        low[wide - len(curves) :], high[wide - len(curves) :] = served, served
    found = linprog(-value, rows, most, bounds=np.column_stack([low, high]))
    return -found.fun if found.x is not None else -np.inf


def slow_limits(book: pd.DataFrame, capacity: float, coupling: Coupling, minima: list, wide: int) -> tuple:
    """The limits as rows that are at most their bounds; after the bids' columns come those of the minima missed."""
    service, at_most = book["service"], list(coupling.at_most.items())
    rows = np.zeros((2 + len(at_most) + len(minima), wide))
    rows[:2, : len(book)] = [service.map(coupling.draw), service.map(coupling.heat)]
    for number, (name, _) in enumerate(at_most, 2):
        rows[number, : len(book)] = service == name
    for number, (name, _) in enumerate(minima):
        rows[2 + len(at_most) + number, : len(book)] = -1.0 * (service == name)
        rows[2 + len(at_most) + number, len(book) + number] = -1.0
    least = [-mw for _, mw in minima]
    return rows, np.array([capacity, min(coupling.cooling_mw, 1e9), *(mw for _, mw in at_most), *least])


def without(book: pd.DataFrame, bidder: str) -> pd.DataFrame:
    """The bids of the others."""
    return book.loc[book["bidder"] != bidder].reset_index(drop=True)


def by_bidder(book: pd.DataFrame, amounts: pd.Series) -> dict:
    return amounts.groupby(book["bidder"], sort=False).sum().to_dict()


def value_of(clearing, book: pd.DataFrame) -> pd.Series:
    """What each row's award is worth."""
    return clearing.awards["quantity_mw"] * book["price"]


def totals(clearing, coupling: Coupling) -> tuple[dict, float, float]:
    """What is awarded of each service, power drawn of the cap, and heat."""
    awarded = clearing.awards["quantity_mw"].groupby(clearing.awards["service"]).sum()
    draw = sum(coupling.draw(s) * mw for s, mw in awarded.items())
    return awarded.to_dict(), draw, sum(coupling.heat(s) * mw for s, mw in awarded.items())


def welfare_of(clearing, book: pd.DataFrame, coupling: Coupling, reserve: float = 0.0) -> float:
    awarded, drawn, _ = totals(clearing, coupling)
    missed = sum(max(0.0, least - awarded.get(s, 0.0)) for s, least in coupling.at_least.items())
    return (
        value_of(clearing, book).sum() - reserve * drawn - (missed * coupling.shortfall_price if missed > 1e-9 else 0.0)
    )


@st.composite
def curves(draw, bidder: str, services=SERVICES, *, least=0, minimum=False, dearest=20):
    """A bidder's rows for one to three services."""
    rows = []
    for service in draw(st.lists(st.sampled_from(services), min_size=1, max_size=3, unique=True)):
        prices = sorted(draw(st.lists(st.integers(least, dearest), min_size=1, max_size=3)), reverse=True)
        sizes = [draw(st.integers(0, 5)) for _ in prices]
        floor = (draw(st.integers(0, sum(sizes))),) if minimum else ()
        rows += [(bidder, service, size, price, *floor) for size, price in zip(sizes, prices, strict=True)]
    return rows


@st.composite
def books(draw, services=SERVICES, **kind):
    rows = [row for name in "ABCD"[: draw(st.integers(1, 4))] for row in draw(curves(name, services, **kind))]
    return book_of(rows)


cops = st.fixed_dictionaries(
    {
        COOLING: st.sampled_from([1.0, 4.0, 5.5]),
        "inference": st.sampled_from([1.0, 2.0, 4.0, math.inf]),
        "mining": st.just(math.inf),
        "training": st.sampled_from([2.0, 3.7, 4.0]),
    }
)
most = st.dictionaries(st.sampled_from(SERVICES), st.integers(2, 8), max_size=2)
free = st.builds(Coupling, cops, st.sampled_from([2.0, 6.5, math.inf]), most)


@st.composite
def bound(draw):
    """Couplings with minima, which must be met or may be missed at a price."""
    coupling = draw(free)
    least = draw(st.dictionaries(st.sampled_from(SERVICES), st.integers(0, 2), max_size=2))
    price = draw(st.sampled_from([math.inf, 0.0, 7.0, 500.0]))
    return Coupling(coupling.cop, coupling.cooling_mw, coupling.at_most, least, price)


capacities = st.sampled_from([0.0, 1.0, 3.0, 5.5, 10.0, 40.0])
reserves = st.sampled_from([-3.0, 0.0, 4.0])


def cleared(book, capacity, coupling, **options):
    """The clearing, or None where minima cannot be met, with or without a bidder."""
    try:
        return clear_vcg_services(book, capacity, coupling=coupling, **options)
    except PlanError:
        return None


def holds_full_solves(book, capacity, coupling, reserve):
    """Payments are those of n + 1 solves from nothing, and are refused just where those have none."""
    clearing = cleared(book, capacity, coupling, reserve_price=reserve, step_hours=0.5)
    best = slow_optimum(book, capacity, coupling, reserve)
    left = {name: slow_optimum(without(book, name), capacity, coupling, reserve) for name in book["bidder"].unique()}
    if clearing is None:
        assert min(best, *left.values()) == -np.inf
        return
    assert welfare_of(clearing, book, coupling, reserve) == pytest.approx(best, rel=1e-9, abs=1e-7)
    value, paid = by_bidder(book, value_of(clearing, book)), by_bidder(book, clearing.payments)
    drawn = by_bidder(book, clearing.awards["quantity_mw"] * book["service"].map(coupling.draw))
    for name, other in left.items():
        above = other - best + value[name] - reserve * drawn[name]
        assert paid[name] == pytest.approx(0.5 * (above + reserve * drawn[name]), rel=1e-9, abs=1e-7)


@given(books(least=-5), capacities, bound(), reserves)
@settings(max_examples=25)
def test_payments_are_those_of_n_and_one_solves_from_nothing(book, capacity, coupling, reserve):
    holds_full_solves(book, capacity, coupling, reserve)


@given(books(least=-5, minimum=True), capacities, bound(), reserves)
@few
def test_with_minimum_quantities_payments_are_those_of_n_and_one_searches(book, capacity, coupling, reserve):
    holds_full_solves(book, capacity, coupling, reserve)


@given(books(services=("a", "b"), least=-5), capacities, reserves)
def test_without_cooling_it_is_the_merit_order(book, capacity, reserve):
    coupling = Coupling(cop={"a": math.inf, "b": math.inf})
    ours = clear_vcg_services(book, capacity, coupling=coupling, reserve_price=reserve)
    theirs = clear_vcg(book, capacity, reserve_price=reserve)
    assert ours.awards["quantity_mw"].to_numpy() == pytest.approx(theirs.awards["quantity_mw"].to_numpy(), abs=1e-9)
    assert ours.payments.to_numpy() == pytest.approx(theirs.payments.to_numpy(), rel=1e-9, abs=1e-9)
    assert ours.prices.to_numpy() == pytest.approx(theirs.prices.to_numpy(), rel=1e-9, nan_ok=True)


@given(books(), curves("A"), capacities, free)
@few
def test_no_bidder_gains_by_another_statement(book, lie, capacity, coupling):
    true = book[book["bidder"] == "A"].rename(columns={"price": "worth"})
    stated = pd.concat([book_of(lie), without(book, "A")], ignore_index=True)
    honest, shaded = (clear_vcg_services(b, capacity, coupling=coupling) for b in (book, stated))
    surplus = by_bidder(book, value_of(honest, book) - honest.payments)["A"]
    mine = shaded.awards[shaded.awards["bidder"] == "A"]
    worth = 0.0
    for service, own in true.groupby("service"):
        left = mine.loc[mine["service"] == service, "quantity_mw"].sum()
        for size, price in zip(own["quantity_mw"], own["worth"], strict=True):
            worth, left = worth + min(size, max(left, 0.0)) * price, left - size
    assert worth - by_bidder(stated, shaded.payments)["A"] <= surplus + 1e-9


@given(books(minimum=True), capacities, free, st.sampled_from([0.0, 4.0]))
@few
def test_no_one_pays_more_than_it_is_worth_less_than_the_reserve_or_for_nothing(book, capacity, coupling, reserve):
    for payments in ("vcg", "core"):
        options = {"reserve_price": reserve, "payments": payments}
        clearing = clear_vcg_services(book, capacity, coupling=coupling, **options)
        drawn = clearing.awards["quantity_mw"] * book["service"].map(coupling.draw)
        assert (clearing.payments >= reserve * drawn - 1e-9).all()
        assert (clearing.payments <= value_of(clearing, book) + 1e-9).all()
        assert (clearing.payments[clearing.awards["quantity_mw"] == 0] == 0).all()


@given(books(least=-9), capacities, bound(), reserves)
@few
def test_no_one_loses_where_minima_force_it_in(book, capacity, coupling, reserve):
    clearing = cleared(book, capacity, coupling, reserve_price=reserve)
    assume(clearing is not None)
    assert (value_of(clearing, book) - clearing.payments >= -1e-8).all()
    idle = clearing.awards["quantity_mw"].groupby(book["bidder"]).transform("sum") == 0
    assert (clearing.payments[idle] == 0).all()


@given(books(least=-3, minimum=True), capacities, bound(), reserves)
@few
def test_every_limit_is_kept(book, capacity, coupling, reserve):
    clearing = cleared(book, capacity, coupling, reserve_price=reserve)
    assume(clearing is not None)
    awarded, drawn, heat = totals(clearing, coupling)
    quantity = clearing.awards["quantity_mw"]
    assert drawn <= capacity * (1 + 1e-9)
    assert heat <= coupling.cooling_mw * (1 + 1e-9)
    assert ((quantity >= 0) & (quantity <= book["quantity_mw"])).all()
    assert all(mw <= coupling.at_most.get(service, math.inf) * (1 + 1e-9) for service, mw in awarded.items())
    if math.isinf(coupling.shortfall_price):
        assert all(awarded.get(service, 0.0) >= mw * (1 - 1e-9) for service, mw in coupling.at_least.items())
    curve = quantity.groupby([book["bidder"], book["service"]]).transform("sum")
    assert ((curve == 0) | (curve >= book["minimum_mw"])).all()


@given(books(least=-3), capacities, free, st.randoms(use_true_random=False))
@few
def test_the_order_and_names_of_the_bidders_do_not_matter(book, capacity, coupling, random):
    names = list("ABCD")
    random.shuffle(names)
    order = sorted(range(len(book)), key=lambda row: (names.index(book["bidder"][row]), row))
    other = book.iloc[order]
    other = other.assign(bidder=other["bidder"].map(dict(zip("ABCD", "WXYZ", strict=True))))
    one, two = (clear_vcg_services(b, capacity, coupling=coupling) for b in (book, other))
    pd.testing.assert_series_equal(
        one.awards["quantity_mw"], two.awards["quantity_mw"].sort_index(), rtol=1e-12, atol=1e-12
    )
    pd.testing.assert_series_equal(one.payments, two.payments.sort_index(), rtol=1e-9, atol=1e-9)
    pd.testing.assert_series_equal(one.prices, two.prices)


@given(books(minimum=True), capacities, free, st.randoms(use_true_random=False))
@few
def test_what_bidders_gain_does_not_depend_on_how_ties_are_broken(book, capacity, coupling, random):
    names = list("ABCD")
    random.shuffle(names)
    other = book.iloc[sorted(range(len(book)), key=lambda row: (names.index(book["bidder"][row]), row))]
    gains = []
    for bids in (book, other):
        clearing = clear_vcg_services(bids, capacity, coupling=coupling)
        gains.append(by_bidder(bids, value_of(clearing, bids) - clearing.payments))
    assert gains[0] == pytest.approx(gains[1], rel=1e-9, abs=1e-8)


@given(
    books(minimum=True), capacities, free, st.sampled_from(["inference", "training", COOLING]), st.sampled_from([0, 4])
)
@few
def test_a_better_chiller_never_lowers_the_welfare(book, capacity, coupling, service, reserve):
    better = Coupling(coupling.cop | {service: 2 * coupling.cop[service]}, coupling.cooling_mw, coupling.at_most)
    worths = []
    for one in (coupling, better):
        clearing = clear_vcg_services(book, capacity, coupling=one, reserve_price=reserve)
        worths.append(welfare_of(clearing, book, one, reserve))
    assert worths[1] >= worths[0] - 1e-9


@given(books(least=-5), st.sampled_from([1.0, 3.0, 5.5, 10.0, 40.0]), bound(), reserves)
@few
def test_the_price_is_what_one_more_mwh_of_the_cap_is_worth(book, capacity, coupling, reserve):
    clearing = cleared(book, capacity, coupling, reserve_price=reserve)
    assume(clearing is not None and clearing.awards["quantity_mw"].any())
    little = 1e-3
    gain = slow_optimum(book, capacity + little, coupling, reserve) - slow_optimum(book, capacity, coupling, reserve)
    assert clearing.prices.iloc[0] == pytest.approx(reserve + gain / little, abs=1e-5)


@given(books(least=-5, minimum=True), st.booleans(), capacities, bound(), reserves)
@few
def test_what_a_winner_displaces_sums_to_its_payment(book, whole, capacity, coupling, reserve):
    book = book if whole else book.drop(columns="minimum_mw")
    options = {"coupling": coupling, "reserve_price": reserve, "step_hours": 0.25}
    try:
        clearing = clear_vcg_services(book, capacity, **options)
    except PlanError:
        assume(False)
    explained = explain_vcg_services(book, capacity, **options)
    assert (explained["bidder"] != explained["displaced"]).all()
    amounts = explained.groupby("bidder")["amount"].sum()
    for name, paid in by_bidder(book, clearing.payments).items():
        assert amounts.get(name, 0.0) == pytest.approx(paid, rel=1e-9, abs=1e-8)


@given(books(services=("inference", "training"), dearest=12), st.sampled_from([2.0, 5.5]), free, st.booleans())
@settings(max_examples=12)
def test_no_coalition_offers_the_seller_more_than_core_payments(book, capacity, coupling, whole):
    book = (
        book.assign(minimum_mw=book.groupby(["bidder", "service"])["quantity_mw"].transform("sum")) if whole else book
    )
    vcg, core = (clear_vcg_services(book, capacity, coupling=coupling, payments=rule) for rule in ("vcg", "core"))
    paid, value = by_bidder(book, core.payments), by_bidder(book, value_of(core, book))
    least = by_bidder(book, vcg.payments)
    assert all(paid[name] >= least[name] - 1e-9 for name in paid)
    for size in range(len(paid) + 1):
        for members in itertools.combinations(paid, size):
            own = book[book["bidder"].isin(members)].reset_index(drop=True)
            offer = slow_optimum(own, capacity, coupling) if size else 0.0
            assert offer - sum(value[name] - paid[name] for name in members) <= sum(paid.values()) + 1e-6


@given(books(least=-3), capacities, free)
@few
def test_the_report_adds_up_to_the_clearing(book, capacity, coupling):
    clearing = clear_vcg_services(book, capacity, coupling=coupling)
    report = services_report(book, clearing, capacity, coupling)
    awarded, drawn, heat = totals(clearing, coupling)
    used = report.set_index("limit")["used_mw"]
    services = report[report["limit"] == "at most"].set_index("service")
    assert used[CAP] == pytest.approx(drawn, abs=1e-9)
    assert used[CHILLER] == pytest.approx(heat, abs=1e-9)
    assert services["used_mw"].sum() == pytest.approx(sum(awarded.values()), abs=1e-9)
    assert services["power_mw"].sum() == pytest.approx(drawn, abs=1e-9)
    assert (report["slack_mw"] >= -1e-9).all()
    slack = report["slack_mw"] > 1e-6
    assert (report.loc[slack, "shadow_price"].abs() < 1e-9).all()
    assert (report["shadow_price"] >= -1e-9).all()


def test_cooling_draws_its_power_of_the_cap_and_bids_on_it_compete_for_the_chiller():
    rows = [("lab", "training", 4, 90), ("office", COOLING, 3, 30), ("miner", "mining", 9, 20)]
    coupling = Coupling({"training": 4.0, COOLING: 5.0, "mining": math.inf}, cooling_mw=6.0)
    book = book_of(rows)
    clearing = clear_vcg_services(book, 8.0, coupling=coupling)
    # the lab takes 4 of the chiller and 5 of the cap, the office the other 2 and 0.4, and the miner 2.6 that are left;
    # the office loses 1 MW of heat to the lab (30, and it frees 0.2 of the cap), the miner the rest to both
    assert clearing.awards["quantity_mw"].to_numpy() == pytest.approx([4, 2, 2.6])
    assert clearing.payments.to_numpy() == pytest.approx([30 + 4.8 * 20, 0.4 * 20, 0])
    assert clearing.prices.iloc[0] == pytest.approx(20)
    report = services_report(book, clearing, 8.0, coupling).set_index(["limit"])
    assert report.loc[CHILLER, ["used_mw", "power_mw", "shadow_price"]].tolist() == pytest.approx([6, 1.4, 26])


def test_who_lets_a_minimum_be_met_is_paid_what_the_next_way_would_cost():
    rows = [("cheap", "training", 5, -10), ("dear", "training", 5, -30), ("rival", "inference", 9, 8)]
    coupling = Coupling({"training": math.inf, "inference": math.inf}, at_least={"training": 5.0})
    book = book_of(rows)
    clearing = clear_vcg_services(book, 10.0, coupling=coupling)
    assert clearing.awards["quantity_mw"].tolist() == [5, 0, 5]
    assert clearing.payments.to_numpy() == pytest.approx([-150, 0, 0])
    explained = explain_vcg_services(book, 10.0, coupling=coupling).set_index(["bidder", "displaced"])["amount"]
    assert explained["cheap", "dear"] == pytest.approx(-150)


def test_a_bidder_a_minimum_cannot_be_met_without_is_refused_or_priced_by_the_shortfall():
    book = book_of([("lab", "training", 5, 10), ("mill", "training", 3, 4)])
    coupling = Coupling({"training": math.inf}, at_least={"training": 4.0})
    refusal = "without lab, at_least of training needs 4 MW at .* and the bids allow 3 MW, 1 MW less"
    with pytest.raises(PlanError, match=refusal):
        clear_vcg_services(book, 6.0, coupling=coupling)
    soft = Coupling({"training": math.inf}, at_least={"training": 4.0}, shortfall_price=100.0)
    clearing = clear_vcg_services(book, 6.0, coupling=soft)
    # without the lab the mill has 2 MW more and 1 MW of the minimum is missed, so that the lab is paid 100 less 2 * 4
    assert clearing.payments.tolist() == pytest.approx([2 * 4 - 100, 0])
    explained = explain_vcg_services(book, 6.0, coupling=soft)
    assert explained.set_index("displaced")["amount"]["shortfall"] == pytest.approx(-100)


def test_minima_that_cannot_be_met_are_refused_with_what_gave_way_and_by_how_much():
    book = book_of([("lab", "training", 5, 10), ("mill", "training", 5, 4)])
    coupling = Coupling({"training": 4.0}, cooling_mw=9.0, at_least={"training": 8.0})
    with pytest.raises(PlanError, match=r"at_least of training needs 8 MW at .* with site cap, allow 4 MW, 4 MW less"):
        clear_vcg_services(book, 5.0, coupling=coupling)
    tight = Coupling({"training": 4.0}, cooling_mw=6.0, at_least={"training": 8.0})
    with pytest.raises(PlanError, match="with chiller, allow 6 MW, 2 MW less"):
        clear_vcg_services(book, 50.0, coupling=tight)
    with pytest.raises(PlanError, match="the bids allow 0 MW, 8 MW less"):
        clear_vcg_services(book.assign(quantity_mw=0.0), 50.0, coupling=coupling)
    with pytest.raises(PlanError, match="with site cap, allow 0 MW, 8 MW less"):
        clear_vcg_services(book, 0.0, coupling=coupling)
    whole = book.assign(minimum_mw=5.0)
    with pytest.raises(PlanError, match=r"needs 8 MW at .* and the bids allow 5 MW, 3 MW less"):
        clear_vcg_services(
            whole, 50.0, coupling=Coupling({"training": 4.0}, cooling_mw=9.0, at_least={"training": 8.0})
        )


def test_a_minimum_quantity_is_awarded_whole_or_not_at_all():
    rows = [("lab", "training", 4, 50, 4), ("mill", "training", 3, 45, 0), ("farm", "training", 3, 20, 0)]
    coupling = Coupling({"training": math.inf})
    clearing = clear_vcg_services(book_of(rows), 3.5, coupling=coupling)
    assert clearing.awards["quantity_mw"].tolist() == pytest.approx([0, 3, 0.5])
    assert np.isnan(clearing.prices.iloc[0])
    clearing = clear_vcg_services(book_of(rows), 5, coupling=coupling)
    # the lab and a MW of the mill's are worth 245, the mill and two of the farm's 175 without the lab
    assert clearing.awards["quantity_mw"].tolist() == pytest.approx([4, 1, 0])
    assert clearing.payments.tolist() == pytest.approx([(3 * 45 + 2 * 20) - 45, 20, 0])


def test_of_bids_with_a_minimum_that_are_the_same_the_earlier_are_served():
    book = book_of([(f"bidder_{i}", "training", 2, 50, 2) for i in range(60)])
    clearing = clear_vcg_services(book, 7.0, coupling=Coupling({"training": math.inf}))
    assert clearing.awards["quantity_mw"].tolist() == [2.0] * 3 + [0.0] * 57
    assert clearing.payments.tolist() == pytest.approx([100.0] * 3 + [0.0] * 57)


def test_blocks_of_even_sizes_do_not_fill_an_odd_cap():
    book = book_of([(f"bidder_{i}", "training", 2 * (i % 17 + 3), 50, 2 * (i % 17 + 3)) for i in range(30)])
    clearing = clear_vcg_services(book, 101.0, coupling=Coupling({"training": math.inf}))
    assert clearing.awards["quantity_mw"].sum() == 100
    assert clearing.payments.sum() == pytest.approx(5000)


def test_past_its_nodes_the_search_is_left_to_highs_with_the_same_answer(monkeypatch):
    rng = np.random.default_rng(4)
    rows = [(f"b{i}", service, *rng.integers(1, 30, 2), 0) for i in range(12) for service in ("inference", "training")]
    book = book_of(rows).assign(minimum_mw=lambda b: (0.7 * b["quantity_mw"]).round())
    coupling = Coupling({"inference": 4.0, "training": 2.0}, cooling_mw=80.0, at_least={"training": 11.0})
    one = clear_vcg_services(book, 90.0, coupling=coupling)
    monkeypatch.setattr(services_model, "MOST_NODES", 1)
    two = clear_vcg_services(book, 90.0, coupling=coupling)
    assert by_bidder(book, two.payments) == pytest.approx(by_bidder(book, one.payments), abs=1e-8)
    assert by_bidder(book, value_of(two, book)) == pytest.approx(by_bidder(book, value_of(one, book)), abs=1e-8)


def all_or_nothing(size: np.ndarray, price: np.ndarray) -> pd.DataFrame:
    """Bidders on mining, each of one bid for all or nothing."""
    return book_of([(f"b{i}", "mining", q, p, q) for i, (q, p) in enumerate(zip(size, price, strict=True))])


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-2, 20), st.integers(0, 2)), min_size=1, max_size=6),
    capacities,
    reserves,
    st.sampled_from([math.inf, 4.0]),
)
@few
def test_all_or_nothing_under_one_cap_is_the_auction_of_blocks(market, capacity, reserve, cop):
    book = all_or_nothing(*np.array(market, dtype=float)[:, :2].T)
    book = book.assign(bidder=[f"{who}{i if who else ''}" for i, (_, _, who) in enumerate(market)])
    book = book[~book["bidder"].duplicated()].reset_index(drop=True)
    one, other = Coupling({"mining": cop}), Coupling({"mining": cop}, cooling_mw=1e4)  # the second is searched
    for payments in ("vcg", "core"):
        options = {"reserve_price": reserve, "payments": payments}
        found, searched = (clear_vcg_services(book, capacity, coupling=c, **options) for c in (one, other))
        assert welfare_of(found, book, one, reserve) == pytest.approx(welfare_of(searched, book, one, reserve))
        gains = [by_bidder(book, value_of(clearing, book) - clearing.payments) for clearing in (found, searched)]
        assert payments == "core" or gains[0] == pytest.approx(gains[1], abs=1e-8)
    blocks = book.assign(price=book["price"] - reserve * one.draw("mining"))
    exact = clear_vcg_blocks(blocks.assign(quantity_mw=one.draw("mining") * book["quantity_mw"]), capacity)
    served = clear_vcg_services(book, capacity, coupling=one, reserve_price=reserve).awards["quantity_mw"] > 0
    if cop == math.inf:
        assert served.tolist() == (exact.awards["quantity_mw"] > 0).tolist()


@pytest.mark.parametrize("kind", ["even", "uneven"])
def test_many_bids_for_all_or_nothing_under_one_cap_are_cleared_at_once(kind):
    rng = np.random.default_rng(2)
    size = rng.integers(5, 50, 200) / 10 if kind == "even" else rng.uniform(1, 2, 20)
    price = rng.integers(20, 80, 200).astype(float) if kind == "even" else 50 + 1 / size
    book, capacity = all_or_nothing(size, price), size.sum() / 2
    found = clear_vcg_services(book, capacity, coupling=Coupling({"mining": math.inf}), time_limit_s=20.0)
    exact = clear_vcg_blocks(book, capacity)
    assert value_of(found, book).sum() == pytest.approx(value_of(exact, book).sum(), rel=1e-12)
    assert found.payments.to_numpy() == pytest.approx(exact.payments.to_numpy(), rel=1e-9, abs=1e-7)


def test_two_curves_of_one_bidder_are_left_out_together():
    rows = [
        ("a", "mining", 2, 50, 2),
        ("a", "training", 3, 40, 3),
        ("b", "mining", 4, 30, 4),
        ("c", "mining", 1, 20, 1),
    ]
    book, coupling = book_of(rows), Coupling({"mining": math.inf, "training": math.inf})
    for payments in ("vcg", "core"):
        clearing = clear_vcg_services(book, 5.0, coupling=coupling, payments=payments)
        assert clearing.awards["quantity_mw"].tolist() == [2, 3, 0, 0]
        assert clearing.payments.to_numpy() == pytest.approx([140 * 100 / 220, 140 * 120 / 220, 0, 0])


@pytest.mark.parametrize("payments", ["vcg", "core"])
def test_a_search_that_is_not_over_in_its_time_is_given_up_in_words(payments):
    size = np.random.default_rng(1).uniform(1, 2, 60)
    book = all_or_nothing(size, 50 + 1 / size)
    coupling = Coupling({"mining": math.inf, "training": 4.0}, cooling_mw=100.0)
    with pytest.raises(PlanError, match=r"not proven best within time_limit_s = 0\.3 s with 60 curves that have a min"):
        clear_vcg_services(book, size.sum() / 2, coupling=coupling, time_limit_s=0.3, payments=payments)


def large_book(n_bidders: int, *, whole: bool = False, spike: float = 0.0) -> pd.DataFrame:
    """Bidders on three services, four segments each, of which some have a minimum."""
    rng = np.random.default_rng(0)
    shape = (n_bidders, 3, 4)
    price = rng.uniform(20, 120, (*shape[:2], 1)) * np.sort(rng.uniform(0.3, 1, shape), axis=-1)[..., ::-1]
    price[..., 0, :] *= 0.4
    if spike:
        price[0, 1, 0] = spike
    book = pd.DataFrame(
        {
            "time": NOON,
            "bidder": np.repeat([f"b{i}" for i in range(n_bidders)], 12),
            "service": np.tile(np.repeat([COOLING, "inference", "training"], 4), n_bidders),
            "quantity_mw": rng.uniform(0.1, 2, shape).ravel(),
            "price": price.ravel(),
        }
    )
    total = book.groupby(["bidder", "service"])["quantity_mw"].transform("sum")
    share = np.repeat(rng.choice([0, 0.3, 0.6], shape[:2]).ravel(), 4)
    return book.assign(minimum_mw=total * share) if whole else book


LARGE = Coupling(
    {"inference": 4.0, "training": 3.0, COOLING: 5.0},
    cooling_mw=85.0,
    at_most={"inference": 34.0},
    at_least={"training": 23.0},
)


@pytest.mark.parametrize(("whole", "near"), [(False, 5), (False, 150), (True, 20)])
def test_a_large_auction_has_the_payments_of_cold_solves(whole, near, monkeypatch):
    monkeypatch.setattr(services_solver, "_NEAR", near)
    book = large_book(60, whole=whole)
    clearing = clear_vcg_services(book, 75.0, coupling=LARGE)
    best = slow_optimum(book, 75.0, LARGE)
    assert welfare_of(clearing, book, LARGE) == pytest.approx(best, rel=1e-9)
    value, paid = by_bidder(book, value_of(clearing, book)), by_bidder(book, clearing.payments)
    for name in list(value)[: 3 if whole else 20]:
        slow = slow_optimum(without(book, name), 75.0, LARGE) - best + value[name]
        assert paid[name] == pytest.approx(slow, rel=1e-9, abs=1e-9 * best if whole else 1e-7)


@pytest.mark.parametrize("money", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("power", [1e-6, 1.0, 1e6])
def test_the_units_of_power_and_money_do_not_matter(money, power):
    book = large_book(12)
    scaled = book.assign(quantity_mw=power * book["quantity_mw"], price=money * book["price"])
    limits = {"at_most": {"inference": 6.0 * power}, "at_least": {"training": 4.0 * power}}
    one = clear_vcg_services(
        book, 15.0, coupling=Coupling(LARGE.cop, 13.0, at_most={"inference": 6.0}, at_least={"training": 4.0})
    )
    two = clear_vcg_services(scaled, 15.0 * power, coupling=Coupling(LARGE.cop, 13.0 * power, **limits))
    assert two.awards["quantity_mw"].to_numpy() / power == pytest.approx(one.awards["quantity_mw"].to_numpy(), abs=1e-9)
    assert two.payments.to_numpy() / power / money == pytest.approx(one.payments.to_numpy(), rel=1e-9, abs=1e-9)
    assert (two.prices / money).to_numpy() == pytest.approx(one.prices.to_numpy(), rel=1e-9)


def test_a_bid_at_a_billion_does_not_blur_the_others():
    high, higher = large_book(12, spike=1e3), large_book(12, spike=1e9)
    one, two = (clear_vcg_services(book, 15.0, coupling=LARGE_SMALL) for book in (high, higher))
    assert two.awards["quantity_mw"].to_numpy() == pytest.approx(one.awards["quantity_mw"].to_numpy(), abs=1e-9)
    assert by_bidder(high, two.payments) == pytest.approx(by_bidder(high, one.payments), rel=1e-9, abs=1e-9)


LARGE_SMALL = Coupling(LARGE.cop, cooling_mw=13.0)


def test_each_time_is_an_auction_of_its_own():
    book = large_book(6)
    later = book.assign(time=NOON + pd.Timedelta(hours=1), price=book["price"] / 2)
    both = pd.concat([later, book], ignore_index=True)
    cap = pd.Series([8.0, 5.0], index=pd.DatetimeIndex([NOON, NOON + pd.Timedelta(hours=1)], name="time"))
    clearing = clear_vcg_services(both, cap, coupling=LARGE_SMALL)
    for own, limit in ((book, 8.0), (later, 5.0)):
        alone = clear_vcg_services(own, limit, coupling=LARGE_SMALL)
        rows = (both["time"] == own["time"].iloc[0]).to_numpy()
        assert clearing.payments[rows].to_numpy() == pytest.approx(alone.payments.to_numpy())
        assert clearing.prices[own["time"].iloc[0]] == alone.prices.iloc[0]
    report = services_report(both, clearing, cap, LARGE_SMALL)
    assert report.groupby("time").size().tolist() == [5, 5]


def test_no_bids_and_no_supply_have_the_empty_answer():
    book, coupling = book_of([("lab", "training", 5, 10)]), Coupling({"training": 4.0})
    nothing = clear_vcg_services(book.iloc[:0], 5.0, coupling=coupling)
    assert [len(part) for part in nothing] == [0, 0, 0]
    empty, some = (explain_vcg_services(bids, 3.0, coupling=coupling) for bids in (book.iloc[:0], book))
    assert list(empty.columns) == list(some.columns) and empty.dtypes.equals(some.dtypes)
    assert services_report(book.iloc[:0], nothing, 5.0, coupling).empty
    for bids, cap in ((book, 0.0), (book.assign(quantity_mw=0.0), 5.0), (book.assign(price=-1.0), 5.0)):
        clearing = clear_vcg_services(bids, cap, coupling=coupling)
        assert clearing.awards["quantity_mw"].tolist() == clearing.payments.tolist() == [0.0]
        assert np.isnan(clearing.prices.iloc[0])
        assert explain_vcg_services(bids, cap, coupling=coupling).empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"service": ["training", "heat"]}, "has heat in row 1, which is not on sale"),
        ({"price": [10.0, np.nan]}, r"bids\['price'\] is NaN"),
        ({"price": [10.0, np.inf]}, "is infinite in row 1"),
        ({"quantity_mw": [1.0, -2.0]}, "is negative in row 1"),
        ({"quantity_mw": [1.0, np.nan]}, "is NaN"),
        ({"minimum_mw": [0.0, np.nan]}, r"\['minimum_mw'\] is not at least 0 in row 1, nan MW"),
        ({"minimum_mw": [-1.0, 0.0]}, "is not at least 0 in row 0"),
        ({"minimum_mw": [0.0, 7.0]}, "is above the quantities of its curve in row 1, 7 MW"),
        ({"minimum_mw": ["no", "one"]}, "must hold numbers"),
        ({"bidder": "lab", "price": [10.0, 12.0]}, "is above the bidder's segment before in row 1"),
        ({"bidder": "lab", "minimum_mw": [1.0, 2.0]}, "differs from the row's before in row 1"),
    ],
)
def test_bids_that_cannot_be_are_refused_with_the_row_and_the_rule(change, message):
    book = book_of([("lab", "training", 5, 10), ("mill", "training", 5, 4)]).assign(**change)
    with pytest.raises(DataError, match=message):
        clear_vcg_services(book, 5.0, coupling=Coupling({"training": 4.0}))


def test_a_bidder_that_comes_twice_and_options_that_do_not_exist_are_refused():
    coupling = Coupling({"training": 4.0})
    book = book_of([("lab", "training", 5, 10), ("mill", "training", 5, 4), ("lab", "training", 5, 3)])
    with pytest.raises(DataError, match="lab twice"):
        clear_vcg_services(book, 5.0, coupling=coupling)
    with pytest.raises(DataError, match="payments must be 'vcg' or 'core', got 'first'"):
        clear_vcg_services(book.iloc[:2], 5.0, coupling=coupling, payments="first")
    with pytest.raises(DataError, match="coupling must be a Coupling, got NoneType"):
        clear_vcg_services(book.iloc[:2], 5.0, coupling=None)
    for limit in (0.0, math.nan, "1"):
        with pytest.raises(DataError, match="time_limit_s must be a number above 0"):
            clear_vcg_services(book.iloc[:2], 5.0, coupling=coupling, time_limit_s=limit)
    named = book.iloc[:2].assign(bidder=["shortfall", "mill"])
    with pytest.raises(DataError, match="'shortfall', which stands for the seller"):
        explain_vcg_services(named, 5.0, coupling=coupling)
    with pytest.raises(DataError, match="capacity_mw must be at least 0"):
        clear_vcg_services(book.iloc[:2], -5.0, coupling=coupling)
    with pytest.raises(DataError, match="must have the rows of bids"):
        services_report(book.iloc[:1], clear_vcg_services(book.iloc[:2], 5.0, coupling=coupling), 5.0, coupling)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cop": {}}, "at least one service"),
        ({"cop": {"training": "x"}}, "cop of training must be a number, got 'x'"),
        ({"cop": ["training"]}, "cop must map services to numbers, got"),
        ({"cooling_mw": "x"}, "cooling_mw must be at least 0, got 'x'"),
        ({"cop": {"training": 0.0}}, "cop of training must be above 0, inf for"),
        ({"cop": {"training": -1.0}}, "cop of training must be above 0"),
        ({"cop": {"training": math.nan}}, "cop of training must be above 0"),
        ({"cop": {COOLING: math.inf}}, "cop of cooling must be above 0 and finite"),
        ({"cooling_mw": -1.0}, "cooling_mw must be at least 0, got -1.0"),
        ({"cooling_mw": math.nan}, "cooling_mw must be at least 0, got nan"),
        ({"shortfall_price": -1.0}, "shortfall_price must be at least 0"),
        ({"at_most": {"heat": 1.0}}, "at_most has heat, which is not a service of cop"),
        ({"at_least": {"training": math.inf}}, "at_least of training must be at least 0 MW and a minimum finite"),
        ({"at_most": {"training": 1.0}, "at_least": {"training": 2.0}}, "at_least of training, 2 MW, is above"),
    ],
)
def test_a_coupling_that_cannot_be_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        Coupling(**({"cop": {"training": 4.0}} | given))
