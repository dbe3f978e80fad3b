"""The plots of scenarios say what their tables say; judged by their artists, never by pixels."""

import numpy as np
import pandas as pd
import pytest

from gridlab import plots
from gridlab.errors import DataError
from gridlab.schema import mock_times

pytestmark = pytest.mark.filterwarnings("error")

NAMES = ["ou", "mrjd", "regimes", "bootstrap", "block_bootstrap", "copula"]


def pit():
    rng = np.random.default_rng(1)
    return {name: rng.beta(0.5 + i / 3, 0.5 + i / 3, (28, 24)) for i, name in enumerate(NAMES)}


def real():
    rng = np.random.default_rng(2)
    price = 30 + rng.normal(0, 6, 672)
    price[::100], price[5:9] = 3000, -80
    return price


def simulated():
    rng = np.random.default_rng(3)
    return {name: rng.choice(real(), (50, 672)) * (0.7 + 0.15 * i) for i, name in enumerate(NAMES)}


def lags():
    steps = np.arange(193.0)
    return pd.DataFrame({name: 0.95 ** (steps * (1 + i)) for i, name in enumerate(["real", *NAMES])}, index=steps)


CASES = {
    "pit": lambda ax: plots.plot_pit(pit(), ax=ax),
    "distributions": lambda ax: plots.plot_distributions(real(), simulated(), ax=ax),
    "autocorrelation": lambda ax: plots.plot_autocorrelation(lags(), ax=ax),
    "paths and price": lambda ax: plots.plot_paths(simulated()["ou"][:, :24], mock_times(1), real()[:24], ax=ax),
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


@pytest.mark.parametrize("case", CASES)
def test_every_plot_draws_on_the_axes_it_is_given_and_names_its_units(case, ax):
    assert CASES[case](ax) is ax
    assert ax.has_data()
    assert "[" in ax.get_xlabel()
    assert "[" in ax.get_ylabel()


def shown(axis):
    """The labels of the ticks that are in view."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


@pytest.mark.parametrize("case", CASES)
def test_no_words_leave_the_figure_or_touch_each_other(case):
    figure = CASES[case](None).figure
    figure.canvas.draw()
    (ax,) = figure.axes
    whole = figure.bbox
    labels = [shown(axis) for axis in (ax.xaxis, ax.yaxis)]
    titles = [ax.xaxis.label, ax.yaxis.label, ax._left_title]
    for text in [*labels[0], *labels[1], *titles]:
        box = text.get_window_extent()
        assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, text.get_text()
        assert whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1, text.get_text()
    for axis in labels:
        boxes = [label.get_window_extent() for label in axis]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    legend = ax.get_legend().get_window_extent()
    assert legend.x1 <= whole.x1 + 1
    assert not legend.overlaps(ax._left_title.get_window_extent()) or not ax._left_title.get_text()


def test_the_bars_of_a_pit_histogram_are_its_frequencies_over_the_calibrated_ones(ax):
    values = np.array([0.05, 0.05, 0.15, 0.95])
    plots.plot_pit({"first": values, "second": [1.0, 1.0, 0.0, 0.5]}, ax=ax)
    heights = [patch.get_height() for patch in ax.patches]
    assert heights[:10] == [5, 2.5, 0, 0, 0, 0, 0, 0, 0, 2.5]
    assert heights[10:] == [2.5, 0, 0, 0, 0, 2.5, 0, 0, 0, 5]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["first\n75 %", "second\n75 %"]
    left = [patch.get_x() for patch in ax.patches]
    assert left == sorted(left)
    assert all(list(line.get_ydata()) == [1, 1] for line in ax.lines if line.get_label() == "calibrated")


def test_the_histograms_of_a_process_lie_within_its_place(ax):
    plots.plot_pit(pit(), bins=20, ax=ax)
    for i in range(len(NAMES)):
        mine = ax.patches[20 * i : 20 * i + 20]
        assert i < mine[0].get_x()
        assert mine[-1].get_x() + mine[-1].get_width() < i + 1


def test_the_same_distribution_lies_on_the_diagonal_and_twice_the_price_above_it(ax):
    plots.plot_distributions(real(), {"same": real()[::-1], "twice": 2 * real()}, ax=ax)
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["same"][:, 1], drawn["same"][:, 0])
    np.testing.assert_allclose(drawn["twice"][:, 1], 2 * drawn["twice"][:, 0])
    assert (drawn["same distribution"][:, 0] == drawn["same distribution"][:, 1]).all()
    np.testing.assert_array_equal(drawn["same distribution"][:, 0], drawn["twice"][[0, -1], 0])


@pytest.mark.parametrize(
    "price", [np.full(50, 25.0), np.zeros(50), np.r_[np.zeros(40), 9000.0], -np.arange(1.0, 60), np.r_[1e-3, 5e7]]
)
def test_constant_zero_negative_and_wild_prices_are_drawn(price):
    ax = plots.plot_distributions(price, {"ou": price + 1.0})
    ax.figure.canvas.draw()
    assert np.isfinite(ax.lines[0].get_xydata()).all()


def test_autocorrelations_are_drawn_as_they_are_with_the_real_on_top(ax):
    plots.plot_autocorrelation(lags(), ax=ax)
    drawn = {line.get_label(): line for line in ax.lines}
    for name in lags():
        np.testing.assert_array_equal(drawn[name].get_ydata(), lags()[name])
    assert drawn["real"].get_color() == plots.COLORS["actual"]
    assert drawn["real"].get_zorder() > max(drawn[name].get_zorder() for name in NAMES)
    assert ax.get_title(loc="left") == "At 24 hours: real 0.29; nearest ou 0.09, farthest copula 0.00"
    assert [tick for tick in ax.get_xticks() if tick <= 192] == list(range(0, 193, 24))


def test_few_lags_and_lags_that_could_not_be_counted_are_drawn(ax):
    plots.plot_autocorrelation(pd.DataFrame({"real": [1.0, 0.5], "ou": [np.nan, np.nan]}, index=[0.0, 0.25]), ax=ax)
    assert ax.get_title(loc="left") == ""


def test_a_price_among_its_paths_is_drawn_in_black_and_counted(ax):
    paths = np.tile(np.linspace(0, 100, 101)[:, None], 24)
    price = np.r_[np.full(20, 50.0), 101, -1, np.nan, np.nan]
    plots.plot_paths(paths, mock_times(1), price, ax=ax)
    assert ax.get_title(loc="left") == "101 paths; 20 of 22 prices inside the 90 % band"
    (actual,) = [patch for patch in ax.patches if patch.get_label() == "actual price"]
    np.testing.assert_array_equal(actual.get_data().values, price)
    assert actual.get_zorder() > max(patch.get_zorder() for patch in ax.patches if patch is not actual)


REFUSED = {
    r"PIT values of 'ou' must be in \[0, 1\]": lambda: plots.plot_pit({"ou": [0.5, 1.2]}),
    "PIT values of 'none' must be": lambda: plots.plot_pit({"none": []}),
    "a process and at least 2 bins, got 0 and 10": lambda: plots.plot_pit({}),
    "a process and at least 2 bins, got 1 and 1": lambda: plots.plot_pit({"ou": [0.5]}, bins=1),
    "there is no process to draw": lambda: plots.plot_distributions(real(), {}),
    "prices of 'ou' must be finite": lambda: plots.plot_distributions(real(), {"ou": [np.nan]}),
    "prices of 'real' must be finite": lambda: plots.plot_distributions([], {"ou": [1.0]}),
    r"autocorrelations must be in \[-1, 1\]": lambda: plots.plot_autocorrelation(2 * lags()),
    "at one lag or more": lambda: plots.plot_autocorrelation(lags()[:0]),
    r"observed must have a value for each of the 24 times, got \(23,\)": lambda: plots.plot_paths(
        np.zeros((5, 24)), mock_times(1), np.zeros(23)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()
