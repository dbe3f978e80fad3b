"""The plots of auctions and games say what their tables say; judged by their artists, never by pixels."""

import numpy as np
import pandas as pd
import pytest

from gridlab.errors import DataError
from gridlab.plots import (
    plot_best_responses,
    plot_market_power,
    plot_mechanisms,
    plot_merit_order,
    plot_misreports,
    plot_payment,
    plot_sharing,
    plot_supply_demand,
    plot_withholding,
)
from gridlab.schema import mock_bids, mock_schedule

pytestmark = pytest.mark.filterwarnings("error")


def wanted():
    bids = mock_bids(4).assign(quantity_mw=[2.0, 1.0, 2.0, 1.0], price=[10.0, 50.0, 30.0, -5.0])
    return bids.assign(service=["mining", "inference", "mining", "training"])


def areas(ax, *, pale):
    return sum(bar.get_width() for bar in ax.patches if (bar.get_alpha() == 0.35) == pale)


def test_what_wins_fills_the_capacity_and_what_loses_is_pale():
    ax = plot_merit_order(wanted(), capacity_mw=2.5)
    assert areas(ax, pale=False) == pytest.approx(2.5)
    assert areas(ax, pale=True) == pytest.approx(3.5)
    starts = {bar.get_height(): bar.get_x() for bar in ax.patches if bar.get_alpha() is None}
    assert starts == {50.0: 0.0, 30.0: 1.0, 10.0: 3.0, -5.0: 5.0}


def test_awards_that_are_given_are_drawn_as_they_are():
    awards = wanted().assign(quantity_mw=[2.0, 0.0, 0.0, 0.5])
    ax = plot_merit_order(wanted(), awards, capacity_mw=2.5, price=-5.0)
    assert areas(ax, pale=False) == pytest.approx(2.5)
    assert ax.get_title(loc="left").startswith("2 of 4 bidders win 2.5 of the 6 MW")


def test_curves_of_two_sides_rise_and_fall_to_all_that_is_offered_and_wanted():
    bids = mock_bids(5).assign(quantity_mw=[3.0, -4.0, 2.0, -1.0, 1.0], price=[10.0, 50.0, 30.0, np.inf, -np.inf])
    ax = plot_supply_demand(bids, price=30.0)
    supply, demand = (patch.get_data() for patch in ax.patches)
    assert (np.diff(supply.values) > 0).all()
    assert (np.diff(demand.values) < 0).all()
    assert (supply.edges[-1], demand.edges[-1]) == (6.0, 5.0)
    assert np.isfinite([*supply.values, *demand.values]).all()
    assert plot_supply_demand(bids, price=np.nan).get_title(loc="left").endswith("nothing is traded")


def test_a_waterfall_ends_at_what_is_left_of_the_value():
    explained = pd.DataFrame({"bidder": [*"AAAB"], "displaced": [*"CDDC"], "amount": [75.0, 85.0, 65.0, 9.0]})
    ax = plot_payment(explained, bidder="A", value=339.0)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == [339.0, -150.0, -75.0, 114.0]
    assert [label.get_text() for label in ax.get_yticklabels()][1:3] == ["displaces D", "displaces C"]
    nothing = plot_payment(explained, bidder="Z", value=5.0)
    assert nothing.get_title(loc="left") == "Z wins what is worth 5 $ and pays 0 $; 5 $ are left"


def test_each_mechanism_is_divided_into_revenue_and_what_bidders_keep():
    table = pd.DataFrame({"welfare": [9.0, 8.0], "revenue": [4.0, 5.0]}, index=["vcg", "pay as bid"])
    ax = plot_mechanisms(table)
    assert sorted(bar.get_width() for bar in ax.patches) == [3.0, 4.0, 5.0, 5.0]


