"""Scenarios: regimes, blocks of days, the copula, reduction, stress and what the planner is given."""

from itertools import combinations, pairwise, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm, spearmanr

from gridlab import scenarios
from gridlab.errors import DataError
from gridlab.scenarios.margins import margins_of, shares_at, values_at
from gridlab.scenarios.regimes import (
    RegimesParams,
    _expect,
    _maximised,
    _Natural,
    calibrate_regimes,
    regime_probabilities,
    regimes_log_likelihood,
    simulate_regimes,
)
from gridlab.scenarios.season import calibrate_season
from gridlab.schema import mock_forecast, mock_prices

TWO = RegimesParams(
    intercept=np.array([0.0, 1.5]),
    phi=np.array([0.85, 0.5]),
    sigma=np.array([0.15, 0.8]),
    transition=np.array([[0.97, 0.03], [0.2, 0.8]]),
)


def _rng(seed=0):
    return np.random.default_rng(seed)


def _series(n_steps, seed=0, params=TWO):
    return simulate_regimes(params, start=0.0, n_steps=n_steps, n_paths=1, rng=_rng(seed))[0]


# Markov regimes


def _log_likelihood_by_enumeration(params, x):
    """Sum over every course of the regimes: the definition."""
    total = 0.0
    for course in product(range(len(params.sigma)), repeat=len(x) - 1):
        probability = params.shares[course[0]]
        for before, after in pairwise(course):
            probability *= params.transition[before, after]
        for t, s in enumerate(course):
            if not np.isnan(x[t : t + 2]).any():
                probability *= norm.pdf(x[t + 1], params.intercept[s] + params.phi[s] * x[t], params.sigma[s])
        total += probability
    return np.log(total)


@pytest.mark.parametrize("hole", [None, 4])
def test_the_filters_likelihood_is_the_sum_over_all_courses_of_the_regimes(hole):
    x = _series(9)
    if hole is not None:
        x[hole] = np.nan
    assert regimes_log_likelihood(TWO, x) == pytest.approx(_log_likelihood_by_enumeration(TWO, x), abs=1e-12)


def test_the_smoothers_probabilities_are_those_of_all_courses():
    x, sums = _series(7), np.zeros((6, 2))
    for course in product(range(2), repeat=6):
        c, phi, sigma = (values[list(course)] for values in (TWO.intercept, TWO.phi, TWO.sigma))
        densities = norm.pdf(x[1:], c + phi * x[:-1], sigma)
        chain = TWO.shares[course[0]] * np.prod([TWO.transition[pair] for pair in pairwise(course)])
        sums[np.arange(6), course] += chain * densities.prod()
    assert regime_probabilities(TWO, x) == pytest.approx(sums / sums.sum(axis=1, keepdims=True), abs=1e-12)


def test_filtered_probabilities_do_not_see_what_comes():
    x = _series(200)
    later = x.copy()
    later[101:] = _rng(1).normal(50, 20, 99)
    one, two = (regime_probabilities(TWO, values, smooth=False)[:100] for values in (x, later))
    assert (one == two).all()


def test_the_likelihood_agrees_with_statsmodels():
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    x = _series(400)
    model = MarkovRegression(x[1:], k_regimes=2, exog=x[:-1], switching_variance=True)
    at = np.r_[TWO.transition[:, 0], TWO.intercept, TWO.phi, TWO.sigma**2]
    assert regimes_log_likelihood(TWO, x) == pytest.approx(model.loglike(at), abs=1e-8)


def test_no_parameters_near_the_estimate_are_likelier():
    x = _series(800)
    found = calibrate_regimes(x, rng=_rng())
    assert regimes_log_likelihood(found, x) == pytest.approx(found.log_likelihood, abs=1e-6)
    assert found.log_likelihood > regimes_log_likelihood(TWO, x)
    rng = _rng(3)
    for _ in range(100):
        noise = [1 + 0.02 * rng.normal(size=2) for _ in range(3)]
        stay = np.clip(np.diag(found.transition) + 0.005 * rng.normal(size=2), 0.01, 0.999)
        near = RegimesParams(
            found.intercept + 0.01 * rng.normal(size=2),
            found.phi * noise[0],
            found.sigma * noise[1],
            np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]]),
        )
        assert regimes_log_likelihood(near, x) <= found.log_likelihood + 1e-9


@pytest.mark.parametrize("own_phi", [True, False])
def test_expectation_maximisation_never_lowers_the_likelihood(own_phi):
    x = _series(300)
    natural, first, reached = _Natural(np.zeros(2), np.zeros(2), np.array([0.5, 2.0]), np.full((2, 2), 0.5)), None, []
    first = np.full(2, 0.5)
    for _ in range(40):
        expected = _expect(x, natural, first)
        reached.append(expected.log_likelihood)
        natural, first = _maximised(expected, own_phi, natural.sigma), expected.first
    assert (np.diff(reached) >= -1e-9).all()


