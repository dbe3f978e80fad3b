"""The plots of a live site say what their tables say, on a desktop and on a phone; judged by their artists."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from live_mock import MockReader
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridlab.errors import DataError
from gridlab.plots import live

pytestmark = pytest.mark.filterwarnings("error")

NOW = pd.Timestamp("2025-06-21 18:02", tz="UTC")
STEP = pd.Timedelta(minutes=5)
READER = MockReader(120, now=NOW)
TIMES = pd.date_range("2025-06-21 12:00", periods=4, freq="5min", tz="UTC", name="time")

amounts = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30)


def axes(inches=6.4):
    figure = Figure(figsize=(inches, 3), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


def areas(ax):
    """The filled steps of axes by their label."""
    return {patch.get_label(): patch.get_data() for patch in ax.patches if hasattr(patch, "get_data")}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def all_plots(inches):
    decisions = READER.decisions()
    power = pd.DataFrame({name: decisions[name] * 0.005 for name in ("air_miners", "hydro_miners", "asic_compute")})
    power = power.assign(cooling=0.03, services=0.01, battery=decisions["battery_mw"])
    yield live.plot_live_prices(READER.prices(), READER.forecast(), series="hash_price", ax=axes(inches))
    yield live.plot_live_power(power, cap_mw=1.2, mode=decisions["mode"], ax=axes(inches))
    yield live.plot_day_profit(READER.outcomes(), ax=axes(inches))
    yield live.plot_live_battery(decisions["soc_share"], ax=axes(inches))
    yield live.plot_live_temperature(decisions["temperature_c"], ax=axes(inches))
    yield live.plot_stage_latency(decisions, ax=axes(inches))


def test_the_stack_ends_at_the_sum_of_the_loads_in_every_interval():
    rng = np.random.default_rng(5)
    power = pd.DataFrame(rng.uniform(0.1, 1, (4, 3)), index=TIMES, columns=["hydro_miners", "gpu_compute", "cooling"])
    made = areas(live.plot_live_power(power, ax=axes()))
    np.testing.assert_allclose(made["cooling"].values, power.sum(axis=1))
    np.testing.assert_allclose(made["GPU compute"].baseline, made["hydro miners"].values)
    np.testing.assert_allclose(made["hydro miners"].values, power["hydro_miners"])


def test_what_the_site_draws_from_the_grid_is_its_loads_less_what_the_battery_gives():
    power = pd.DataFrame({"hydro_miners": 0.8, "battery": [0.1, -0.2, 0.0, 0.1]}, index=TIMES)
    made = areas(live.plot_live_power(power, ax=axes()))
    np.testing.assert_allclose(made["from the grid"].values, [0.7, 1.0, 0.8, 0.7])


def test_what_never_ran_is_not_in_the_legend_and_the_cap_is():
    power = pd.DataFrame({"hydro_miners": 0.8, "gpu_compute": 0.0, "battery": 0.0}, index=TIMES)
    assert legend(live.plot_live_power(power, cap_mw=1.0, ax=axes())) == ["hydro miners", "cap 1 MW"]


def test_a_mode_is_marked_for_as_long_as_it_lasted():
    mode = pd.Series(["normal", "hold", "hold", "normal"], index=TIMES)
    ax = live.plot_live_power(pd.DataFrame({"hydro_miners": 0.8}, index=TIMES), mode=mode, ax=axes())
    (strip,) = [patch for patch in ax.patches if patch.get_label() == "holding"]
    assert strip.get_width() * 24 * 60 == pytest.approx(10)
    assert "holding" in legend(ax)


def test_an_interval_without_a_price_stays_empty():
    prices = pd.DataFrame({"price": [1.0, 2.0, 4.0]}, index=TIMES[[0, 1, 3]])
    values = areas(live.plot_live_prices(prices, ax=axes()))["actual"].values
    np.testing.assert_array_equal(np.isnan(values), [False, False, True, False])


def test_the_fan_starts_where_the_forecast_does_and_its_bands_lie_in_each_other():
    made = areas(live.plot_live_prices(READER.prices(), READER.forecast(), series="token_price", ax=axes()))
    wide, narrow = made["90 % band"], made["80 % band"]
    assert (wide.baseline <= narrow.baseline).all() and (narrow.values <= wide.values).all()
    np.testing.assert_allclose(made["forecast mean"].values, READER.forecast()["token_price"]["mean"])
    assert wide.edges[0] == pytest.approx(made["actual"].edges[-1])


@given(amounts)
@settings(max_examples=10)
def test_the_profit_drawn_ends_at_the_sum_of_all_profits(profit):
    times = pd.date_range(TIMES[0], periods=len(profit), freq=STEP)
    ax = live.plot_day_profit(pd.DataFrame({"profit": profit}, index=times), ax=axes())
    (line,) = [line for line in ax.lines if line.get_label().startswith("this site")]
    assert line.get_ydata()[0] == 0
    assert line.get_ydata()[-1] == pytest.approx(sum(profit), abs=1e-6 * sum(map(abs, profit)) + 1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@example([0.15, 0.149, 0.9, 0.901])
@settings(max_examples=10)
def test_each_state_of_charge_outside_the_limits_is_marked(shares):
    times = pd.date_range(TIMES[0], periods=len(shares), freq=STEP)
    ax = live.plot_live_battery(pd.Series(shares, index=times), ax=axes())
    marked = sum(len(line.get_xdata()) for line in ax.lines if line.get_label() == "outside")
    assert marked == sum(not 15 <= 100 * share <= 90 for share in shares)


@pytest.mark.parametrize("n", [1, 2, 7, 13, 23, 25, 31, 47, 61, 121, 290, 600])
def test_a_span_of_any_length_has_dates_that_do_not_touch(n):
    times = pd.date_range(TIMES[0], periods=n, freq=STEP)
    ax = live.plot_live_temperature(pd.Series(60.0, index=times), ax=axes(3.9))
    ax.figure.canvas.draw()
    dates = [tick.get_window_extent() for tick in ax.get_xticklabels() if tick.get_text()]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(dates))


def test_a_temperature_above_the_limit_is_marked():
    ax = live.plot_live_temperature(pd.Series([70.0, 76.0, 80.0, 75.0], index=TIMES), ax=axes())
    (marks,) = [line for line in ax.lines if line.get_label() == "outside"]
    np.testing.assert_array_equal(marks.get_ydata(), [76.0, 80.0])


def test_the_bars_of_the_stages_are_medians_and_the_total_is_last():
    spent = pd.DataFrame({"ms_fetch": [10.0, 30.0, 20.0], "ms_plan": 5.0, "ms_total": [20.0, 40.0, 35.0]})
    ax = live.plot_stage_latency(spent, ax=axes())
    widths = {bar.get_y() + bar.get_height() / 2: bar.get_width() for bars in ax.containers for bar in bars}
    assert [widths[y] for y in sorted(widths)] == [20.0, 5.0, 35.0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["fetch", "plan", "total"]


@pytest.mark.parametrize("inches", [6.4, 3.9])
def test_legends_lie_within_the_figure_and_dates_do_not_touch_at_either_width(inches):
    for ax in all_plots(inches):
        ax.figure.canvas.draw()
        box = ax.get_legend().get_window_extent()
        assert box.x0 >= 0 and box.x1 <= ax.figure.bbox.width, ax.get_ylabel()
        dates = [tick.get_window_extent() for tick in ax.get_xticklabels() if tick.get_text()]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(sorted(dates, key=lambda one: one.x0))), ax.get_ylabel()


def test_no_two_machines_and_no_two_modes_differ_by_colour_alone():
    for looks in (live.MACHINE_LOOKS, live.MODE_LOOKS):
        hatches = [look.hatch for look in looks.values()]
        assert len(set(hatches)) == len(hatches)
        assert len({look.color for look in looks.values()}) == len(hatches)


def test_before_the_first_interval_every_plot_says_that_nothing_is_recorded():
    none = pd.DatetimeIndex([], tz="UTC", name="time")
    empty = pd.DataFrame(columns=["price", "hydro_miners", "profit"], index=none, dtype=float)
    made = [
        live.plot_live_prices(empty, ax=axes()),
        live.plot_live_power(empty[["hydro_miners"]], cap_mw=1.0, ax=axes()),
        live.plot_day_profit(empty, ax=axes()),
        live.plot_live_battery(empty["price"], ax=axes()),
        live.plot_live_temperature(empty["price"], ax=axes()),
    ]
    for ax in made:
        assert "Nothing recorded yet" in [text.get_text() for text in ax.texts]
    assert not live.plot_stage_latency(pd.DataFrame({"ms_total": []}), ax=axes()).containers


def test_a_table_without_its_column_is_refused_by_name():
    table = pd.DataFrame({"other": [1.0]}, index=TIMES[:1])
    for plot, name in (
        (live.plot_live_prices, "price"),
        (live.plot_day_profit, "profit"),
        (live.plot_stage_latency, "ms_total"),
    ):
        with pytest.raises(DataError, match=f"no column '{name}'"):
            plot(table, ax=axes())


def test_the_time_zone_is_on_the_axis_and_nothing_is_changed():
    before = READER.outcomes().copy()
    ax = live.plot_day_profit(READER.outcomes(), market_tz="America/Chicago", ax=axes())
    assert ax.get_xlabel() == "Start of interval [America/Chicago]"
    pd.testing.assert_frame_equal(READER.outcomes(), before)