def test_the_best_lie_is_marked_and_the_truth_wins_ties():
    surplus = pd.DataFrame({"vcg": [4.0, 4.0, 4.0], "pay as bid": [3.0, 1.0, 0.0]}, index=[0.5, 0.8, 1.0])
    ax = plot_misreports(surplus, bidder="A")
    marked = {line.get_xdata()[0]: line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 1}
    assert marked == {1.0: 4.0, 0.5: 3.0}


def test_best_replies_and_equilibria_are_marked_where_they_are():
    A, B = np.array([[3.0, 0.0], [5.0, 1.0]]), np.array([[3.0, 5.0], [0.0, 1.0]])
    ax = plot_best_responses(A, B, strategies=["hold", "sell"], equilibria=[([0, 1], [0, 1])], players=("X", "Y"))
    of_row, of_column = (set(zip(*line.get_data(), strict=True)) for line in ax.lines)
    assert of_row == {(0, 1), (1, 1)}
    assert of_column == {(1, 0), (1, 1)}
    assert ax.collections[0].get_offsets().tolist() == [[1.0, 1.0]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Y: strategy", "X: strategy")


def test_plans_are_drawn_as_steps_of_their_power_or_price():
    plan = mock_schedule(days=1).assign(price=30.0)
    ax = plot_withholding({"a": plan, "b": plan.assign(battery_mw=0.25)})
    assert [patch.get_data().values.sum() for patch in ax.patches] == [0.0, 6.0]
    assert plot_withholding({"a": plan}, column="price").patches[0].get_data().values.tolist() == [30.0] * 24


def test_shares_stand_beside_each_other_by_rule():
    shares = pd.DataFrame({"shapley": [4.0, 2.0], "nucleolus": [6.0, 0.0]}, index=["left", "right"])
    assert [bar.get_height() for bar in plot_sharing(shares).patches] == [4.0, 2.0, 6.0, 0.0]
    assert plot_sharing(shares * 0).get_title(loc="left") == "0 $ are shared"


def test_profit_by_size_names_the_best_and_the_worst_at_the_largest():
    table = pd.DataFrame({"price taker": [9.0, 10.0], "strategic": [9.0, 15.0]}, index=[10.0, 100.0])
    lines = plot_market_power(table).lines
    assert [line.get_ydata().tolist() for line in lines[:2]] == [[9.0, 10.0], [9.0, 15.0]]


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda: plot_merit_order(wanted().iloc[:0], capacity_mw=1.0), "no rows"),
        (lambda: plot_merit_order(wanted().drop(columns="price"), capacity_mw=1.0), "no column 'price'"),
        (lambda: plot_merit_order(wanted().assign(price=np.nan), capacity_mw=1.0), "is nan at 0"),
        (lambda: plot_supply_demand(mock_bids(2).assign(price=np.inf)), "infinite prices"),
        (lambda: plot_supply_demand(mock_bids(2).assign(time=mock_schedule(days=1).index[:2])), "of 2 times"),
        (lambda: plot_payment(pd.DataFrame({"bidder": []}), bidder="A", value=1.0), "no column 'displaced'"),
        (lambda: plot_mechanisms(pd.DataFrame({"welfare": [], "revenue": []})), "no rows"),
        (lambda: plot_misreports(pd.DataFrame({"vcg": [1.0]}), bidder="A"), "two rows"),
        (lambda: plot_best_responses([[1.0]], [[1.0, 2.0]], strategies=["a"]), "must be 1 x 1"),
        (lambda: plot_best_responses([[np.nan]], [[1.0]], strategies=["a"]), "must be finite"),
        (lambda: plot_withholding({}), "no plan"),
        (lambda: plot_withholding({"a": mock_schedule(days=1), "b": mock_schedule(days=2)}), "'b' has other times"),
        (lambda: plot_sharing(pd.DataFrame()), "a member and a rule"),
        (lambda: plot_market_power(pd.DataFrame({"a": [1.0]})), "two sizes"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused_in_words(draw, says):
    with pytest.raises(DataError, match=says):
        draw()