def test_calibration_recovers_the_regimes_within_two_standard_errors():
    true = TWO.table()["estimate"]
    tables = [calibrate_regimes(_series(1500, seed), n_starts=4, rng=_rng(seed)).table() for seed in range(20)]
    within = np.mean([(table["estimate"] - true).abs() <= 2 * table["standard_error"] for table in tables])
    assert within > 0.88
    spread = pd.concat([table["estimate"] for table in tables], axis=1).std(axis=1)
    said = pd.concat([table["standard_error"] for table in tables], axis=1).mean(axis=1)
    assert ((spread / said).between(0.5, 1.6)).all()


def test_a_shared_phi_is_shared_and_has_one_standard_error():
    found = calibrate_regimes(_series(2000), own_phi=False, rng=_rng())
    assert found.phi[0] == found.phi[1]
    assert found.errors["phi_0"] == found.errors["phi_1"] > 0


def test_a_change_of_unit_changes_the_estimates_by_the_unit():
    x = _series(1500)
    plain, other = (calibrate_regimes(values, rng=_rng()) for values in (x, 40 + 1000 * x))
    assert other.sigma == pytest.approx(1000 * plain.sigma, rel=1e-4)
    assert other.phi == pytest.approx(plain.phi, abs=1e-4)
    assert other.intercept == pytest.approx(1000 * plain.intercept + 40 * (1 - plain.phi), rel=1e-3)
    assert other.errors["sigma_1"] == pytest.approx(1000 * plain.errors["sigma_1"], rel=1e-3)
    assert other.log_likelihood == pytest.approx(plain.log_likelihood - 1499 * np.log(1000), abs=1e-4)


def test_simulated_regimes_have_the_chains_shares_and_the_moments_of_the_mixture():
    apart = RegimesParams(np.array([0.0, 10.0]), np.zeros(2), np.array([1.0, 2.0]), TWO.transition)
    paths = simulate_regimes(apart, start=0.0, n_steps=100, n_paths=4000, rng=_rng())
    share = apart.shares[1]
    assert share == pytest.approx(0.03 / 0.23)
    assert paths.mean() == pytest.approx(10 * share, abs=0.05)
    assert paths.var() == pytest.approx(1 + share * 3 + 100 * share * (1 - share), rel=0.02)


def test_paths_start_in_the_regime_that_was_said():
    apart = RegimesParams(np.array([0.0, 90.0]), np.zeros(2), np.ones(2), np.eye(2))
    for regime, level in ((0, 0.0), (1, 90.0)):
        start = {"start": 0.0, "start_regime": np.eye(2)[regime]}
        paths = simulate_regimes(apart, **start, n_steps=5, n_paths=50, rng=_rng())
        assert np.abs(paths - level).max() < 6


def test_no_regime_runs_away_though_the_likelihood_would_have_it():
    wild = RegimesParams(np.zeros(2), np.array([1.2, 0.1]), np.array([0.1, 1.0]), np.array([[0.5, 0.5], [0.4, 0.6]]))
    assert wild.is_stationary
    found = calibrate_regimes(_series(2000, params=wild), rng=_rng())
    assert found.phi[0] == 1
    table = found.table()["standard_error"]
    assert np.isnan(table["phi_0"])
    assert (table.drop("phi_0") > 0).all()


def test_a_transition_that_never_happens_is_held_at_zero():
    ring = np.array([[0.95, 0.05, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]])
    truth = RegimesParams(np.array([0.0, 4.0, -6.0]), np.full(3, 0.2), np.array([0.2, 0.4, 0.8]), ring)
    found = calibrate_regimes(_series(2000, params=truth), n_regimes=3, rng=_rng())
    assert found.transition == pytest.approx(ring, abs=0.04)
    assert (np.isnan(found.table()["standard_error"]) == (found.table()["estimate"] == 0)).all()
    assert (found.transition[ring == 0] == 0).all()


def test_a_gap_changes_little_and_spikes_of_a_hundred_medians_are_a_regime():
    x = _series(2000)
    whole = calibrate_regimes(x, n_starts=4, rng=_rng())
    x[700:712] = np.nan
    broken = calibrate_regimes(x, n_starts=4, rng=_rng())
    assert broken.n == whole.n - 13
    assert broken.sigma == pytest.approx(whole.sigma, rel=0.02)
    spiky = _rng(2).normal(30, 2, 2000)
    spiky[::40] += 3000 + 30 * _rng(3).normal(size=50)
    found = calibrate_regimes(spiky, n_starts=4, rng=_rng())
    assert found.shares[1] < 0.06
    assert found.sigma[0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full(500, 3.0), "constant"),
        (np.arange(20.0), "at least 80 are needed"),
        (np.where(np.arange(500) == 7, np.inf, _rng().normal(size=500)), "infinite in row 7"),
        (_rng(4).normal(size=1000), "2 regimes are not there"),
        (np.where(np.arange(500) == 250, 1e4, _rng().normal(size=500)), "2 regimes"),
    ],
)
def test_a_series_without_regimes_is_refused(x, words):
    with pytest.raises(DataError, match=words):
        calibrate_regimes(x, rng=_rng())


