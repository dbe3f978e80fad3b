"""Parts of a risk: Euler's sum and derivative, ties, the margin, and what diversification saves."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.risk.contributions import (
    attribution,
    contributions,
    diversification_benefit,
    incremental,
    standalone,
    tail_shares,
)
from gridlab.risk.historical import cvar, var

MEASURES = ("cvar", "var", "std")

seeds = st.integers(0, 10_000)
levels = st.integers(0, 19).map(lambda twentieths: twentieths / 20) | st.floats(0, 0.999)


def tables(seed: int, *, whole_numbers: bool) -> tuple[np.ndarray, np.ndarray]:
    """Losses of services, with ties where they are whole numbers, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 30)), int(rng.integers(1, 6)))
    losses = rng.integers(-4, 5, shape).astype(float) if whole_numbers else rng.standard_t(3, shape) * 1000
    weights = rng.integers(0, 3, shape[0]).astype(float)
    weights[rng.integers(shape[0])] = 1.0
    return losses, weights


def measured(whole: np.ndarray, level: float, measure: str, weights: np.ndarray | None) -> float:
    if measure == "cvar":
        return float(cvar(whole, level, weights=weights))
    if measure == "var":
        return float(var(whole, level, weights=weights))
    return float(np.sqrt(np.cov(whole, aweights=weights, ddof=0)))


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=seeds, level=levels, whole_numbers=st.booleans(), weighted=st.booleans())
def test_the_parts_sum_to_the_measure_of_the_whole(measure, seed, level, whole_numbers, weighted):
    losses, weights = tables(seed, whole_numbers=whole_numbers)
    weights = weights if weighted else None
    parts = contributions(losses, level, measure=measure, weights=weights)
    whole = measured(losses.sum(axis=1), level, measure, weights)
    assert parts.sum() == pytest.approx(whole, abs=1e-10 * np.abs(losses).sum())


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=seeds, level=st.floats(0, 0.99))
def test_a_part_is_the_derivative_of_the_measure_to_the_size_of_the_service(measure, seed, level):
    rng = np.random.default_rng(seed)
    losses = rng.normal(0, 1, (int(rng.integers(3, 25)), 3))
    weights = rng.uniform(0.5, 2, len(losses))
    sorted_whole = np.sort(losses.sum(axis=1))
    step = min(
        1e-6, 1e-3 * np.diff(sorted_whole).min() / np.abs(losses).max()
    )  # too small for two rows to change place
    for service in range(3):
        up, down = (losses * (1 + sign * step * np.eye(3)[service]) for sign in (1, -1))
        rise = measured(up.sum(axis=1), level, measure, weights) - measured(down.sum(axis=1), level, measure, weights)
        part = contributions(losses, level, measure=measure, weights=weights)[service]
        assert part == pytest.approx(rise / (2 * step), abs=1e-6 + 1e-14 / step)


@settings(max_examples=15)
@given(seed=seeds, level=levels)
def test_tied_scenarios_count_as_the_mean_over_the_orders_they_could_lie_in(seed, level):
    rng = np.random.default_rng(seed)
    n_scenarios = int(rng.integers(2, 7))
    losses = rng.integers(-3, 4, (n_scenarios, 3)).astype(float)
    losses[1:3, 2] = losses[0].sum() - losses[1:3, :2].sum(axis=1)  # the first three tie, if there are so many
    reached = np.minimum(np.arange(1, n_scenarios + 1) / n_scenarios, 1 - level)
    shares = np.diff(reached, prepend=0.0) / (1 - level)
    whole = losses.sum(axis=1)
    orders = [list(order) for order in permutations(range(n_scenarios)) if (np.diff(whole[list(order)]) <= 0).all()]
    assert len(orders) > 1
    expected = np.mean([shares @ losses[order] for order in orders], axis=0)
    assert contributions(losses, level) == pytest.approx(expected, abs=1e-12)


