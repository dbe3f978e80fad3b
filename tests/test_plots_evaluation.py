"""The plots of trust say what their tables say, without colour alone; judged by their artists, never by pixels."""

import numpy as np
import pandas as pd
import pytest

from gridlab import plots
from gridlab.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")

MODELS = ["lear", "mean", "naive"]


def p_values():
    values = [[np.nan, 0.5, 1.0], [0.5, np.nan, 0.97], [0.0002, 0.03, np.nan]]
    return pd.DataFrame(values, index=MODELS, columns=MODELS)


def shares():
    levels = [0.1, 0.5, 0.9]
    return pd.DataFrame({"lear": [0.12, 0.5, 0.87], "naive": [np.nan, 0.4, np.nan]}, index=levels)


def coverage():
    return pd.DataFrame({"lear": 0.8 + 0.05 * np.sin(np.arange(24)), "naive": np.full(24, 0.7)}, index=range(24))


def drift(alarm=(10, 20)):
    days = pd.date_range("2024-03-01", periods=40, name="date")
    table = pd.DataFrame({"loss": 3.0, "rolling_mean": np.where(np.arange(40) < 7, np.nan, 3.0)}, index=days)
    is_alarm = (np.arange(40) >= alarm[0]) & (np.arange(40) < alarm[1])
    return table.assign(limit=4.0, cusum=np.where(is_alarm, 1.5, 0.2), alarm=is_alarm)


CASES = {
    "p-values": (plots.plot_p_values, p_values()),
    "calibration": (plots.plot_calibration, shares()),
    "coverage by hour": (lambda t, ax: plots.plot_coverage_by_hour(t, market_tz="America/Chicago", ax=ax), coverage()),
    "drift": (plots.plot_drift, drift()),
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
def test_every_plot_draws_on_the_axes_it_is_given_and_leaves_its_table_alone(case, ax):
    plot, table = CASES[case]
    before = table.copy(deep=True)
    assert plot(table, ax=ax) is ax
    assert ax.has_data()
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("case", CASES)
def test_every_plot_makes_its_own_axes_and_can_be_drawn_without_a_warning(case):
    plot, table = CASES[case]
    plot(table, ax=None).figure.canvas.draw()


@pytest.mark.parametrize("case", CASES)
def test_every_axis_with_a_quantity_names_its_unit_and_every_time_axis_its_zone(case, ax):
    plot, table = CASES[case]
    plot(table, ax=ax)
    assert "[" in ax.get_xlabel() + ax.get_ylabel()
    if case in ("coverage by hour", "drift"):
        assert ax.get_xlabel().endswith(("[UTC]", "[America/Chicago]"))


def test_a_p_value_stands_in_the_row_of_the_model_tested_against_and_the_column_of_the_better(ax):
    plots.plot_p_values(p_values(), ax=ax)
    written = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert written[0, 2] == "<.001"
    assert written[1, 2] == "0.03"
    assert (1, 1) not in written
    assert [label.get_text() for label in ax.get_xticklabels()] == MODELS
    assert [label.get_text() for label in ax.get_yticklabels()] == MODELS
    assert ax.get_ylim() == (2.5, -0.5)


def test_evidence_is_told_from_none_by_hatching_as_well_as_by_colour(ax):
    plots.plot_p_values(p_values(), ax=ax)
    hatched = {(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in ax.patches if patch.get_hatch()}
    assert hatched == {(1, 0), (2, 0), (0, 1), (2, 1)}


def test_less_evidence_is_always_lighter_to_every_eye():
    from gridlab.plots.evaluation import _p_value_colors

    red, green, blue = _p_value_colors()(np.linspace(0, 1, 50))[:, :3].T
    assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) > 0).all()


def test_the_numbers_can_be_read_on_their_cells(ax):
    """Contrast of at least 4.5 between text and cell, as WCAG 2.1 asks for small print."""
    from gridlab.plots.evaluation import _p_value_colors

    def luminance(color):
        share = np.asarray(color[:3])
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    from matplotlib.colors import to_rgba

    evident = np.linspace(0, 0.1, 21)
    table = pd.DataFrame(0.5, index=range(12), columns=range(12))
    for i, value in enumerate(evident):
        table.iloc[i // 12, i % 12] = value
    plots.plot_p_values(table, ax=ax)
    for text in ax.texts:
        column, row = text.get_position()
        cell, ink = (
            luminance(c) for c in (_p_value_colors()(table.iloc[row, column] / 0.1), to_rgba(text.get_color()))
        )
        assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) >= 4.5


def test_many_models_are_drawn_without_numbers(ax):
    names = [f"model {i}" for i in range(30)]
    plots.plot_p_values(pd.DataFrame(0.04, index=names, columns=names), ax=ax)
    assert not ax.texts


def test_a_calibration_line_is_the_models_column_and_the_farthest_point_is_named(ax):
    plots.plot_calibration(shares(), ax=ax)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["lear"] == [[0.1, 0.12], [0.5, 0.5], [0.9, 0.87]]
    assert drawn["naive"] == [[0.5, 0.4]]
    assert drawn["calibrated"] == [[0, 0], [1, 1]]
    assert ax.get_title(loc="left") == "Farthest from the diagonal: lear 0.03 at 0.9, naive 0.10 at 0.5"


def test_the_coverage_stands_beside_what_is_promised(ax):
    plots.plot_coverage_by_hour(coverage(), level=0.8, ax=ax)
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert list(drawn["promised: 0.8"]) == [0.8, 0.8]
    np.testing.assert_array_equal(drawn["lear"], coverage()["lear"])


def test_every_day_of_alarm_is_shaded_and_the_first_is_named(ax):
    table = drift()
    table.iloc[30, -1] = True
    plots.plot_drift(table, ax=ax)
    from matplotlib.dates import date2num

    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches if patch.get_hatch()]
    x = date2num(table.index.to_numpy())
    np.testing.assert_allclose(spans, [(x[10] - 0.5, x[19] + 0.5), (x[30] - 0.5, x[30] + 0.5)])
    assert ax.get_title(loc="left") == "Alarm on 11 of 40 days, the first 2024-03-11: cumulative sum past its limit"


def test_no_alarm_is_said_to_be_none(ax):
    assert plots.plot_drift(drift((0, 0)), ax=ax).get_title(loc="left") == "No alarm in 40 days"
    assert not ax.patches


REFUSED = {
    "same models in rows and columns": lambda: plots.plot_p_values(p_values().iloc[:2]),
    r"p-values must be in \[0, 1\], got 0.02 to 100": lambda: plots.plot_p_values(100 * p_values()),
    r"must be in \[0, 1\]: take them from evaluate.reliability": lambda: plots.plot_calibration(100 * shares()),
    "coverage must be indexed by hour of the day": lambda: plots.plot_coverage_by_hour(
        coverage().set_axis(range(1, 25))
    ),
    "must be shares between 0 and 1: divide percentages by 100": lambda: plots.plot_coverage_by_hour(100 * coverage()),
    "the drift table has no column 'cusum'": lambda: plots.plot_drift(drift().drop(columns="cusum")),
    "the drift table has no days": lambda: plots.plot_drift(drift()[:0]),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()