def test_regimes_that_are_no_probabilities_are_refused():
    with pytest.raises(DataError, match=r"sum to 1, got sums \[0.9"):
        RegimesParams(np.zeros(2), np.zeros(2), np.ones(2), np.array([[0.5, 0.4], [0.5, 0.5]]))
    with pytest.raises(DataError, match="start_regime"):
        simulate_regimes(TWO, start=0, start_regime=[0.5, 0.6], n_steps=1, n_paths=1, rng=_rng())


# the season


@pytest.mark.parametrize("freq", ["15min", "1h"])
def test_prices_come_back_from_the_rest_and_the_season(freq):
    prices = mock_prices(days=40, freq=freq)
    prices.iloc[5, 0], prices.iloc[77, 0] = np.nan, 4000.0
    season = calibrate_season(prices, market_tz="America/New_York")
    x = season.remove(prices)
    assert np.allclose(season.restore(x, prices.index), prices["price"], equal_nan=True)
    local = prices.index.tz_convert("America/New_York")
    assert x.groupby([local.weekday, local.hour]).mean().abs().max() < 1e-12


def test_a_series_of_one_value_or_few_hours_has_a_season():
    prices = mock_prices(days=2)
    assert (calibrate_season(prices[:5]).remove(prices).notna()).all()
    prices["price"] = 7.0
    season = calibrate_season(prices)
    assert (season.restore(np.zeros((2, 48)), prices.index) == 7).all()


def test_what_has_no_season_is_refused():
    prices = mock_prices(days=2)
    with pytest.raises(DataError, match="as many times as steps, got 48"):
        calibrate_season(prices).restore(np.zeros((2, 24)), prices.index)
    prices["price"] = np.nan
    with pytest.raises(DataError, match="all NaN"):
        calibrate_season(prices)


def test_simulated_prices_of_a_real_market_have_its_median_and_spread(data_dir):
    from gridlab.sources import read_prices

    prices = read_prices(data_dir / "epf" / "NP.csv")[24 * 728 : 24 * 900]
    season = calibrate_season(prices)
    x = season.remove(prices)
    params = calibrate_regimes(x, n_starts=4, rng=_rng())
    paths = simulate_regimes(params, start=x.iloc[-1], n_steps=24 * 28, n_paths=300, rng=_rng())
    drawn = season.restore(paths, prices.index[: 24 * 28])[:, 24 * 14 :]
    real = prices["price"]
    assert np.median(drawn) == pytest.approx(real.median(), abs=0.25 * real.std())
    low, high = np.quantile(drawn, [0.1, 0.9])
    assert high - low == pytest.approx(np.subtract(*np.quantile(real, [0.9, 0.1])), rel=0.5)


# blocks of days


def _days(n=60):
    return np.arange(n * 24.0).reshape(n, 24)


@pytest.mark.parametrize("kind", ["stationary", "circular"])
def test_blocks_are_runs_of_consecutive_days(kind):
    params = scenarios.BlockParams(_days(), block_days=5, kind=kind, left_out=0)
    paths = scenarios.simulate_block_bootstrap(params, n_days=400, n_paths=50, rng=_rng()).reshape(50, 400, 24)
    assert (paths - paths[..., :1] == np.arange(24)).all()
    row = (paths[..., 0] / 24).astype(int)
    goes_on = np.diff(row, axis=1) % 60 == 1
    if kind == "circular":
        assert goes_on[:, np.arange(1, 400) % 5 != 0].all()
    assert goes_on.mean() == pytest.approx(0.8 + 0.2 / 60, abs=0.01)
    assert np.bincount(row.ravel(), minlength=60) == pytest.approx(400 * 50 / 60, rel=0.35)


def test_a_block_of_a_day_is_the_residual_bootstrap():
    past = scenarios.calibrate_bootstrap(mock_forecast(days=9), mock_prices(days=9))
    params = scenarios.calibrate_block_bootstrap(mock_forecast(days=9), mock_prices(days=9), block_days=1)
    paths = scenarios.simulate_block_bootstrap(params, np.full(48, 30.0), n_days=2, n_paths=40, rng=_rng())
    for half in np.concatenate([paths[:, :24], paths[:, 24:]]):
        assert np.isclose(half - 30, past.residuals).all(axis=1).any()


def test_long_blocks_keep_the_dependence_from_day_to_day():
    level, rng = np.zeros(2000), _rng()
    for day in range(1, 2000):
        level[day] = 0.8 * level[day - 1] + rng.normal()
    days = level[:, None] + rng.normal(0, 0.1, (2000, 24))
    for block, low, high in ((1, -0.1, 0.1), (20, 0.6, 0.85)):
        params = scenarios.BlockParams(days, block_days=block, kind="stationary", left_out=0)
        paths = scenarios.simulate_block_bootstrap(params, n_days=2, n_paths=3000, rng=_rng(1))
        assert low < np.corrcoef(paths[:, :24].mean(axis=1), paths[:, 24:].mean(axis=1))[0, 1] < high


def test_the_length_of_a_block_is_chosen_by_the_rule_of_patton_politis_and_white():
    from arch.bootstrap import optimal_block_length

    forecast, prices = mock_forecast(days=80), mock_prices(days=80)
    drift = np.repeat(np.cumsum(_rng().normal(0, 6, 80)), 24)
    prices["price"] += drift
    params = scenarios.calibrate_block_bootstrap(forecast, prices)
    assert params.block_days == optimal_block_length(params.days.mean(axis=1))["stationary"].iloc[0] > 3


