"""The plots say what their tables say, in the same colours everywhere; judged by their artists, never by pixels."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import plots
from gridlab.errors import DataError
from gridlab.plots.style import _spread
from gridlab.schema import mock_forecast, mock_prices, mock_schedule, mock_times

pytestmark = pytest.mark.filterwarnings("error")

DAYS = pd.date_range("2024-03-01", periods=40, name="day")
POLICIES = ["idle", "threshold", "mpc naive", "mpc lear", "perfect foresight"]


def daily_profit():
    rng = np.random.default_rng(5)
    share = np.array([0.0, 0.4, 0.6, 0.8, 1.0])
    return pd.DataFrame(share * rng.normal(60, 70, (len(DAYS), 1)), index=DAYS, columns=POLICIES)


def errors_by_hour():
    hours = pd.RangeIndex(24, name="hour")
    return pd.DataFrame({"naive": np.full(24, 6.0), "lear": 4 + np.sin(np.arange(24))}, index=hours)


def capture():
    return pd.DataFrame({"capture_ratio": [0.8, 0.6], "low": [0.7, 0.5], "high": [0.85, 0.7]}, index=["lear", "naive"])


PATHS = np.random.default_rng(6).normal(30, 5, (60, 24))

CASES = {
    "prices": (lambda p, ax: plots.plot_prices(p, ax=ax), mock_prices()),
    "prices, long": (lambda p, ax: plots.plot_prices(p, market_tz="America/Chicago", ax=ax), mock_prices(days=120)),
    "daily shape": (lambda p, ax: plots.plot_daily_shape(p, ax=ax), mock_prices(days=20)),
    "fan": (lambda f, ax: plots.plot_forecast_fan(f, mock_prices(), ax=ax), mock_forecast()),
    "error by hour": (lambda s, ax: plots.plot_error_by_hour(s, ax=ax), errors_by_hour()),
    "paths": (lambda p, ax: plots.plot_paths(p, mock_times(1), ax=ax), pd.DataFrame(PATHS)),
    "cumulative": (lambda p, ax: plots.plot_cumulative_profit(p, ax=ax), daily_profit()),
    "daily profit": (lambda p, ax: plots.plot_daily_profit(p, cvar=30.0, ax=ax), daily_profit()),
    "distribution": (
        lambda p, ax: plots.plot_profit_distribution(p["mpc lear"], var=20.0, cvar=30.0, ax=ax),
        daily_profit(),
    ),
    "capture": (lambda t, ax: plots.plot_capture(t, ax=ax), capture()),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.fixture
def three_axes():
    from matplotlib.figure import Figure

    return Figure().subplots(3)


def steps_of(ax, label):
    """Values and edges of the step lines or bands with a label."""
    from matplotlib.patches import StepPatch

    return [p.get_data() for p in ax.patches if isinstance(p, StepPatch) and p.get_label() == label]


def numbers(times):
    from matplotlib.dates import date2num

    return date2num(times.tz_convert("UTC").tz_localize(None).to_numpy())


@pytest.mark.parametrize("case", CASES)
def test_every_plot_draws_on_the_axes_it_is_given_and_leaves_its_table_alone(case, ax):
    plot, table = CASES[case]
    before = table.copy(deep=True)
    assert plot(table, ax) is ax
    assert ax.has_data()
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("case", CASES)
def test_every_plot_makes_its_own_axes_and_can_be_drawn_without_a_warning(case):
    plot, table = CASES[case]
    plot(table, None).figure.canvas.draw()


@pytest.mark.parametrize("case", CASES)
def test_every_axis_with_a_quantity_names_its_unit_and_every_time_axis_its_zone(case, ax):
    plot, table = CASES[case]
    plot(table, ax)
    labels = ax.get_xlabel() + ax.get_ylabel()
    assert "[" in labels
    if not ax.get_xlabel().startswith(("Profit", "Capture")):
        assert ax.get_xlabel().endswith(("[UTC]", "[America/Chicago]"))


def test_a_price_holds_for_its_whole_interval_the_last_one_too(ax):
    prices = mock_prices(days=2, freq="30min")
    [(values, edges, _)] = steps_of(plots.plot_prices(prices, ax=ax), "price")
    np.testing.assert_array_equal(values, prices["price"])
    np.testing.assert_allclose(edges[[0, -1]], numbers(prices.index[[0]].append(mock_times(3)[[48]])))


def test_a_gap_is_shaded_from_its_start_to_its_end_and_counted(ax):
    prices = mock_prices(days=3)
    prices.iloc[30:34, 0] = np.nan
    plots.plot_prices(prices, ax=ax)
    [gap] = [patch for patch in ax.patches if patch.get_label() == "gap: 4 intervals without a price"]
    np.testing.assert_allclose([gap.get_x(), gap.get_x() + gap.get_width()], numbers(prices.index[[30, 34]]))
    assert gap.get_hatch()
    [(values, _, _)] = steps_of(ax, "price")
    assert np.isnan(values[30:34]).all()


def test_spikes_and_negative_prices_are_marked_at_their_price(ax):
    prices = mock_prices(days=3)
    prices.loc[:, "price"] = 30 + 5 * np.sin(np.arange(72))
    prices.iloc[[10, 11, 50], 0] = [400.0, 300.0, -20.0]
    plots.plot_prices(prices, ax=ax)
    marked = {c.get_label(): c.get_offsets()[:, 1].tolist() for c in ax.collections}
    assert marked == {"spikes: 2 intervals": [400.0, 300.0], "negative price: 1 interval": [-20.0]}


def test_a_long_series_is_drawn_by_market_day_even_where_days_have_23_hours(ax):
    prices = mock_prices(days=100)
    plots.plot_prices(prices, market_tz="America/Chicago", ax=ax)
    [(median, edges, _)] = steps_of(ax, "median of each day")
    local = prices["price"].groupby(prices.index.tz_convert("America/Chicago").strftime("%Y-%m-%d"))
    np.testing.assert_allclose(median, local.median())
    assert sorted(set(np.round(24 * np.diff(edges)))) == [23, 24]


def test_spikes_of_real_prices_are_found(data_dir, ax):
    read = pd.read_csv(data_dir / "epf" / "PJM.csv", skipinitialspace=True, index_col=0, parse_dates=True)
    prices = read.iloc[:, :1].set_axis(["price"], axis=1).tz_localize("UTC").rename_axis("time").asfreq("h")
    plots.plot_prices(prices, ax=ax)
    ordered = np.sort(prices["price"])
    fence = 4 * ordered[3 * len(ordered) // 4] - 3 * ordered[len(ordered) // 4]
    counts = {"spikes": np.sum(ordered > fence), "negative prices": np.sum(ordered < 0)}
    assert {c.get_label() for c in ax.collections} == {f"{name}: {n:,} intervals" for name, n in counts.items()}


@pytest.mark.parametrize("case", ["prices", "prices, long", "daily shape", "fan", "paths"])
def test_every_plot_of_prices_has_a_line_at_zero(case, ax):
    plot, table = CASES[case]
    plot(table, ax)
    assert [0, 0] in [list(line.get_ydata()) for line in ax.lines]


def test_the_daily_shape_is_the_median_by_time_of_day(ax):
    prices = mock_prices(days=20)
    [line] = [line for line in plots.plot_daily_shape(prices, ax=ax).lines if line.get_label() == "median"]
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_ydata()[:-1], prices["price"].groupby(prices.index.hour).median())


def test_the_fan_sets_nominal_beside_counted_coverage(ax):
    prices, forecast = mock_prices(days=7), mock_forecast(days=7)
    forecast = forecast.assign(q25=forecast["mean"] - 5, q75=forecast["mean"] + 5, q99=forecast["mean"] + 90)
    prices.iloc[3, 0] = np.nan
    plots.plot_forecast_fan(forecast, prices, ax=ax)
    scored = [(row, prices["price"][time]) for (_, time), row in forecast.iterrows() if time != prices.index[3]]
    held = {
        (a, b): np.mean([row[a] <= price <= row[b] for row, price in scored])
        for a, b in (("q10", "q90"), ("q25", "q75"))
    }
    expected = ", ".join(
        f"{n} % band holds {100 * share:.1f} %" for n, share in zip((80, 50), held.values(), strict=True)
    )
    assert ax.get_title(loc="left") == f"Share of prices inside the band, of 167: {expected}"


def test_the_fan_has_a_band_for_each_pair_of_quantiles_the_actual_on_top_and_a_line_at_each_origin(ax):
    plots.plot_forecast_fan(mock_forecast(days=7), mock_prices(days=7), first_day="2024-01-03", days=2, ax=ax)
    [(top, edges, bottom)] = steps_of(ax, "80 % band")
    assert len(top) == 48
    np.testing.assert_allclose(top - bottom, 40)
    actual = next(patch for patch in ax.patches if patch.get_label() == "actual price")
    assert actual.get_edgecolor()[:3] == (0, 0, 0)
    assert actual.get_zorder() > max(patch.get_zorder() for patch in ax.patches if patch is not actual)
    origins = [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]
    np.testing.assert_allclose(origins, edges[[0, 24]])


def test_where_forecasts_overlap_the_latest_origin_is_drawn(ax):
    forecast = mock_forecast(days=2)
    earlier = forecast.loc[[forecast.index[24][0]]].assign(mean=-1000.0)
    earlier.index = earlier.index.set_levels([earlier.index.levels[0] - pd.Timedelta(days=1)], level=["origin"])
    plots.plot_forecast_fan(pd.concat([earlier, forecast]), mock_prices(days=2), ax=ax)
    [(mean, _, _)] = steps_of(ax, "forecast mean")
    np.testing.assert_allclose(mean, forecast["mean"])


def test_a_forecast_without_quantiles_or_without_prices_claims_no_coverage(ax, three_axes):
    plots.plot_forecast_fan(mock_forecast(days=2)[["mean"]], mock_prices(days=2), ax=ax)
    plots.plot_forecast_fan(mock_forecast(days=2), mock_prices(days=2, start="2025-01-01"), ax=three_axes[0])
    assert ax.get_title(loc="left") == three_axes[0].get_title(loc="left") == ""


def test_dispatch_shows_discharging_above_zero_and_charging_hatched_below(three_axes):
    axes = plots.plot_dispatch(mock_schedule(), mock_prices(), first_day="2024-01-02", days=3, axes=three_axes)
    assert axes is three_axes
    [(sold, _, _)], [(bought, _, _)] = (
        steps_of(axes[1], label)
        for label in ("discharging: sells (+)", "charging: buys (−)")  # noqa: RUF001
    )
    assert len(sold) == 72
    np.testing.assert_array_equal(sold + bought, mock_schedule()["battery_mw"].iloc[24:96])
    assert (sold.min(), bought.max()) == (0, 0)
    hatches = {patch.get_label()[:6]: patch.get_hatch() for patch in axes[1].patches}
    assert hatches == {"discha": None, "chargi": "/////"}


def test_dispatch_shows_the_stored_energy_at_the_end_of_each_interval(three_axes):
    schedule = mock_schedule(days=2)
    stored = plots.plot_dispatch(schedule, mock_prices(days=2), axes=three_axes)[2].lines[0]
    np.testing.assert_array_equal(stored.get_ydata(), schedule["soc_mwh"])
    np.testing.assert_allclose(stored.get_xdata(), numbers(schedule.index) + 1 / 24)


def test_dispatch_makes_three_axes_of_its_own():
    axes = plots.plot_dispatch(mock_schedule(), mock_prices())
    axes[0].figure.canvas.draw()
    assert [ax.get_ylabel() for ax in axes] == ["Price [$/MWh]", "Power [MW]", "Stored [MWh]"]


def test_cumulative_profit_ends_at_the_sum_and_says_so_beside_each_line(ax):
    profit = daily_profit()
    plots.plot_cumulative_profit(profit, unit="$/MW", ax=ax)
    ends = {line.get_label(): line.get_ydata()[-1] for line in ax.lines if line.get_label() in POLICIES}
    assert ends == pytest.approx(profit.sum().to_dict())
    assert {note.get_text() for note in ax.texts} == {f"{name}  {total:,.0f}" for name, total in ends.items()}


def test_benchmarks_are_thinner_than_policies(ax):
    lines = plots.plot_cumulative_profit(daily_profit(), ax=ax).lines
    width = {line.get_label(): line.get_linewidth() for line in lines}
    assert width["idle"] == width["perfect foresight"] < width["mpc lear"]


def test_daily_profit_draws_the_best_policy_apart_from_the_benchmarks(ax):
    profit = daily_profit()
    plots.plot_daily_profit(profit, cvar=30.0, unit="$/MW", ax=ax)
    assert ax.get_title(loc="left").startswith("mpc lear: ")
    drawn = sorted(patch.get_height() for patch in ax.patches)
    np.testing.assert_allclose(drawn, np.sort(profit["mpc lear"]))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "mean of the worst 5 % of days: -30 $/MW" in labels
    best = profit["mpc lear"].nlargest(3).index
    assert {note.get_text() for note in ax.texts} == {f"{day.day} {day:%b}" for day in best}


@given(st.lists(st.integers(-50, 100).map(float), min_size=2, max_size=30))
def test_the_days_that_made_half_of_the_profit_are_the_fewest_that_do(values):
    from gridlab.plots.profits import _makers_of_half

    daily = pd.Series(values, index=pd.date_range("2024-01-01", periods=len(values)))
    made = daily[_makers_of_half(daily)]
    if daily.sum() <= 0:
        assert made.empty
        return
    best_first = sorted(values, reverse=True)
    fewest = next(n for n in range(1, len(values) + 1) if sum(best_first[:n]) >= daily.sum() / 2)
    assert len(made) == fewest
    assert made.sum() == sum(best_first[:fewest])


def test_a_policy_that_lost_money_is_said_to_have_made_no_profit(ax):
    profit = pd.DataFrame({"idle": -1.0}, index=DAYS)
    assert plots.plot_daily_profit(profit, ax=ax).get_title(loc="left") == "idle: no profit, 40 days lost money"
    assert not ax.texts


def test_value_at_risk_is_marked_as_a_profit(ax):
    plots.plot_profit_distribution(daily_profit()["mpc lear"], var=20.0, cvar=30.0, ax=ax)
    marked = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    assert marked["the worst 5 % of days earn less than (VaR): -20 $"] == -20
    assert marked["mean of the worst 5 % of days (CVaR): -30 $"] == -30


def test_a_capture_ratio_lies_on_its_whisker_in_the_order_of_the_table(ax):
    plots.plot_capture(capture(), ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["lear", "naive"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    [whisker] = ax.containers[0].lines[2]
    np.testing.assert_allclose(whisker.get_segments()[0], [[0.7, 0], [0.85, 0]])


def test_paths_outside_their_bands_are_as_many_as_they_should_be(ax):
    plots.plot_paths(PATHS, mock_times(1), ax=ax)
    [(high, _, low)] = steps_of(ax, "90 % of paths")
    assert np.mean((low <= PATHS) & (high >= PATHS)) == pytest.approx(0.9, abs=0.01)
    assert len(ax.patches) == 2 + 12 + 1


def test_a_model_has_the_same_line_in_every_plot(ax, three_axes):
    plots.plot_error_by_hour(errors_by_hour(), ax=ax)
    plots.plot_cumulative_profit(daily_profit(), ax=three_axes[0])
    look = [
        {line.get_label(): (line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines}
        for axes in (ax, three_axes[0])
    ]
    assert look[0]["lear"] == look[1]["mpc lear"]
    assert look[0]["naive"] == look[1]["mpc naive"]


def test_no_two_lines_share_a_colour_a_dash_or_a_marker():
    names = [*plots.LINES, "one", "two", "three", "four", "five", "six", "second lear"]
    lines = [plots.line_styles(names[:14])[name] for name in names[:14]]
    for attribute in range(3):
        assert len({line[attribute] for line in lines}) == 14
    assert not {line.color for line in lines} & set(plots.COLORS.values())
    assert len(set(plots.COLORS.values())) == len(plots.COLORS)


def test_of_two_names_with_the_same_word_the_plainer_keeps_its_line():
    styles = plots.line_styles(["mpc lear tuned", "lear"])
    assert styles["lear"] == plots.LINES["lear"] != styles["mpc lear tuned"]


@pytest.mark.parametrize("sight", ["normal", "deutan", "protan", "tritan"])
def test_the_lines_of_models_stay_apart_for_the_colour_blind(sight):
    seen = [to_lab(SIGHT[sight] @ to_linear(line.color)) for line in plots.LINES.values()]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 20  # CIE 1976 colour difference; 2.3 can just be told apart


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12).map(sorted), st.floats(0.1, 20))
def test_labels_at_the_ends_of_lines_never_touch_and_move_only_where_they_would(wanted, apart):
    at = _spread(np.array(wanted), apart)
    assert (np.diff(at) >= apart * (1 - 1e-9)).all()
    assert np.mean(at) == pytest.approx(np.mean(wanted), abs=1e-6)
    if len(wanted) == 1 or np.diff(wanted).min() > apart * (1 + 1e-9):
        np.testing.assert_allclose(at, wanted, atol=1e-9)


REFUSED = {
    "prices has no column 'price'": lambda: plots.plot_prices(mock_prices().rename(columns={"price": "lmp"})),
    "without any price": lambda: plots.plot_daily_shape(mock_prices(days=1)[:12].asfreq("h")),
    "schedule has no column 'miner_mw'": lambda: plots.plot_dispatch(mock_schedule(), mock_prices(), asset="miner"),
    "schedule runs from 2024-01-01 to 2024-01-07": lambda: plots.plot_dispatch(
        mock_schedule(), mock_prices(), first_day="2025-01-01"
    ),
    "no origin on or after 2025-01-01": lambda: plots.plot_forecast_fan(
        mock_forecast(), mock_prices(), first_day="2025-01-01"
    ),
    "hour of the day, 0 to 23, got 1 to 24": lambda: plots.plot_error_by_hour(
        errors_by_hour().set_axis(range(1, 25), axis=0)
    ),
    r"shape \(n_paths, 24 times\), got \(60, 23\)": lambda: plots.plot_paths(PATHS[:, :23], mock_times(1)),
    "profit has no days": lambda: plots.plot_cumulative_profit(daily_profit()[:0]),
    r"profit\['idle'\] is NaN at 2024-03-01": lambda: plots.plot_daily_profit(daily_profit() * np.nan),
    "profit has no column 'lear'": lambda: plots.plot_daily_profit(daily_profit(), policy="lear"),
    "has no column 'low'": lambda: plots.plot_capture(capture()[["capture_ratio"]]),
    "interval of 'lear' ends before it begins": lambda: plots.plot_capture(capture().assign(low=1.9)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()


def test_importing_the_plots_loads_no_matplotlib():
    code = "import sys, gridlab.plots, gridlab.report; sys.exit('matplotlib' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency," IEEE
# Trans. Visualization and Computer Graphics 15(6), 2009, doi:10.1109/TVCG.2009.113: severity 1.
SIGHT = {
    "normal": np.eye(3),
    "deutan": np.reshape(
        [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881], (3, 3)
    ),
    "protan": np.reshape(
        [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998], (3, 3)
    ),
    "tritan": np.reshape(
        [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900], (3, 3)
    ),
}


def to_linear(color):
    share = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def to_lab(linear):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_one_day_of_profit_is_drawn_and_a_strategy_with_nothing_to_capture_is_said_so():
    assert plots.plot_cumulative_profit(daily_profit()[:1]).get_lines()
    nothing = capture().assign(capture_ratio=np.nan, low=np.nan, high=np.nan)
    texts = [text.get_text() for text in plots.plot_capture(nothing).texts]
    assert texts.count("nothing to capture") == len(nothing)