@given(seed=seeds, level=levels, whole_numbers=st.booleans())
def test_the_order_of_scenarios_and_of_services_does_not_matter(seed, level, whole_numbers):
    losses, weights = tables(seed, whole_numbers=whole_numbers)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(losses.shape[0]), rng.permutation(losses.shape[1])
    shuffled = losses[rows][:, columns]
    for measure in MEASURES:
        parts = contributions(losses, level, measure=measure, weights=weights)
        again = contributions(shuffled, level, measure=measure, weights=weights[rows])
        assert again == pytest.approx(parts[columns], rel=1e-9, abs=1e-9 * (1 + np.abs(losses).max()))


def test_rounding_in_the_sum_of_services_breaks_no_tie():
    losses = np.array([[0.1, 0.2, 0.0], [0.3, 0.0, 0.0], [-1.0, 0.0, 0.0]])  # 0.1 + 0.2 is not 0.3
    assert contributions(losses, 0.9) == pytest.approx([0.2, 0.1, 0.0])
    assert contributions(losses, 0.9, measure="var") == pytest.approx([0.2, 0.1, 0.0])


@given(seed=seeds, level=levels, whole_numbers=st.booleans())
def test_tail_shares_are_a_distribution_whose_mean_is_the_cvar(seed, level, whole_numbers):
    losses, weights = tables(seed, whole_numbers=whole_numbers)
    shares = tail_shares(losses[:, 0], level, weights=weights)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    assert shares @ losses[:, 0] == pytest.approx(
        float(cvar(losses[:, 0], level, weights=weights)), abs=1e-10 * (1 + np.abs(losses).max())
    )


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=seeds, level=levels)
def test_each_part_alone_and_at_the_margin_is_the_measure_of_those_columns(measure, seed, level):
    losses, weights = tables(seed, whole_numbers=True)
    alone = standalone(losses, level, measure=measure, weights=weights)
    margin = incremental(losses, level, measure=measure, weights=weights)
    whole = measured(losses.sum(axis=1), level, measure, weights)
    for service in range(losses.shape[1]):
        without = np.delete(losses, service, axis=1).sum(axis=1)
        assert alone[service] == pytest.approx(measured(losses[:, service], level, measure, weights), abs=1e-9)
        assert margin[service] == pytest.approx(whole - measured(without, level, measure, weights), abs=1e-9)


@given(seed=seeds, level=levels)
def test_parts_of_a_coherent_measure_lie_between_the_margin_and_the_service_alone(seed, level):
    losses, weights = tables(seed, whole_numbers=False)
    near = 1e-9 * (1 + np.abs(losses).max())
    for measure in ("cvar", "std"):
        part = contributions(losses, level, measure=measure, weights=weights)
        assert (part <= standalone(losses, level, measure=measure, weights=weights) + near).all()
        assert (part >= incremental(losses, level, measure=measure, weights=weights) - near).all()
        assert diversification_benefit(losses, level, measure=measure, weights=weights) >= -near


def test_normal_services_have_the_parts_of_the_normal_formula():
    rng = np.random.default_rng(0)
    cov = np.array([[4.0, 1.0, -1.0], [1.0, 9.0, 0.0], [-1.0, 0.0, 1.0]])
    losses = rng.multivariate_normal(np.zeros(3), cov, 400_000)
    share = cov.sum(axis=0) / cov.sum()  # Euler's of every elliptical risk (McNeil, Frey and Embrechts, 8.28)
    assert contributions(losses, measure="cvar") / cvar(losses.sum(axis=1)) == pytest.approx(share, abs=0.01)
    assert contributions(losses, measure="std") / losses.sum(axis=1).std() == pytest.approx(share, abs=0.01)


def test_the_table_adds_up_and_says_what_diversification_saves():
    losses = pd.DataFrame({"energy": [0.0, 1.0, 4.0, 30.0], "hash": [0.0, 1.0, 6.0, -10.0]})
    table = attribution(losses, 0.5)
    assert list(table.columns) == ["standalone", "contribution", "share", "incremental"]
    assert table.index.tolist() == ["energy", "hash", "total"]
    assert table.index.name == "service"
    assert table.loc["energy"].tolist() == pytest.approx([17.0, 17.0, 17 / 15, 11.5])
    assert table.loc["total"].tolist() == pytest.approx([20.5, 15.0, 1.0, 9.5])
    assert diversification_benefit(losses, 0.5) == pytest.approx(20.5 - 15.0)


