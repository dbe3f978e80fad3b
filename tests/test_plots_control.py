"""The plots of control say what their tables say; judged by their artists, never by pixels."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from gridlab import plots
from gridlab.errors import DataError
from gridlab.schema import mock_prices, mock_times

pytestmark = pytest.mark.filterwarnings("error")

DAYS = 3
SOURCES = pd.Series({"hash price": 900.0, "energy sold": 50.0, "wear": 0.0, "demand": -300.0, "energy bought": -450.0})


def site_schedule(days=DAYS):
    times = mock_times(days)
    hour = np.asarray(times.hour)
    schedule = pd.DataFrame(
        {
            "battery_mw": np.where(hour < 4, -0.5, np.where(hour > 19, 0.5, 0.0)),
            "miners_mw": np.where(hour < 12, -1.0, 0.0),
            "inference_mw": -0.4,
            "cooling_mw": -0.2,
            "soc_mwh": np.clip(hour / 2, 0.0, 2.0),
            "room_c": 20.0 + hour / 4,
        },
        index=times,
    )
    powers = ["battery_mw", "miners_mw", "inference_mw", "cooling_mw"]
    return schedule.assign(grid_mw=schedule[powers].sum(axis=1))


def daily(values=(5.0, 40.0, -3.0, 8.0)):
    return pd.Series(values, index=pd.date_range("2024-03-01", periods=len(values), name="date"))


def shadow_prices():
    return pd.DataFrame({"charging": [5.0, 0.0, 1.0], "full": [0.0, 2.0, 0.0], "empty": 0.0}, index=mock_times(1)[:3])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def areas(ax):
    """The filled steps of axes by their label."""
    return {patch.get_label(): patch.get_data() for patch in ax.patches if hasattr(patch, "get_data")}


def bar_heights(ax):
    return [bar.get_height() for container in ax.containers for bar in container]


def test_areas_are_stacked_without_gap_or_overlap_up_to_what_is_drawn():
    schedule = site_schedule()
    drawn = areas(plots.plot_site_schedule(schedule, mock_prices(DAYS), days=DAYS)[1])
    names = ["miners", "inference", "cooling", "charging"]
    for below, above in pairwise(names):
        np.testing.assert_allclose(drawn[above].baseline, drawn[below].values)
    consumed = -schedule[["miners_mw", "inference_mw", "cooling_mw"]].sum(axis=1) + (-schedule["battery_mw"]).clip(
        lower=0
    )
    np.testing.assert_allclose(drawn["charging"].values, consumed)


def test_the_stack_less_the_discharge_is_the_meter():
    schedule = site_schedule()
    drawn = areas(plots.plot_site_schedule(schedule, mock_prices(DAYS), days=DAYS)[1])
    discharge = drawn["discharging"].values - drawn["discharging"].baseline
    np.testing.assert_allclose(drawn["charging"].values - discharge, drawn["meter"].values)
    np.testing.assert_allclose(drawn["meter"].values, -schedule["grid_mw"])


def test_the_panels_share_their_time_and_the_days_asked_for_are_shown():
    axes = plots.plot_site_schedule(site_schedule(), mock_prices(DAYS), first_day="2024-01-02", days=1)
    assert len({ax.get_xlim() for ax in axes}) == 1
    assert axes[0].get_xlim()[1] - axes[0].get_xlim()[0] == pytest.approx(1.0)
    assert len(areas(axes[1])["miners"].values) == 24


def test_a_room_gets_a_scale_of_its_own_and_a_site_without_one_does_not():
    with_room = plots.plot_site_schedule(site_schedule(), mock_prices(DAYS))[2].figure
    without = plots.plot_site_schedule(site_schedule().drop(columns="room_c"), mock_prices(DAYS))[2].figure
    assert "°C" in with_room.axes[-1].get_ylabel()
    assert len(with_room.axes) == len(without.axes) + 1


def test_a_site_of_machines_alone_is_drawn():
    schedule = site_schedule()[["miners_mw", "soc_mwh"]]
    drawn = areas(plots.plot_site_schedule(schedule, mock_prices(DAYS), import_limit_mw=2.0)[1])
    assert set(drawn) == {"miners"}


def test_neighbours_in_a_stack_differ_by_more_than_colour():
    names = [f"type{i}" for i in range(8)]
    schedule = (
        site_schedule().drop(columns=["miners_mw", "inference_mw"]).assign(**{f"{name}_mw": -0.1 for name in names})
    )
    ax = plots.plot_site_schedule(schedule, mock_prices(DAYS))[1]
    hatches = {patch.get_label(): patch.get_hatch() for patch in ax.patches}
    order = [*names, "cooling", "charging"]
    assert all(hatches[one] != hatches[other] for one, other in pairwise(order))


def test_a_gap_in_the_price_and_the_plan_stays_empty():
    schedule, prices = site_schedule(), mock_prices(DAYS)
    prices.loc[prices.index[5:8], "price"] = np.nan
    schedule.iloc[5:8, :4] = 0.0
    drawn = areas(plots.plot_site_schedule(schedule, prices, days=DAYS)[0])
    (price,) = drawn.values()
    assert np.isnan(price.values[5:8]).all()
    assert not np.isnan(price.values[8:]).any()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"machines": ["gpus"]}, "schedule has no column 'gpus_mw'"),
        ({}, {"first_day": "2025-01-01"}, "got first_day 2025-01-01"),
    ],
)
def test_a_schedule_without_what_is_asked_for_is_refused(change, options, message):
    with pytest.raises(DataError, match=message):
        plots.plot_site_schedule(site_schedule().assign(**change), mock_prices(DAYS), **options)


def test_each_fall_begins_where_the_one_before_ended_and_the_last_bar_is_the_sum():
    ax = plots.plot_profit_sources(SOURCES)
    bars = sorted((bar for container in ax.containers for bar in container), key=lambda bar: bar.get_x())
    *falls, total = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in bars]
    assert falls[0][0] == 0
    for before, after in pairwise(falls):
        assert after[0] == pytest.approx(before[1])
    assert total == pytest.approx((0.0, SOURCES.sum()))
    assert falls[-1][1] == pytest.approx(SOURCES.sum())


def test_a_cause_without_money_is_left_out_and_every_bar_says_its_amount():
    ax = plots.plot_profit_sources(SOURCES)
    assert "wear" not in [label.get_text() for label in ax.get_xticklabels()]
    assert [text.get_text() for text in ax.texts] == ["900", "50", "−300", "−450", "200"]  # noqa: RUF001


@pytest.mark.parametrize("sources", [SOURCES, -SOURCES, SOURCES * 0, SOURCES - 2000])
def test_no_label_of_a_waterfall_lies_outside_its_axes(sources):
    ax = plots.plot_profit_sources(sources)
    low, high = ax.get_ylim()
    assert all(low <= text.xy[1] <= high for text in ax.texts)


def test_the_shares_of_the_best_days_are_concave_and_end_at_the_whole():
    top, _ = plots.plot_best_days(daily())
    share = np.asarray(top.get_lines()[-1].get_ydata(), dtype=float)
    assert share[0] == 0
    assert share[-1] == pytest.approx(100.0)
    assert (np.diff(share, n=2) <= 1e-9).all()


def test_the_days_are_drawn_from_best_to_worst_and_losses_apart():
    _, bottom = plots.plot_best_days(daily())
    assert bar_heights(bottom) == [40.0, 8.0, 5.0, -3.0]
    hatched = [bar.get_height() for container in bottom.containers for bar in container if bar.get_hatch()]
    assert hatched == [-3.0]
    assert [text.get_text() for text in bottom.texts] == ["2 Mar", "4 Mar", "1 Mar", "3 Mar"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((5.0, 40.0, -3.0, 8.0), "The best of 4 days made 80 % of the profit; 1 day lost money"),
        ((5.0, 5.0, 5.0, 5.0), "The best 2 of 4 days made 50 % of the profit; 0 days lost money"),
        ((-5.0, 2.0), "2 days made no profit in sum; 1 day lost money"),
        ((0.0, 0.0), "2 days made no profit in sum; 0 days lost money"),
        ((7.0,), "The best of 1 day made 100 % of the profit; 0 days lost money"),
    ],
)
def test_the_best_days_are_counted_in_words(values, words):
    assert plots.plot_best_days(daily(values))[0].get_title(loc="left") == words


def test_limits_that_bind_are_drawn_and_the_others_named():
    ax = plots.plot_shadow_prices(shadow_prices())
    drawn = areas(ax)
    assert set(drawn) == {"charging", "full"}
    np.testing.assert_array_equal(drawn["charging"].values, [5.0, 0.0, 1.0])
    assert ax.get_title(loc="left") == "never bind: empty"


def test_a_plan_with_no_limit_that_binds_is_drawn():
    assert not areas(plots.plot_shadow_prices(shadow_prices() * 0))


def test_the_dearest_limit_is_on_top_and_says_its_worth():
    ax = plots.plot_limit_worth(pd.Series({"full [MWh]": 20.4, "grid import [MW]": 1234.0, "room high [K]": 0.0}))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["grid import [MW]", "full [MWh]", "room high [K]"]
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in ax.texts] == ["1,234", "20", "0"]


@pytest.mark.parametrize("plot", [plots.plot_profit_sources, plots.plot_best_days, plots.plot_limit_worth])
def test_an_empty_series_and_an_unknown_value_are_refused(plot):
    with pytest.raises(DataError, match="has no"):
        plot(pd.Series(dtype=float))
    with pytest.raises(DataError, match="NaN at"):
        plot(daily().replace(8.0, np.nan))


def test_shadow_prices_without_limits_or_with_an_unknown_value_are_refused():
    with pytest.raises(DataError, match="has no limits"):
        plots.plot_shadow_prices(shadow_prices()[[]])
    with pytest.raises(DataError, match="NaN at"):
        plots.plot_shadow_prices(shadow_prices().replace(5.0, np.nan))


def test_tables_are_read_and_never_changed():
    schedule, prices, money, limits = site_schedule(), mock_prices(DAYS), SOURCES.copy(), shadow_prices()
    plots.plot_site_schedule(schedule, prices, import_limit_mw=2.0)
    plots.plot_profit_sources(money)
    plots.plot_shadow_prices(limits)
    pd.testing.assert_frame_equal(schedule, site_schedule())
    pd.testing.assert_frame_equal(prices, mock_prices(DAYS))
    pd.testing.assert_series_equal(money, SOURCES)
    pd.testing.assert_frame_equal(limits, shadow_prices())


@pytest.mark.parametrize(
    ("plot", "rows"),
    [
        (lambda axes: plots.plot_site_schedule(site_schedule(), mock_prices(DAYS), axes=axes), 3),
        (lambda axes: plots.plot_best_days(daily(), axes=axes), 2),
    ],
)
def test_axes_that_are_given_are_drawn_on_and_come_back(plot, rows):
    from matplotlib.figure import Figure

    axes = Figure().subplots(rows)
    assert list(plot(axes)) == list(axes)


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: plots.plot_profit_sources(SOURCES, ax=ax),
        lambda ax: plots.plot_shadow_prices(shadow_prices(), ax=ax),
        lambda ax: plots.plot_limit_worth(SOURCES, ax=ax),
    ],
)
def test_one_axes_that_is_given_is_drawn_on_and_comes_back(plot):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plot(ax) is ax
    assert ax.has_data()


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


CASES = {
    "site": lambda: plots.plot_site_schedule(site_schedule(), mock_prices(DAYS), import_limit_mw=2.0)[0],
    "sources": lambda: plots.plot_profit_sources(SOURCES),
    "losses": lambda: plots.plot_profit_sources(-SOURCES),
    "days": lambda: plots.plot_best_days(daily(np.linspace(900, -2000, 28)))[0],
    "shadow": lambda: plots.plot_shadow_prices(shadow_prices()),
    "worth": lambda: plots.plot_limit_worth(SOURCES.rename(lambda name: f"{name} [MW]")),
}


@pytest.mark.parametrize("case", CASES)
def test_no_words_leave_the_figure_or_touch_the_legend_or_each_other(case):
    figure = CASES[case]().figure
    figure.canvas.draw()
    whole = figure.bbox
    for ax in figure.axes:
        boxes = {text: text.get_window_extent() for text in words_of(ax)}
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
