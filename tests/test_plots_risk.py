"""The plots of risk and of portfolios say what their tables say; judged by their artists, never by pixels."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num
from scipy.stats import binom

from gridlab.errors import DataError
from gridlab.plots.portfolio import (
    plot_allocations,
    plot_frontier,
    plot_frontier_weights,
    plot_weights,
)
from gridlab.plots.profits import plot_cumulative_profit
from gridlab.plots.risk import plot_drawdown, plot_hits, plot_loss_distribution, plot_mean_excess
from gridlab.plots.services import plot_attribution, plot_stress, service_looks, stacked
from gridlab.plots.style import dress

pytestmark = pytest.mark.filterwarnings("error")

NAMES = ["energy", "regulation", "hash", "inference", "training"]
MODELS = {"history": (40.0, 75.0), "normal": (38.0, 52.0), "pot": (41.0, 90.0)}


def dates(n, freq="D"):
    return pd.date_range("2024-01-01", periods=n, freq=freq, name="date")


def losses(n=400, seed=3):
    return pd.Series(-30 + 25 * np.random.default_rng(seed).standard_t(3, n), index=dates(n))


def measures(n=400):
    loss = losses(n)
    return pd.DataFrame({"loss": loss, "var": 35 + 10 * np.sin(np.arange(n) / 40), "cvar": 80.0})


def attribution():
    table = pd.DataFrame({"standalone": [30.0, 12.0, 60.0], "contribution": [10.0, -5.0, 45.0]}, index=NAMES[:3])
    table.loc["total"] = table.sum()
    return table.assign(share=table["contribution"] / 50, incremental=[8.0, -7.0, 40.0, 41.0])


def daily_profit(n=300):
    rng = np.random.default_rng(5)
    return pd.DataFrame({name: 20 + 40 * rng.standard_t(3, n) for name in NAMES[:3]}, index=dates(n))


def stress():
    table = pd.DataFrame({"energy": [40.0, 30.0, 300.0, -20.0], "hash": [20.0, 150.0, -60.0, 10.0]})
    table.index = pd.Index(["base", "heat wave", "price spike", "calm"], name="shock")
    return table.assign(loss=table.sum(axis=1), date=dates(4))


def excesses():
    return pd.DataFrame(
        {"threshold": np.arange(0.0, 60.0, 5.0), "mean_excess": 20 + 0.25 * np.arange(0.0, 60.0, 5.0)}
    ).assign(n_above=[375, 300, 240, 180, 130, 90, 60, 40, 25, 14, 8, 4], error=np.linspace(1, 12, 12))


def frontier():
    share = np.linspace(0, 1, 11)
    weights = pd.DataFrame({"energy": share**2, "regulation": 1 - share, "hash": share - share**2})
    curve = pd.DataFrame({"mean": 22 + 18 * np.sqrt(share), "risk": 10 + 50 * share})
    return pd.concat([curve, weights], axis=1).rename_axis("point")


def marks():
    rules = ["1/N", "min_variance", "risk_parity", "min_cvar", *NAMES[:3]]
    risk, mean = [25.0, 12.0, 13.0, 12.5, 60.0, 17.0, 41.0], [28.0, 24.0, 24.5, 24.2, 39.0, 21.0, 33.0]
    return pd.DataFrame({"risk": risk, "mean": mean}, index=rules)


def bands():
    curve = frontier()
    return pd.DataFrame(
        {"risk": curve["risk"], "mean": curve["mean"], "low": curve["mean"] - 3, "high": curve["mean"] + 4}
    )


def weights(n=12):
    rows = np.random.default_rng(1).dirichlet([4, 9, 3, 6, 3], n)
    return pd.DataFrame(rows, index=dates(n, "14D"), columns=NAMES)


def allocations():
    table = {"mean": [2.1, 0.0, -4.0, 0.7], "low": [0.4, 0.0, -7.0, -1.0], "high": [3.9, 0.0, -1.2, 2.0]}
    return pd.DataFrame(table, index=["min_cvar", "1/N", "energy", "risk_parity"]).assign(cvar=[21.0, 26, 88, 24])


CASES = {
    "hits": (lambda table, ax: plot_hits(table, level=0.95, axes=ax), measures()),
    "distribution": (lambda table, ax: plot_loss_distribution(table, measures=MODELS, level=0.95, ax=ax), losses()),
    "attribution": (lambda table, ax: plot_attribution(table, ax=ax), attribution()),
    "drawdown": (lambda table, ax: plot_drawdown(table, market_tz="America/Chicago", ax=ax), daily_profit()),
    "stress": (lambda table, ax: plot_stress(table, limit=150.0, ax=ax), stress()),
    "stress by service": (
        lambda table, ax: plot_stress(table, services=["energy", "hash"], limit=150, ax=ax),
        stress(),
    ),
    "mean excess": (lambda table, ax: plot_mean_excess(table, threshold=20.0, ax=ax), excesses()),
    "frontier": (lambda table, ax: plot_frontier(table, bands=bands(), marks=marks(), ax=ax), frontier()),
    "frontier weights": (lambda table, ax: plot_frontier_weights(table, ax=ax), frontier()),
    "weights": (lambda table, ax: plot_weights(table, market_tz="America/Chicago", ax=ax), weights()),
    "allocations": (lambda table, ax: plot_allocations(table, ax=ax), allocations()),
}
OVER_TIME = {"hits", "drawdown", "weights"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def draw(case):
    plot, table = CASES[case]
    return np.ravel(plot(table, None))


def line(ax, label):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return np.asarray(found.get_xdata(), dtype=float), np.asarray(found.get_ydata(), dtype=float)


def steps(ax, label):
    (found,) = [patch.get_data() for patch in ax.patches if patch.get_label() == label and hasattr(patch, "get_data")]
    return found


def texts(ax):
    return [text.get_text() for text in ax.texts]


def row_names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def title(ax):
    return ax.get_title(loc="left")


@pytest.mark.parametrize("case", CASES)
def test_every_plot_draws_on_the_axes_it_is_given_and_leaves_its_table_alone(case):
    from matplotlib.figure import Figure

    plot, table = CASES[case]
    before = table.copy(deep=True)
    axes = Figure().subplots(2 if case == "hits" else 1)
    assert list(np.ravel(plot(table, axes))) == list(np.ravel(axes))
    assert all(ax.has_data() for ax in np.ravel(axes))
    assert table.equals(before)


@pytest.mark.parametrize("case", CASES)
def test_every_axis_with_a_quantity_names_its_unit_and_every_time_axis_its_zone(case):
    axes = draw(case)
    assert all("[" in ax.get_xlabel() + ax.get_ylabel() for ax in axes)
    if case in OVER_TIME:
        assert axes[-1].get_xlabel().endswith(("[UTC]", "[America/Chicago]"))


def words_of(axes):
    """All words on axes that are in view."""
    ticks = [
        tick.label1
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        and tick.label1.get_visible()
    ]
    own = [axes.xaxis.label, axes.yaxis.label, axes._left_title, *axes.texts]
    return [text for text in [*ticks, *own] if text.get_text()]


@pytest.mark.parametrize("case", CASES)
def test_no_words_leave_the_figure_or_touch_the_legend_or_each_other(case):
    from matplotlib.text import Text

    axes = draw(case)
    figure = axes[0].figure
    figure.canvas.draw()
    whole = figure.bbox
    for ax in axes:
        boxes = {text: Text.get_window_extent(text) for text in words_of(ax)}
        for text, box in boxes.items():
            assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, text.get_text()
            assert whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1, text.get_text()
        touching = [
            (one.get_text(), other.get_text())
            for i, one in enumerate(boxes)
            for other in list(boxes)[:i]
            if boxes[one].padded(-1).overlaps(boxes[other].padded(-1))
        ]
        assert not touching
        if (legend := ax.get_legend()) is not None:
            box = legend.get_window_extent()
            assert box.x1 <= whole.x1 + 1
            assert not [text.get_text() for text in boxes if boxes[text].overlaps(box)]


@pytest.mark.parametrize("case", CASES)
def test_money_in_a_line_of_words_is_never_read_as_a_formula(case):
    for ax in draw(case):
        assert not [text.get_text() for text in words_of(ax) if "$" in text.get_text() and text.get_parse_math()]


def test_the_hits_drawn_are_the_days_whose_loss_passed_the_var_and_no_day_is_lost():
    table = measures()
    top, _ = plot_hits(table, level=0.95)
    hit = table["loss"] > table["var"]
    np.testing.assert_array_equal(line(top, "hit: loss above VaR")[1], table["loss"][hit])
    np.testing.assert_array_equal(line(top, "loss of the day")[1], table["loss"][~hit])
    np.testing.assert_array_equal(steps(top, "VaR 95 %").values, table["var"])
    assert title(top) == f"{hit.sum()} of 400 days lost more than the VaR; 20 were expected"


def test_a_loss_equal_to_the_var_is_no_hit():
    table = pd.DataFrame({"loss": [1.0, 2.0], "var": 2.0, "cvar": 3.0}, index=dates(2))
    assert title(plot_hits(table, level=0.5)[0]) == "0 of 2 days lost more than the VaR; 1 was expected"


def test_the_band_around_the_expected_hits_is_the_binomial_one_and_the_hits_add_up():
    table = measures()
    _, bottom = plot_hits(table, level=0.95)
    band = steps(bottom, "95 % of counts if the VaR is right")
    n = np.arange(1, 401)
    slow_low = [next(k for k in range(400) if binom.cdf(k, days, 0.05) >= 0.025 - 1e-12) for days in (1, 100, 400)]
    np.testing.assert_array_equal(band.baseline[[0, 99, 399]], slow_low)
    np.testing.assert_array_equal(steps(bottom, "hits").values, (table["loss"] > table["var"]).cumsum())
    np.testing.assert_allclose(steps(bottom, "expected").values, 0.05 * n)


def test_an_infinite_cvar_is_left_out_and_a_huge_gain_lies_at_the_edge():
    table = measures()
    table.iloc[3, 0], table.iloc[5:9, 2] = -9000.0, np.inf
    top, _ = plot_hits(table, level=0.95)
    assert np.isnan(steps(top, "CVaR 95 %").values[5:9]).all()
    tail = table["loss"].max() - table["var"].min()
    assert line(top, "gain beyond the edge")[1][0] == pytest.approx(table["loss"].max() - 4 * tail)
    assert top.get_ylim()[0] > -5 * tail


def battery(n=400):
    """Losses of a battery that earns on every day, much on some, and measures that are gains too."""
    loss = pd.Series(-20 - np.exp(np.random.default_rng(0).normal(4.2, 1.0, n)), index=dates(n))
    loss.iloc[::35], loss.iloc[50] = np.linspace(-19, -8, len(loss.iloc[::35])), -1600.0
    return pd.DataFrame({"loss": loss, "var": -20.0, "cvar": -12.0})


def test_the_tail_keeps_its_room_where_even_the_worst_days_earn():
    table = battery()
    top, _ = plot_hits(table, level=0.95)
    low, high = top.get_ylim()
    assert (table["cvar"].iloc[0] - table["var"].iloc[0]) / (high - low) > 0.04
    assert len(line(top, "gain beyond the edge")[0]) <= len(table) / 4
    drawn = sum(len(line(top, name)[0]) for name in ("loss of the day", "gain beyond the edge", "hit: loss above VaR"))
    assert drawn == len(table)
    ax = plot_loss_distribution(table["loss"], measures={"history": (-20.0, -12.0)}, level=0.95)
    assert 8 / np.ptp(ax.get_xlim()) > 0.03
    assert sum(bar.get_height() for container in ax.containers for bar in container) == len(table)


@pytest.mark.parametrize(("n", "level", "words"), [(8, 0.95, "0.4 were"), (8, 0.99, "0.1 were"), (20, 0.95, "1 was"),
                                                   (8, 0.999, "fewer than 0.1 were")])  # fmt: skip
def test_the_hits_expected_in_few_days_are_told_with_one_decimal_and_never_as_none(n, level, words):
    assert title(plot_hits(measures(n), level=level)[0]).endswith(f"; {words} expected")


def test_a_spike_leaves_the_usual_days_room_on_the_axis():
    table = measures()
    table.iloc[3, 0] = 9000.0
    top, _ = plot_hits(table, level=0.95)
    low, zero, var, high = top.transData.transform([(0, y) for y in (top.get_ylim()[0], 0.0, 35.0, 9000.0)])[:, 1]
    assert low < zero < var < high
    assert var - zero > 0.08 * (high - low)
    assert plot_hits(measures(), level=0.95)[0].get_yscale() == "linear"


def test_a_day_that_is_absent_is_a_gap_and_no_hit():
    table = measures(20).drop(dates(20)[[7, 8]])
    top, bottom = plot_hits(table, level=0.95)
    assert np.isnan(steps(top, "VaR 95 %").values[7:9]).all()
    assert steps(bottom, "hits").values[-1] == (table["loss"] > table["var"]).sum()


def test_the_histogram_holds_every_day_also_those_beyond_its_edge():
    loss = losses()
    loss.iloc[:3] = -20000.0
    ax = plot_loss_distribution(loss, measures=MODELS, level=0.95)
    bars = [bar for container in ax.containers for bar in container]
    assert sum(bar.get_height() for bar in bars) == len(loss)
    assert [bar.get_height() for bar in bars if bar.get_hatch()] == [3]
    assert any(label.startswith("3 days gained more") for label in ax.get_legend_handles_labels()[1])


def test_one_loss_of_a_hundred_times_the_usual_is_collected_at_the_right_and_told():
    loss = losses()
    loss.iloc[7] = 9000.0
    ax = plot_loss_distribution(loss, measures=MODELS, level=0.95)
    bars = [bar for container in ax.containers for bar in container]
    assert sum(bar.get_height() for bar in bars) == len(loss)
    (far,) = [bar for bar in bars if bar.get_hatch()]
    assert far.get_height() == 1
    assert far.get_x() > max(cvar for _, cvar in MODELS.values())
    assert ax.get_xlim()[1] < 1000
    label = f"1 day lost more than {loss.drop(loss.index[7]).max():,.0f} $, up to 9,000 $"
    assert label in ax.get_legend_handles_labels()[1]
    usual = plot_loss_distribution(losses(), measures=MODELS, level=0.95)
    assert not [bar for container in usual.containers for bar in container if bar.get_hatch()]


def test_words_beside_a_mark_end_before_the_axes_do_also_on_axes_that_do_not_make_room():
    from matplotlib.figure import Figure

    for values, measure in ((battery()["loss"], (-12.0, -11.0)), (losses(8), (46.0, 47.0))):
        ax = Figure(figsize=(9, 4)).add_axes((0.15, 0.2, 0.8, 0.6))
        plot_loss_distribution(values, measures={"history": measure}, level=0.95, ax=ax)
        (text,) = [text for text in ax.texts if text.get_text().startswith("VaR")]
        ax.figure.canvas.draw()
        assert text.get_window_extent().x1 <= ax.get_window_extent().x1
        assert text.get_bbox_patch().get_window_extent().x1 <= ax.get_window_extent().x1


@pytest.mark.parametrize("case", ["hits", "distribution", "drawdown"])
def test_amounts_of_money_on_an_axis_are_never_written_with_an_exponent(case):
    plots = {
        "hits": lambda: plot_hits(measures() * 1000, level=0.95)[0].yaxis,
        "distribution": lambda: plot_loss_distribution(losses() * 1000, measures={"pot": (1e5, 2e5)}, level=0.9).xaxis,
        "drawdown": lambda: plot_drawdown(daily_profit() * 1e5).yaxis,
    }
    axis = plots[case]()
    axis.axes.figure.canvas.draw()
    written = [label.get_text() for label in axis.get_ticklabels()]
    assert any("0,000" in words for words in written)
    assert not any("e" in words for words in written)


def test_every_model_has_a_line_of_its_own_below_the_axis_with_its_var_and_cvar():
    ax = plot_loss_distribution(losses(), measures=MODELS, level=0.95)
    (var, at), (cvar, also_at) = line(ax, "VaR 95 %"), line(ax, "CVaR 95 %")
    assert list(zip(var, cvar, strict=True)) == list(MODELS.values())
    np.testing.assert_array_equal(at, also_at)
    assert (np.diff(at) < 0).all()
    assert at[0] < 0
    assert title(ax).endswith("CVaR from 52 $ (normal) to 90 $ (pot)")
    assert row_names(ax)[-4:] == ["days above 38", *MODELS]


def test_a_table_of_measures_is_drawn_as_the_mapping_is():
    table = pd.DataFrame(MODELS, index=["var", "cvar"]).T
    by_table = plot_loss_distribution(losses(), measures=table, level=0.95)
    by_name = plot_loss_distribution(losses().to_numpy(), measures=MODELS, level=0.95)
    assert title(by_table) == title(by_name)
    assert texts(by_table) == texts(by_name)


def test_the_contributions_are_drawn_the_greatest_on_top_and_a_hedge_is_hatched():
    ax = plot_attribution(attribution())
    assert row_names(ax) == ["hash", "energy", "regulation", "total"]
    widths = [bar.get_width() for bar in ax.patches if abs(bar.get_y() % 1 - 0.63) < 0.01]
    assert sorted(widths) == [-5.0, 10.0, 45.0, 50.0]
    assert [bar.get_width() for bar in ax.patches if bar.get_hatch()] == [-5.0]
    np.testing.assert_array_equal(line(ax, "the total falls by this without it")[0], [40.0, 8.0, -7.0])
    words = "hash drives the tail with 90 % of the loss, regulation hedges; 50 $ together, 102 $ one by one"
    assert title(ax) == words


def test_a_whole_without_risk_is_drawn_without_shares():
    table = attribution()
    table.loc["total", "contribution"], table["share"] = 0.0, np.nan
    ax = plot_attribution(table)
    assert title(ax).startswith("hash drives the tail with 45 $,")
    assert "%" not in "".join(texts(ax))


def test_worst_days_that_earn_have_no_shares_and_a_total_in_a_colour_of_its_own():
    table = attribution()
    table[["standalone", "contribution", "incremental"]] -= 60.0
    table.loc["total", ["standalone", "contribution"]] = table.iloc[:-1][["standalone", "contribution"]].sum()
    ax = plot_attribution(table)
    colors = {bars.get_label(): bars[0].get_facecolor() for bars in ax.containers}
    adds = {bars.get_label(): bars[0].get_facecolor() for bars in plot_attribution(attribution()).containers}
    assert colors["total: the worst days still earn"] not in (colors["hedges"], adds["adds to the worst days"])
    assert "by itself (total: sum of each alone)" in colors
    assert not any("%" in words for words in texts(ax))
    assert title(ax) == "No service adds to the tail; the worst days still earn 130 $, one by one 78 $"


def test_the_drawdown_is_not_drawn_where_days_are_absent_and_its_deepest_day_stays_marked():
    whole = daily_profit(60)
    kept = whole.drop(whole.index[[20, *range(30, 50)]])
    ax = plot_drawdown(kept)
    days_absent = date2num(whole.index.difference(kept.index).to_numpy()) + 0.5
    for name, artist in zip(kept, [line for line in ax.get_lines() if "  " in str(line.get_label())], strict=True):
        x, y = np.asarray(artist.get_xdata(), dtype=float), np.asarray(artist.get_ydata(), dtype=float)
        drawn = [(a, b) for (a, b), ends in zip(pairwise(x), pairwise(y), strict=True) if np.isfinite(ends).all()]
        assert not [day for day in days_absent if any(a < day < b for a, b in drawn)]
        assert sum(b - a for a, b in drawn) == pytest.approx(len(kept))
        total = np.concatenate([[0.0], np.cumsum(kept[name])])
        below = total - np.maximum.accumulate(total)
        (marked,) = artist.get_markevery()
        assert y[marked] == pytest.approx(below.min())
        assert x[marked] == date2num(kept.index[int(below.argmin()) - 1]) + 1


def test_the_drawdown_is_the_distance_to_the_highest_sum_so_far():
    profit = daily_profit()
    ax = plot_drawdown(profit)
    drawn = [line for line in ax.get_lines() if "  " in str(line.get_label())]
    for name, artist in zip(profit, drawn, strict=True):
        total = [0.0, *np.cumsum(profit[name])]
        slow = [total[i] - max(total[: i + 1]) for i in range(len(total))]
        np.testing.assert_allclose(artist.get_ydata(), slow)
        assert artist.get_markevery() == [int(np.argmin(slow))]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([5.0, -4.0, -2.0, 7.0], "lear fell deepest: 6 $ from 2 Jan 2024 to 3 Jan 2024, made good on 4 Jan 2024"),
        ([-5.0, 1.0, 2.0], "lear fell deepest: 5 $ on 1 Jan 2024, not made good by 3 Jan 2024"),
        ([5.0, 0.0, 2.0], "Never below the most earned in 3 days"),
        ([-5.0], "lear fell deepest: 5 $ on 1 Jan 2024, not made good by 1 Jan 2024"),
    ],
)
def test_the_deepest_fall_is_told_with_its_dates(values, words):
    profit = pd.DataFrame({"lear": values}, index=dates(len(values)))
    assert title(plot_drawdown(profit)) == words


def test_shocks_are_drawn_base_first_then_the_worst_and_those_past_the_limit_hatched():
    ax = plot_stress(stress(), limit=150.0)
    assert row_names(ax) == ["base", "price spike", "heat wave", "calm"]
    bars = {bar.get_y() + bar.get_height() / 2: bar for bar in ax.patches}
    np.testing.assert_allclose([bars[y].get_width() for y in sorted(bars)], [60.0, 240.0, 180.0, -10.0])
    assert [bool(bars[y].get_hatch()) for y in sorted(bars)] == [False, True, True, False]
    assert texts(ax)[1] == "240 on 3 Jan 2024, past the limit"
    assert title(ax) == "2 of 3 shocks lose more than 150 $; the worst, price spike, 240 $ (base 60 $)"


def test_the_services_of_a_shock_are_stacked_and_their_sum_is_the_mark():
    ax = plot_stress(stress(), services=["energy", "hash"])
    sums = dict.fromkeys(range(4), 0.0)
    for bar in ax.patches:
        y, left = round(bar.get_y() + bar.get_height() / 2), bar.get_x()
        sums[y] += bar.get_width() if left >= 0 else -bar.get_width()
    np.testing.assert_allclose(list(sums.values()), line(ax, "loss")[0])


def test_the_mean_excess_is_drawn_as_it_is_and_its_tail_is_a_line_of_the_shape_told():
    ax = plot_mean_excess(excesses(), threshold=20.0)
    table = excesses()
    x, y = line(ax, "mean excess")
    np.testing.assert_array_equal(x, table["threshold"][table["n_above"] >= 10])
    np.testing.assert_array_equal(y, table["mean_excess"][table["n_above"] >= 10])
    assert len(line(ax, "of fewer than 10 losses")[0]) == 2
    ends = line(ax, "straight line from it on")
    np.testing.assert_allclose(ends, [[20.0, 55.0], [25.0, 33.75]])
    assert title(ax) == "Above 20 $ (130 losses) the mean excess rises by 0.25 a $: a heavy tail of shape 0.20"


def test_a_fitted_tail_is_drawn_by_its_own_shape_and_scale():
    fitted = excesses().set_index("threshold").rename(columns={"error": "mean_excess_error"}).assign(xi=0.5, scale=7.0)
    ax = plot_mean_excess(fitted, threshold=20.0)
    np.testing.assert_allclose(line(ax, "generalised Pareto tail fitted above it")[1], [14 + 20.0, 14 + 55.0])
    assert title(ax).endswith("a heavy tail of shape 0.50")
    assert title(plot_mean_excess(fitted.assign(xi=1.2), threshold=20.0)).endswith("no straight line")


def test_the_frontier_its_band_and_its_marks_are_those_of_the_tables():
    ax = plot_frontier(frontier(), bands=bands(), marks=marks(), band_level=0.9)
    risk, mean = line(ax, "efficient frontier")
    np.testing.assert_array_equal(risk, frontier()["risk"])
    np.testing.assert_array_equal(mean, frontier()["mean"])
    assert texts(ax) == list(marks().index)
    assert [text.xy for text in ax.texts] == [(row.risk, row["mean"]) for _, row in marks().iterrows()]
    (area,) = ax.collections
    assert area.get_label() == "90 % of resampled histories"
    at_quarter = 22 + 18 * np.interp(25, frontier()["risk"], np.sqrt(np.linspace(0, 1, 11)))
    assert title(ax) == f"At the risk of 1/N, which earns 28 $/MW-day, the frontier earns {at_quarter:.0f}"


def test_the_weights_along_the_frontier_are_stacked_to_their_sum():
    ax = plot_frontier_weights(frontier())
    names = NAMES[:3]
    for point in frontier().itertuples():
        for area, name in zip(ax.collections, names, strict=True):
            y = [v[1] for v in area.get_paths()[0].vertices if v[0] == point.risk]
            assert max(y) - min(y) == pytest.approx(getattr(point, name), abs=1e-12)
    assert max(v[1] for area in ax.collections for v in area.get_paths()[0].vertices) == pytest.approx(1.0)
    assert title(ax) == "Least risk: regulation 100 %; highest return: energy 100 %"


def test_weights_hold_from_their_date_to_the_next_and_are_stacked_without_gap():
    table = weights()
    ax = plot_weights(table)
    for below, above in pairwise(NAMES):
        np.testing.assert_allclose(steps(ax, above).baseline, steps(ax, below).values)
    for name in NAMES:
        np.testing.assert_allclose(steps(ax, name).values - steps(ax, name).baseline, table[name])
        np.testing.assert_allclose(np.diff(steps(ax, name).edges), 14.0)
    moved = 100 * np.abs(np.diff(table.to_numpy(), axis=0)).sum(axis=1).mean() / 2
    assert title(ax).endswith(f"from one date to the next {moved:.2g} % of the power moves")


def test_weights_in_mw_are_told_in_mw_and_percent_are_kept_for_shares():
    in_mw = plot_weights(100 * weights(), unit="MW")
    assert in_mw.get_ylabel() == "Weight [MW]"
    assert "%" not in title(in_mw)
    moved = 100 * np.abs(np.diff(weights().to_numpy(), axis=0)).sum(axis=1).mean() / 2
    assert title(in_mw).endswith(f"from one date to the next {moved:.0f} MW move")
    assert "%" not in title(plot_weights(weights().assign(hash=2.0)))
    curve = frontier()
    curve[NAMES[:3]] *= 60
    ax = plot_frontier_weights(curve, weight_unit="MW")
    assert title(ax) == "Least risk: regulation 60 MW; highest return: energy 60 MW"
    assert ax.get_ylim()[1] == pytest.approx(60)


def test_what_is_short_is_stacked_below_zero():
    edges = stacked(np.array([[0.8, -0.3, 0.5, -0.2]]))
    np.testing.assert_allclose(
        np.ravel([(low[0], high[0]) for low, high in edges]), [0, 0.8, -0.3, 0, 0.8, 1.3, -0.5, -0.3]
    )
    short = weights().assign(energy=-0.4)
    assert plot_weights(short).get_ylim()[0] == pytest.approx(-0.4)


def test_rules_are_sorted_by_what_they_earned_and_filled_where_it_is_more_than_chance():
    ax = plot_allocations(allocations())
    assert row_names(ax) == ["min_cvar", "risk_parity", "1/N", "energy"]
    np.testing.assert_array_equal(line(ax, "more than chance")[0], [2.1, -4.0])
    np.testing.assert_array_equal(line(ax, "no more than chance")[0], [0.7, 0.0])
    (intervals,) = ax.collections
    spans = [(path.vertices[0][0], path.vertices[1][0]) for path in intervals.get_paths()]
    assert spans == [(0.4, 3.9), (-1.0, 2.0), (0.0, 0.0), (-7.0, -1.2)]
    assert texts(ax)[4:8] == ["21", "24", "26", "88"]
    words = "1 of 3 rules earned more than 1/N, beyond chance, 1 less; best min_cvar, +2.1 $/MW-day"
    assert title(ax) == words


def test_a_single_service_is_a_reference_below_the_rules_and_is_not_counted():
    table = allocations()
    table.loc["only hash"], table.loc["only energy"] = [9.0, 7.0, 11.0, 50.0], [-9.0, -11.0, -7.0, 20.0]
    ax = plot_allocations(table)
    assert title(ax) == title(plot_allocations(allocations()))
    assert row_names(ax) == ["min_cvar", "risk_parity", "1/N", "energy", "only hash", "only energy"]
    (marks,) = [line for line in ax.get_lines() if line.get_label() == "one service alone, for reference"]
    assert list(marks.get_xdata()) == [9.0, -9.0]
    assert (marks.get_markerfacecolor(), marks.get_markeredgecolor()) == ("white", "#777777")
    assert [3.5] in [[*np.unique(line.get_ydata())] for line in ax.get_lines()]
    assert title(plot_allocations(table.loc[["only hash", "1/N"]])) == "No rule beside 1/N"


def test_a_difference_that_is_rounding_is_zero_and_no_more_than_chance():
    table = allocations()
    table.loc["min_variance"] = [1e-12, 1e-13, 1e-11, 26.0]
    ax = plot_allocations(table)
    assert "1 of 4 rules" in title(ax)
    np.testing.assert_array_equal(line(ax, "no more than chance")[0], [0.7, 0.0, 0.0])
    assert texts(ax).count("0") == 2


def test_a_comparison_of_allocations_is_drawn_by_its_differences_and_equal_is_one_over_n():
    columns = {"mean": "difference", "low": "difference_low", "high": "difference_high"}
    compared = allocations().rename(columns=columns, index={"1/N": "equal"}).assign(mean=30.0)
    ax = plot_allocations(compared)
    assert title(ax) == title(plot_allocations(allocations()))
    assert row_names(ax) == ["min_cvar", "risk_parity", "1/N", "energy"]
    short = compared.assign(difference_low=np.nan, difference_high=np.nan)
    assert len(line(plot_allocations(short), "no more than chance")[0]) == 4


def test_todays_split_is_a_star_and_no_other_mark_is():
    rules = pd.DataFrame({"risk": 20.0, "mean": np.arange(20.0, 40.0)}, index=[f"rule {i}" for i in range(20)])
    rules.loc["split today"], rules.loc["hash"] = [30.0, 27.0], [41.0, 33.0]
    ax = plot_frontier(frontier().drop(columns="hash"), marks=rules)
    drawn = [line for line in ax.get_lines() if line.get_linestyle() == "None"]
    shapes = [(line.get_marker(), line.get_markerfacecolor()) for line in drawn]
    assert len(set(shapes)) == len(rules)
    assert [tuple(line.get_xydata()[0]) for line in drawn if line.get_marker() == "*"] == [(30.0, 27.0)]
    assert shapes[-1][0] == service_looks(["hash"])["hash"].marker


def test_no_two_of_many_unknown_services_look_alike():
    looks = service_looks([f"service {i}" for i in range(36)])
    assert len({(look.color, look.hatch) for look in looks.values()}) == 36
    assert len({(look.color, look.marker) for look in looks.values()}) == 36


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: dress(ax, "", "", subtitle="lost 3 $, 4 $ in all"),
        lambda ax: plot_cumulative_profit(pd.DataFrame({"2 $ to 3 $": [1.0, 2.0]}, index=dates(2)), ax=ax),
        lambda ax: plot_stress(stress().rename({"calm": "from 3 $ to 2 $"}), ax=ax),
    ],
)
def test_two_amounts_in_a_line_of_words_are_money_on_every_plot(plot):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    plot(ax)
    assert not [text.get_text() for text in words_of(ax) if text.get_text().count("$") > 1 and text.get_parse_math()]


def test_powers_of_ten_on_an_axis_are_still_read_as_formulas():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    ax.set_yscale("log")
    ax.set_ylim(1, 1e6)
    dress(ax, "", "")
    ax.figure.canvas.draw()
    labels = [tick.label1 for tick in ax.yaxis.get_major_ticks()]
    assert all(label.get_parse_math() for label in labels if "$" in label.get_text())


def test_a_band_is_left_out_where_it_is_not_known():
    partial = bands()
    partial.loc[:3, "low"] = np.nan
    (area,) = plot_frontier(frontier(), bands=partial).collections
    assert min(v[0] for path in area.get_paths() for v in path.vertices) == partial["risk"][4]


def test_a_service_looks_the_same_wherever_it_appears_and_no_two_look_alike():
    looks = service_looks([*NAMES, "reserve", "storage", "cooling"])
    assert service_looks(["hash"])["hash"] == looks["hash"]
    for part in zip(*looks.values(), strict=True):
        assert len(set(part)) == len(looks)
    ax = plot_frontier(frontier(), marks=marks())
    drawn = {
        tuple(np.ravel(line.get_xydata())): line.get_marker() for line in ax.get_lines() if line.get_marker() != "None"
    }
    assert drawn[(41.0, 33.0)] == looks["hash"].marker


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_hits(measures(), level=1.0), r"level must be in \[0, 1\), got 1.0"),
        (lambda: plot_hits(measures().drop(columns="var"), level=0.9), "no column 'var'"),
        (lambda: plot_hits(measures().iloc[:0], level=0.9), "has no days"),
        (lambda: plot_hits(measures().iloc[::-1], level=0.9), "dates that rise"),
        (lambda: plot_hits(measures().replace(80.0, np.nan), level=0.9), r"measures\['cvar'\] is nan at 2024-01-01"),
        (lambda: plot_loss_distribution([1.0, np.nan], measures=MODELS, level=0.9), "one finite number a day"),
        (lambda: plot_loss_distribution([], measures=MODELS, level=0.9), "at least one"),
        (lambda: plot_loss_distribution([1.0], measures={}, level=0.9), "has no models"),
        (lambda: plot_loss_distribution([1.0], measures={"pot": (1.0, np.inf)}, level=0.9), "is inf at pot"),
        (lambda: plot_attribution(attribution().drop("total")), "must end with the row 'total'"),
        (lambda: plot_attribution(attribution().iloc[-1:]), "must end with the row 'total'"),
        (lambda: plot_attribution(attribution().replace(10.0, np.nan)), r"\['contribution'\] is nan at energy"),
        (lambda: plot_drawdown(daily_profit()[[]]), "has no days"),
        (lambda: plot_drawdown(daily_profit().reset_index(drop=True)), "indexed by dates"),
        (lambda: plot_stress(stress().iloc[:0]), "has no shocks"),
        (lambda: plot_stress(stress().assign(loss=1.0), services=["energy", "hash"]), "'base' miss its loss by 59"),
        (lambda: plot_mean_excess(excesses(), threshold=90.0), r"in the table's \[0, 55\], got 90"),
        (lambda: plot_mean_excess(excesses().iloc[:0]), "has no thresholds"),
        (lambda: plot_frontier(frontier().iloc[:0]), "has no points"),
        (lambda: plot_frontier(frontier(), bands=bands().assign(low=99.0)), "band at risk 10 ends below"),
        (lambda: plot_frontier(frontier(), marks=marks().replace(25.0, np.nan)), "is nan at 1/N"),
        (lambda: plot_frontier_weights(frontier()[["mean", "risk"]]), "a service and two risks or more, got 0"),
        (lambda: plot_frontier_weights(frontier().iloc[:1]), "got 3 and 1"),
        (lambda: plot_weights(weights()[[]]), "no dates or no services"),
        (lambda: plot_weights(weights().iloc[[0, 0]]), "dates that rise, none twice"),
        (lambda: plot_allocations(allocations().iloc[:0]), "has no rules"),
        (lambda: plot_allocations(allocations().rename(columns={"low": "high", "high": "low"})), "swap low and high"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused_with_what_to_do(call, message):
    with pytest.raises(DataError, match=message):
        call()