def test_days_of_prices_are_drawn_as_they_were():
    prices = mock_prices(days=30)
    prices.iloc[50, 0] = np.nan
    params = scenarios.calibrate_price_blocks(prices, block_days=7)
    assert params.days.shape == (29, 24)
    assert params.left_out == 1
    path = scenarios.simulate_block_bootstrap(params, n_days=3, n_paths=1, rng=_rng())[0]
    assert np.isin(path, prices["price"]).all()


def test_blocks_that_cannot_be_drawn_are_refused():
    forecast, prices = mock_forecast(days=5), mock_prices(days=5)
    with pytest.raises(DataError, match="10 days to be chosen from, got 5"):
        scenarios.calibrate_block_bootstrap(forecast, prices)
    with pytest.raises(DataError, match=r"block_days must be at least 1 and finite, got 0\.5"):
        scenarios.calibrate_block_bootstrap(forecast, prices, block_days=0.5)
    with pytest.raises(DataError, match="kind must be"):
        scenarios.calibrate_block_bootstrap(forecast, prices, block_days=2, kind="moving")
    params = scenarios.calibrate_block_bootstrap(forecast, prices, block_days=2)
    with pytest.raises(DataError, match=r"mean must have shape \(48,\)"):
        scenarios.simulate_block_bootstrap(params, np.zeros(24), n_days=2, n_paths=1, rng=_rng())
    with pytest.raises(DataError, match="n_days and n_paths"):
        scenarios.simulate_block_bootstrap(params, n_days=0, n_paths=1, rng=_rng())
    prices["price"] = np.nan
    with pytest.raises(DataError, match="a gap touches each of the 5 days"):
        scenarios.calibrate_price_blocks(prices)


def test_errors_that_never_change_are_drawn_a_day_at_a_time():
    forecast, prices = mock_forecast(days=20), mock_prices(days=20)
    prices["price"] = forecast["mean"].to_numpy() + 3
    assert scenarios.calibrate_block_bootstrap(forecast, prices).block_days == 1


# margins and the copula


rising = st.lists(st.floats(-200, 3000), min_size=3, max_size=3).map(sorted)


@given(quantiles=rising, share=st.floats(0.001, 0.999))
def test_the_distribution_function_undoes_the_quantile_function(quantiles, share):
    row, probabilities = np.array([quantiles]), np.array([0.1, 0.5, 0.9])
    value = values_at([[share]], row, probabilities)
    if np.diff(quantiles).min() > 1e-3:
        assert shares_at(value[0], row, probabilities)[0] == pytest.approx(share, abs=1e-6)
    assert (np.diff(values_at(np.linspace(0.001, 0.999, 99)[:, None], row, probabilities)[:, 0]) >= 0).all()


def test_the_density_is_continuous_at_the_outermost_quantiles():
    row, probabilities, h = np.array([[10.0, 20.0, 50.0]]), np.array([0.1, 0.5, 0.9]), 1e-6
    for edge in (0.1, 0.9):
        at = values_at([[edge - h], [edge], [edge + h]], row, probabilities)[:, 0]
        assert np.diff(at)[0] == pytest.approx(np.diff(at)[1], rel=1e-4)


def test_a_value_that_several_quantiles_share_has_the_middle_of_their_probabilities():
    row, probabilities = np.array([[0.0, 0.0, 0.0, 5.0]] * 4), np.array([0.1, 0.3, 0.5, 0.9])
    assert shares_at([0.0, -1.0, 5.0, np.nan], row, probabilities)[:3] == pytest.approx([0.3, 0.0, 0.9])
    assert np.isnan(shares_at([0.0, -1.0, 5.0, np.nan], row, probabilities)[3])


def _calibrated(correlation, days, seed=0):
    """A forecast that is right about its margins, and prices whose normal scores have a correlation."""
    n_steps, rng = len(correlation), _rng(seed)
    forecast = mock_forecast(days=days, freq=f"{24 // n_steps}h")
    probabilities = (0.05, 0.25, 0.5, 0.75, 0.95)
    level = rng.normal(40, 10, len(forecast))
    table = pd.DataFrame({"mean": level}, index=forecast.index)
    for p in probabilities:
        table[f"q{round(100 * p):02d}"] = level + 12 * norm.ppf(p)
    scores = rng.multivariate_normal(np.zeros(n_steps), correlation, size=days).ravel()
    prices = pd.DataFrame({"price": level + 12 * scores}, index=mock_prices(days, freq=f"{24 // n_steps}h").index)
    return table, prices


FOUR = 0.7 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))


def test_the_copula_recovers_the_correlation_within_its_standard_errors():
    within, estimates = [], []
    for seed in range(30):
        params = scenarios.calibrate_copula(*_calibrated(FOUR, 400, seed))
        pairs = np.triu_indices(4, 1)
        estimates.append(params.correlation[pairs])
        within.append(np.abs(params.correlation - FOUR)[pairs] <= 2 * params.errors[pairs])
    assert np.mean(estimates, axis=0) == pytest.approx(FOUR[pairs], abs=0.03)
    assert np.mean(within) > 0.88
    assert len(params.table()) == 6
    assert params.table().loc[(0, 1), "estimate"] == params.correlation[0, 1]