def test_a_whole_without_risk_has_no_shares_and_parts_of_zero_deviation():
    hedged = pd.DataFrame({"energy": [0.1, -3.7, 2.2], "hedge": [-0.1, 3.7, -2.2]})
    assert contributions(hedged, measure="std").tolist() == [0.0, 0.0]
    assert attribution(hedged, measure="std")["share"].isna().all()
    assert contributions(hedged + 7.3, measure="std") == pytest.approx([0.0, 0.0])


def test_a_whole_whose_tail_earns_or_cancels_has_no_shares():
    earns = pd.DataFrame({"energy": [-50.0, -10.0, -20.0], "hash": [-60.0, 4.0, 1.0]})
    table = attribution(earns, 0.5)
    assert table.loc["total", "contribution"] < 0
    assert table["share"].isna().all()
    cancels = pd.DataFrame({"energy": [1e6, 0.0], "hedge": [-1e6 + 1e-4, 0.0]})
    table = attribution(cancels, 0.5)
    assert table.loc["total", "contribution"] == pytest.approx(1e-4, rel=1e-3)
    assert table["share"].isna().all()
    assert attribution(0 - earns, 0.5)["share"].sum() == pytest.approx(2.0)


def test_a_table_without_names_of_services_is_refused():
    with pytest.raises(DataError, match="losses must be a DataFrame with a column a service, got ndarray"):
        attribution(np.ones((3, 2)))


def test_one_scenario_is_its_own_tail():
    for measure in ("cvar", "var"):
        assert contributions([[3.0, -1.0]], 0.99, measure=measure).tolist() == [3.0, -1.0]


@pytest.mark.parametrize(
    ("losses", "more", "said"),
    [
        ([[1.0], [2.0]], {"level": 1.0}, r"level must be in \[0, 1\), got 1.0"),
        ([[1.0], [2.0]], {"level": -0.1}, "level must be in"),
        (np.empty((0, 2)), {}, r"got \(0, 2\)"),
        (np.empty((2, 0)), {}, r"got \(2, 0\)"),
        ([1.0, 2.0], {}, r"must have shape \(n_scenarios, n_services\)"),
        ([[1.0, np.nan], [1.0, 2.0]], {}, "scenario 0, service 1 is nan"),
        ([[1.0, np.inf], [1.0, 2.0]], {}, "scenario 0, service 1 is inf"),
        ([[1.0], [2.0]], {"weights": [1.0, -1.0]}, "not negative"),
        ([[1.0], [2.0]], {"weights": [0.0, 0.0]}, "not all zero"),
        ([[1.0], [2.0]], {"weights": [1.0]}, "one for each scenario"),
        ([[1.0], [2.0]], {"measure": "es"}, "measure must be 'cvar', 'var' or 'std', got 'es'"),
    ],
)
@pytest.mark.parametrize("part", [contributions, incremental, standalone, diversification_benefit])
def test_what_has_no_answer_is_refused(part, losses, more, said):
    with pytest.raises(DataError, match=said):
        part(losses, **more)


def test_tail_shares_are_of_one_series():
    with pytest.raises(DataError, match=r"loss must have shape \(n_scenarios,\), got \(1, 2\)"):
        tail_shares([[1.0, 2.0]])


@pytest.mark.parametrize("off", [-3e-10, 3e-10])
def test_a_level_next_to_a_step_moves_the_parts_by_as_little(off):
    losses = np.random.default_rng(0).normal(0, 1, (20, 2))
    level = 1 - 2 / 20 * (1 + off)
    assert contributions(losses, level).sum() == pytest.approx(float(cvar(losses.sum(axis=1), level)), abs=1e-14)


def test_a_service_may_not_be_named_as_the_last_row():
    with pytest.raises(DataError, match="a service is named 'total'"):
        attribution(pd.DataFrame({"total": [1.0, 2.0]}))