def test_the_margins_of_many_draws_are_the_forecasts_quantiles():
    table, prices = _calibrated(FOUR, 60)
    params = scenarios.calibrate_copula(table, prices)
    day = table.xs(table.index[0][0], level="origin")
    paths = scenarios.simulate_copula(params, day, n_paths=40_000, rng=_rng(5))
    quantiles, probabilities = margins_of(day)
    drawn = np.quantile(paths, probabilities, axis=0).T
    assert drawn == pytest.approx(quantiles, abs=0.5)
    for path, row in zip(paths.T, quantiles, strict=True):
        assert kstest(shares_at(path, np.tile(row, (len(path), 1)), probabilities), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("correlation", [np.ones((4, 4)), np.eye(4), FOUR])
def test_draws_have_the_copulas_correlation_from_independent_to_comonotone(correlation):
    params = scenarios.CopulaParams(correlation, np.zeros((4, 4)), 100, 0)
    day = _calibrated(FOUR, 1)[0]
    paths = scenarios.simulate_copula(params, day, n_paths=20_000, rng=_rng())
    expected = 6 / np.pi * np.arcsin(correlation / 2)  # Spearman's, of a Gaussian copula
    assert spearmanr(paths).statistic == pytest.approx(expected, abs=0.03)


def test_errors_that_move_as_one_or_apart_are_found_to_do_so():
    for correlation in (0.999 * np.ones((4, 4)) + 0.001 * np.eye(4), np.eye(4)):
        found = scenarios.calibrate_copula(*_calibrated(correlation, 500)).correlation
        assert found == pytest.approx(correlation, abs=0.1)


def test_a_biased_forecast_has_the_dependence_of_an_unbiased_one():
    table, prices = _calibrated(FOUR, 300)
    plain = scenarios.calibrate_copula(table, prices).correlation
    assert scenarios.calibrate_copula(table - 8, prices).correlation == pytest.approx(plain, abs=0.05)


def test_quantiles_that_cross_are_put_in_order():
    table, prices = _calibrated(FOUR, 40)
    crossed = table.rename(columns={"q05": "q95", "q95": "q05"})
    one, two = (scenarios.calibrate_copula(t, prices).correlation for t in (table, crossed))
    assert (one == two).all()


def test_a_correlation_of_more_leads_than_days_can_be_drawn_from():
    params = scenarios.calibrate_copula(mock_forecast(days=12), mock_prices(days=12))
    assert np.linalg.eigvalsh(params.correlation).min() > 0
    assert (np.diag(params.correlation) == 1).all()


def test_what_the_copula_cannot_use_is_refused():
    table, prices = _calibrated(FOUR, 40)
    with pytest.raises(DataError, match="no quantile columns, and a margin needs two: roll it with"):
        scenarios.calibrate_copula(table[["mean"]], prices)
    with pytest.raises(DataError, match="at least 10 whole days, got 9"):
        scenarios.calibrate_copula(table[: 4 * 9], prices)
    params = scenarios.calibrate_copula(table, prices)
    with pytest.raises(DataError, match="4 rows, as the past ones have, got 3"):
        scenarios.simulate_copula(params, table[:3], n_paths=1, rng=_rng())
    with pytest.raises(DataError, match="NaN or infinite"):
        scenarios.simulate_copula(params, table[:4] * np.nan, n_paths=1, rng=_rng())
    with pytest.raises(DataError, match="n_paths"):
        scenarios.simulate_copula(params, table[:4], n_paths=0, rng=_rng())


# reduction


def _distance(paths, weights, kept):
    apart = np.linalg.norm(paths[:, None] - paths[None, list(kept)], axis=2)
    return weights @ apart.min(axis=1)


clouds = st.integers(0, 10_000).map(
    lambda seed: (_rng(seed).standard_t(3, (int(_rng(seed).integers(4, 14)), 3)), _rng(seed + 1).dirichlet(np.ones(14)))
)


@given(cloud=clouds)
def test_one_scenario_is_the_best_one(cloud):
    paths, weights = cloud[0], cloud[1][: len(cloud[0])] / cloud[1][: len(cloud[0])].sum()
    kept = scenarios.reduce(paths, 1, weights=weights)
    assert kept.distance == pytest.approx(min(_distance(paths, weights, [j]) for j in range(len(paths))))
    assert kept.weights == pytest.approx([1])


@given(cloud=clouds)
def test_each_scenario_added_is_the_best_to_add_and_weights_go_to_the_nearest(cloud):
    paths, weights = cloud[0], cloud[1][: len(cloud[0])] / cloud[1][: len(cloud[0])].sum()
    kept = scenarios.reduce(paths, 3, weights=weights)
    for k in range(3):
        before = list(kept.chosen[:k])
        others = [j for j in range(len(paths)) if j not in before]
        best = min(_distance(paths, weights, [*before, j]) for j in others)
        assert _distance(paths, weights, kept.chosen[: k + 1]) == pytest.approx(best)
    assert kept.distance == pytest.approx(_distance(paths, weights, kept.chosen))
    nearest = np.linalg.norm(paths[:, None] - kept.paths[None], axis=2).argmin(axis=1)
    assert kept.weights == pytest.approx([weights[nearest == k].sum() for k in range(3)])
    assert kept.weights.sum() == pytest.approx(1)


@given(cloud=clouds)
def test_keeping_all_changes_nothing(cloud):
    paths, weights = cloud[0], cloud[1][: len(cloud[0])] / cloud[1][: len(cloud[0])].sum()
    kept = scenarios.reduce(paths, len(paths), weights=weights)
    assert sorted(kept.chosen) == list(range(len(paths)))
    assert (kept.paths == paths[kept.chosen]).all()
    assert kept.weights == pytest.approx(weights[kept.chosen])
    assert kept.distance == 0


def test_the_reduced_set_is_nearer_than_any_random_one_and_near_the_best():
    for seed in range(10):
        rng = _rng(seed)
        paths, weights = np.cumsum(rng.standard_t(3, (60, 24)), axis=1), rng.dirichlet(np.ones(60))
        kept = scenarios.reduce(paths, 6, weights=weights)
        randoms = [_distance(paths, weights, rng.choice(60, 6, replace=False)) for _ in range(200)]
        assert kept.distance <= min(randoms)
    few = paths[:12]
    best = min(_distance(few, np.full(12, 1 / 12), subset) for subset in combinations(range(12), 3))
    assert scenarios.reduce(few, 3).distance <= 1.15 * best


def test_doubles_are_kept_once_each():
    kept = scenarios.reduce(np.zeros((4, 2)), 3)
    assert len(set(kept.chosen)) == 3
    assert kept.weights.sum() == pytest.approx(1)


def test_several_series_are_reduced_as_one():
    paths = _rng().normal(size=(20, 24, 3))
    kept = scenarios.reduce(paths, 4)
    assert kept.paths.shape == (4, 24, 3)
    assert (kept.chosen == scenarios.reduce(paths.reshape(20, 72), 4).chosen).all()


def test_what_cannot_be_reduced_is_refused():
    paths = np.zeros((3, 2))
    with pytest.raises(DataError, match="n_keep must be from 1 to the 3 paths, got 4"):
        scenarios.reduce(paths, 4)
    with pytest.raises(DataError, match=r"the sum 0\.9"):
        scenarios.reduce(paths, 1, weights=[0.3, 0.3, 0.3])
    with pytest.raises(DataError, match=r"a least one of -0\.5"):
        scenarios.reduce(paths, 1, weights=[-0.5, 0.5, 1.0])
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        scenarios.reduce(paths, 1, weights=[1.0])
    with pytest.raises(DataError, match="only finite ones"):
        scenarios.reduce(paths * np.nan, 1)


# stress


@pytest.mark.parametrize("shock", list(scenarios.SHOCKS))
@given(at=st.integers(0, 29), duration=st.integers(1, 40), size=st.floats(0.1, 50))
@settings(max_examples=15)
def test_a_shock_touches_only_its_own_steps_and_not_the_paths_given(shock, at, duration, size):
    paths = _rng().normal(30, 20, (5, 30))
    before = paths.copy()
    shocked = scenarios.stress(paths, shock, at=at, size=size, duration=duration)
    outside = np.r_[0:at, min(at + duration, 30) : 30]
    assert (shocked[:, outside] == before[:, outside]).all()
    assert (paths == before).all()
    assert shocked.shape == paths.shape


def test_shocks_do_what_their_names_say():
    paths = _rng().normal(30, 20, (50, 200))
    stress = scenarios.stress
    assert stress(paths, "spike", at=5, size=10)[:, 5:8].mean() == pytest.approx(10 * 30, rel=0.15)
    assert (stress(paths, "spike", at=5, size=1) == paths).all()
    assert stress(paths, "crash", at=11, size=40)[:, 11:16].max() == -40
    assert (stress(paths, "scarcity", at=8, size=500) - paths)[:, 8:176] == pytest.approx(500)
    assert (stress(paths, "scarcity", at=8, size=500) == paths)[:, 176:].all()
    assert (stress(paths, "hash_jump", at=100, size=0.5)[:, 100:] == 0.5 * paths[:, 100:]).all()


def test_a_shock_that_cannot_be_is_refused():
    paths = np.ones((2, 4))
    with pytest.raises(DataError, match="did you mean 'spike'"):
        scenarios.stress(paths, "spke", at=0, size=2)
    with pytest.raises(DataError, match="at must be one of the 4 steps, 0 to 3, got 4"):
        scenarios.stress(paths, "spike", at=4, size=2)
    with pytest.raises(DataError, match="size must be positive and finite, got -2"):
        scenarios.stress(paths, "crash", at=0, size=-2)
    with pytest.raises(DataError, match="duration"):
        scenarios.stress(paths, "crash", at=0, size=2, duration=0)
    with pytest.raises(DataError, match=r"shape \(n_paths, n_steps\)"):
        scenarios.stress(np.ones(4), "crash", at=0, size=2)


# what the planner is given


PROCESSES = ["bootstrap", "copula"]


def _window(forecast, start, n_steps=24):
    table = forecast.droplevel("origin")
    return table.loc[pd.Timestamp(start, tz="UTC") :][:n_steps]


def _sampler(process, forecast, prices, seed=0, n_paths=50, **options):
    return scenarios.sampler(process, forecast, prices, n_paths=n_paths, rng=_rng(seed), **options)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("start", ["2024-02-10", "2024-02-10T17:00"])
def test_scenarios_do_not_depend_on_anything_that_comes_later(process, start):
    forecast, prices = mock_forecast(days=60), mock_prices(days=60)
    window = _window(forecast, start, 30)
    later_prices, later_forecast = prices.copy(), forecast.copy()
    is_later = later_prices.index >= pd.Timestamp(start, tz="UTC")
    later_prices.loc[is_later, "price"] = _rng(9).normal(500, 300, int(is_later.sum()))
    still_open = later_forecast.index.get_level_values("origin") >= pd.Timestamp(start[:10], tz="UTC")
    later_forecast.loc[still_open] = _rng(8).normal(500, 300, (int(still_open.sum()), 4))
    one = _sampler(process, forecast, prices, n_keep=5)(window)
    two = _sampler(process, later_forecast, later_prices, n_keep=5)(window)
    three = _sampler(process, forecast, prices[: np.argmax(is_later)], n_keep=5)(window)
    for paths, weights in (two, three):
        assert (paths == one[0]).all()
        assert (weights == one[1]).all()


@pytest.mark.parametrize("process", PROCESSES)
def test_scenarios_do_depend_on_the_day_before(process):
    forecast, prices = mock_forecast(days=60), mock_prices(days=60)
    window = _window(forecast, "2024-02-10")
    other = prices.copy()
    other.loc["2024-02-09", "price"] = 700 + np.arange(24)
    one, two = (_sampler(process, forecast, table, n_paths=400)(window)[0] for table in (prices, other))
    assert not (one == two).all()


@pytest.mark.parametrize("process", PROCESSES)
def test_the_order_of_calls_does_not_matter(process):
    forecast, prices = mock_forecast(days=40), mock_prices(days=40)
    windows = [_window(forecast, f"2024-02-0{day}") for day in range(1, 6)]
    one, two = (_sampler(process, forecast, prices) for _ in range(2))
    forward = [one(window)[0] for window in windows]
    backward = [two(window)[0] for window in windows[::-1]][::-1]
    assert all((a == b).all() for a, b in zip(forward, backward, strict=True))


def test_each_window_has_draws_of_its_own():
    forecast, prices = mock_forecast(days=40), mock_prices(days=40)
    draw = _sampler("bootstrap", forecast, prices)
    windows = [_window(forecast, "2024-02-01T00:00", 24), _window(forecast, "2024-02-01T01:00", 23)]
    early, late = (draw(window)[0] - window["mean"].to_numpy() for window in windows)
    assert np.isclose(early[:, 1:], late).all(axis=1).mean() < 0.2


@pytest.mark.parametrize("start", ["2024-02-01", "2024-02-01T17:00"])
@pytest.mark.parametrize("n_steps", [1, 7, 24, 40, 72])
def test_bootstrapped_errors_are_those_of_the_same_hours_of_consecutive_days(start, n_steps):
    forecast, prices = mock_forecast(days=45), mock_prices(days=45)
    window = _window(forecast, start, n_steps)
    paths, weights = _sampler("bootstrap", forecast, prices)(window)
    errors = prices["price"].to_numpy() - forecast["mean"].to_numpy()
    hour, today = window.index[0].hour, 31
    n_days = (hour + n_steps - 1) // 24 + 1
    possible = np.stack([errors[24 * d + hour :][:n_steps] for d in range(today - n_days + 1)])
    drawn = paths - window["mean"].to_numpy()
    assert all(np.isclose(one, possible).all(axis=1).any() for one in drawn)
    assert weights == pytest.approx(1 / 50)


def test_copula_paths_have_the_windows_own_quantiles_and_the_pasts_dependence():
    table, prices = _calibrated(FOUR, 301)
    window = _window(table, table.index[-4][1].strftime("%Y-%m-%d"), 4)
    paths, _ = _sampler("copula", table, prices, n_paths=20_000)(window)
    quantiles, probabilities = margins_of(window)
    drawn = np.quantile(paths, probabilities, axis=0).T
    assert drawn == pytest.approx(quantiles, abs=0.8)
    past = scenarios.calibrate_copula(table[:-4], prices).correlation
    assert spearmanr(paths).statistic == pytest.approx(6 / np.pi * np.arcsin(past / 2), abs=0.02)


@pytest.mark.parametrize("process", PROCESSES)
def test_before_there_is_a_past_the_only_scenario_is_the_mean(process):
    forecast, prices = mock_forecast(days=20), mock_prices(days=20)
    for start, many in (("2024-01-01", False), ("2024-01-14", False), ("2024-01-15", True)):
        window = _window(forecast, start)
        paths, weights = _sampler(process, forecast, prices, least_days=14)(window)
        assert len(paths) == (50 if many else 1)
        assert weights.sum() == pytest.approx(1)
        if not many:
            assert (paths[0] == window["mean"].to_numpy()).all()


@pytest.mark.parametrize("process", PROCESSES)
def test_only_the_latest_days_are_used(process):
    forecast, prices = mock_forecast(days=60), mock_prices(days=60)
    other = prices.copy()
    other.iloc[: 24 * 20, 0] = 900
    window = _window(forecast, "2024-02-20")
    one, two = (_sampler(process, forecast, table, most_days=20)(window)[0] for table in (prices, other))
    assert (one == two).all()


@pytest.mark.parametrize("process", PROCESSES)
def test_paths_are_nan_where_the_market_is_closed(process):
    forecast, prices = mock_forecast(days=40), mock_prices(days=40)
    window = _window(forecast, "2024-02-05").copy()
    window.iloc[[2, 3]] = np.nan
    for n_keep in (None, 4):
        paths, weights = _sampler(process, forecast, prices, n_keep=n_keep)(window)
        assert np.isnan(paths[:, 2:4]).all()
        assert np.isfinite(np.delete(paths, [2, 3], axis=1)).all()
        assert weights.sum() == pytest.approx(1)
    paths, weights = _sampler(process, forecast, prices, n_keep=4)(window * np.nan)
    assert np.isnan(paths).all()
    assert weights.tolist() == [1]


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("date", ["2024-03-10", "2024-11-03"])
def test_days_of_23_and_25_hours_are_aligned_by_the_clock(process, date):
    market_tz = "America/Los_Angeles"
    times = pd.date_range("2024-01-01", "2024-11-20", freq="1h", tz=market_tz, inclusive="left").tz_convert("UTC")
    times.name = "time"
    local = times.tz_convert(market_tz)
    origins = local.normalize().tz_convert("UTC")
    mean = np.full(len(times), 30.0)
    table = pd.DataFrame({"mean": mean, "q10": mean - 9, "q90": mean + 9})
    table.index = pd.MultiIndex.from_arrays([origins, times], names=["origin", "time"])
    error = local.hour.to_numpy() + 100.0 * (_rng().integers(0, 2, 400)[local.dayofyear])
    prices = pd.DataFrame({"price": mean + error}, index=times)
    window = table.droplevel("origin")[
        (local >= date) & (local < pd.Timestamp(date, tz=market_tz) + pd.DateOffset(days=1))
    ]
    assert len(window) in (23, 25)
    paths, _ = _sampler(process, table, prices, market_tz=market_tz)(window)
    assert paths.shape == (50, len(window))
    if process == "bootstrap":
        hours = window.index.tz_convert(market_tz).hour.to_numpy()
        assert (np.isclose(paths - 30 - hours, 0) | np.isclose(paths - 30 - hours, 100)).all()


def test_a_forecast_that_runs_on_is_over_when_its_last_hour_is():
    prices = mock_prices(days=60)
    origins = prices.index[::48]
    index = pd.MultiIndex.from_arrays([np.repeat(origins, 48), prices.index], names=["origin", "time"])
    forecast = pd.DataFrame({"mean": np.zeros(len(prices))}, index=index)
    noise = prices.copy()
    noise.loc["2024-02-02", "price"] = 999  # its first day; the second is still to come on the third of February
    window = _window(forecast, "2024-02-03")
    assert index[24 * 32][0] == pd.Timestamp("2024-02-02", tz="UTC")
    one, two = (_sampler("bootstrap", forecast, table)(window)[0] for table in (prices, noise))
    assert (one == two).all()


def test_what_a_planner_cannot_be_given_is_refused():
    forecast, prices = mock_forecast(days=20), mock_prices(days=20)
    with pytest.raises(DataError, match="process must be one of bootstrap, copula, got 'magic'"):
        _sampler("magic", forecast, prices)
    with pytest.raises(DataError, match="n_paths must be at least 1, got 0"):
        _sampler("bootstrap", forecast, prices, n_paths=0)
    with pytest.raises(DataError, match="n_keep must be from 1 to the 50 paths, got 51"):
        _sampler("bootstrap", forecast, prices, n_keep=51)
    with pytest.raises(DataError, match="least_days"):
        _sampler("bootstrap", forecast, prices, least_days=0)
    with pytest.raises(DataError, match="no quantile columns"):
        _sampler("copula", forecast[["mean"]], prices)
    with pytest.raises(DataError, match="no time in common"):
        _sampler("bootstrap", forecast, mock_prices(days=5, start="2030-01-01"))
    twice = pd.concat([forecast, forecast.rename(index=lambda t: t + pd.Timedelta("1h"), level="origin")])
    with pytest.raises(DataError, match="several forecasts of 2024-01-01"):
        _sampler("bootstrap", twice, prices)
    draw = _sampler("bootstrap", forecast, prices)
    with pytest.raises(DataError, match="a column 'mean'"):
        draw(_window(forecast, "2024-01-20").drop(columns="mean"))
    with pytest.raises(DataError, match="rising UTC times"):
        draw(_window(forecast, "2024-01-20")[::-1])
