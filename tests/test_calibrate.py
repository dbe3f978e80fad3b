import pickle

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from gridlab.errors import DataError
from gridlab.forecast.calibrate import CALIBRATIONS, Calibration, bootstrap_errors, disagreement
from gridlab.forecast.calibrate.isotonic import isotonic_quantiles
from gridlab.forecast.calibrate.levels import PERCENTILES, read
from gridlab.forecast.calibrate.scale import ErrorScale
from gridlab.forecast.calibrate.shapes import smoothed_quantile_regression

seeds = st.integers(0, 2**32 - 1)


def market(seed, n_days=90, n_slots=24, n_experts=3, volatility=None):
    """Forecasts, their experts and prices; the volatility of each day may be given."""
    rng = np.random.default_rng(seed)
    mean = 30 + 10 * np.sin(np.arange(n_slots) / 4) + rng.normal(0, 5, (n_days, 1))
    volatility = np.ones(n_days) if volatility is None else volatility
    size = volatility[:, None] * (1 + np.arange(n_slots) / n_slots)
    experts = mean[:, :, None] + size[:, :, None] * rng.normal(0, 0.5, (n_days, n_slots, n_experts))
    return mean, experts, mean + size * rng.normal(0, 2, (n_days, n_slots))


def rolled(calibration, mean, experts, actual, quantiles, first=60):
    """Bands of the days from `first` on, each made before its day is observed."""
    bands = []
    for day in range(len(mean)):
        if day >= first:
            bands.append(calibration.bands(mean[day], experts[day], quantiles))
        calibration.observe(mean[day], experts[day], actual[day])
    return np.array(bands)


@pytest.mark.parametrize("name", CALIBRATIONS)
@settings(max_examples=3, phases=[Phase.generate])
@given(seed=seeds)
def test_quantiles_do_not_cross_and_each_has_the_same_value_whatever_others_are_asked_for(name, seed):
    mean, experts, actual = market(seed, 70)
    calibration = CALIBRATIONS[name]()
    rolled(calibration, mean, experts, actual, (0.5,), first=69)
    levels = np.array([0.0005, 0.005, *PERCENTILES, 0.995, 0.9995])
    bands = calibration.bands(mean[0], experts[0], levels)
    assert np.isfinite(bands).all()
    assert (np.diff(bands, axis=1) >= -1e-9).all()
    assert (calibration.bands(mean[0], experts[0], (0.9, 0.1)) == bands[:, [91, 11]]).all()


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_bands_follow_the_currency_and_the_level_of_prices(name):
    mean, experts, actual = market(1)
    plain = rolled(CALIBRATIONS[name](), mean, experts, actual, (0.1, 0.5, 0.9), first=80)
    scaled = rolled(CALIBRATIONS[name](), 100 * mean, 100 * experts, 100 * actual, (0.1, 0.5, 0.9), first=80)
    shifted = rolled(CALIBRATIONS[name](), mean - 50, experts - 50, actual - 50, (0.1, 0.5, 0.9), first=80)
    assert scaled == pytest.approx(100 * plain, rel=1e-6)
    assert shifted == pytest.approx(plain - 50, rel=1e-6)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_the_bands_of_a_day_do_not_depend_on_what_came_that_day_or_later(name):
    mean, experts, actual = market(2, 66)
    changed = actual.copy()
    changed[64:] = 1e4
    before = rolled(CALIBRATIONS[name](), mean, experts, actual, (0.1, 0.9))
    after = rolled(CALIBRATIONS[name](), mean, experts, changed, (0.1, 0.9))
    assert (before[:5] == after[:5]).all()
    assert (before[5] != after[5]).any()


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_independent_normal_errors_are_covered_at_every_level(name):
    mean, experts, actual = market(3, 200)
    bands = rolled(CALIBRATIONS[name](), mean, experts, actual, (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95), first=100)
    share = (actual[100:, :, None] <= bands).mean(axis=(0, 1))
    assert share == pytest.approx([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95], abs=0.025)


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("n_slots", [1, 48])
def test_every_number_of_slots_has_bands(name, n_slots):
    mean, experts, actual = market(4, 70, n_slots)
    bands = rolled(CALIBRATIONS[name](), mean, experts, actual, (0.1, 0.9))
    assert bands.shape == (10, n_slots, 2)
    assert (bands[:, :, 0] < bands[:, :, 1]).all()


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_constant_prices_spikes_and_missing_experts_and_days_leave_bands_finite(name):
    mean, experts, actual = market(5, 80)
    mean[:30], experts[:30], actual[:30] = 30.0, 30.0, 30.0
    experts[40:50, :, 0] = np.nan
    actual[45, 3], actual[50] = np.nan, 3000.0
    bands = rolled(CALIBRATIONS[name](), mean, experts, actual, (0.01, 0.5, 0.99), first=7)
    assert np.isfinite(bands).all()
    assert (np.diff(bands, axis=2) >= 0).all()


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_pickled_calibration_goes_on_as_the_original(name):
    mean, experts, actual = market(6, 70)
    calibration = CALIBRATIONS[name]()
    rolled(calibration, mean[:62], experts[:62], actual[:62], (0.5,))
    copy = pickle.loads(pickle.dumps(calibration))
    rest = mean[62:], experts[62:], actual[62:]
    assert (rolled(copy, *rest, (0.1, 0.9), 0) == rolled(calibration, *rest, (0.1, 0.9), 0)).all()


@settings(max_examples=10)
@given(seed=seeds, kind=st.sampled_from(["jumps", "sides", "drift"]))
def test_the_adaptive_rate_keeps_its_bound_on_any_sequence(seed, kind):
    """Gibbs and Candes, Proposition 4.1: the miss of each level's coverage is its move over the rate times the days."""
    rng, n_days = np.random.default_rng(seed), 250
    mean, experts = np.full((n_days, 2), 30.0), np.full((n_days, 2, 2), 30.0)
    noise = rng.uniform(-1, 1, (n_days, 2))
    shape = {
        "jumps": noise * np.where(rng.random((n_days, 1)) < 0.1, 10, 1),
        "sides": noise + 5 * (np.arange(n_days)[:, None] // 50 % 2),
        "drift": noise + np.arange(n_days)[:, None] / 50,
    }
    actual = mean + shape[kind]
    rate = 0.05
    calibration = Calibration(scaled=False, rate=rate, window_days=50)
    below, start = [], None
    for day in range(n_days):
        if day >= 60:
            start = calibration._levels.copy() if start is None else start
            scale = np.ones(2)
            below.append((actual[day] - mean[day])[:, None] <= calibration._adapted(mean[day], experts[day], scale))
        calibration.observe(mean[day], experts[day], actual[day])
    moved = np.abs(calibration._levels - start) / (rate * len(below))
    assert (np.abs(np.mean(below, axis=0) - PERCENTILES) <= moved + 1e-9).all()
    assert (np.abs(calibration._levels - PERCENTILES) < 1.2).all()


def test_after_a_change_of_regime_adaptive_bands_cover_again_where_split_ones_do_not():
    volatility = np.where(np.arange(330) < 150, 1.0, 4.0)
    mean, experts, actual = market(7, 330, 4, volatility=volatility)
    experts = np.repeat(mean[:, :, None], 2, axis=2)

    def coverage(name, **parameters):
        calibration = CALIBRATIONS[name](**parameters)
        bands = rolled(calibration, mean, experts, actual, (0.1, 0.9), first=210)
        return ((bands[:, :, 0] <= actual[210:]) & (actual[210:] <= bands[:, :, 1])).mean()

    assert coverage("split") < 0.7
    assert coverage("adaptive") == pytest.approx(0.8, abs=0.03)
    assert coverage("average") == pytest.approx(0.8, abs=0.03)


def test_days_on_which_experts_disagree_have_wider_bands():
    volatility = np.where(np.arange(120) % 2, 1.0, 3.0)
    mean, experts, actual = market(8, 120, volatility=volatility)
    bands = rolled(CALIBRATIONS["normalised"](), mean, experts, actual, (0.1, 0.9), first=80)
    width = (bands[:, :, 1] - bands[:, :, 0]).mean(axis=1)
    assert width[::2].min() > 1.3 * width[1::2].max()


def test_a_spread_that_is_given_divides_the_errors():
    mean, experts, actual = market(9, 100)
    calibration = Calibration(scaled=False, rate=0.0)
    spread = np.linspace(1.0, 2.0, 24)
    for day in range(100):
        calibration.observe(mean[day], experts[day], actual[day], spread)
    single = calibration.bands(mean[0], experts[0], (0.9,), spread)[:, 0] - mean[0]
    double = calibration.bands(mean[0], experts[0], (0.9,), 2 * spread)[:, 0] - mean[0]
    assert double == pytest.approx(2 * single)


def test_residual_quantiles_are_those_of_the_slot_and_its_neighbours_at_the_conformal_rank():
    mean, experts, actual = market(10, 33)
    calibration = CALIBRATIONS["split"]()
    rolled(calibration, mean, experts, actual, (0.5,), first=33)
    errors = np.sort((actual - mean)[:, 4:7].ravel())
    rank = 0.9 * (len(errors) + 1)
    expected = errors[int(rank) - 1] + (rank % 1) * (errors[int(rank)] - errors[int(rank) - 1])
    assert calibration.bands(mean[0], experts[0], (0.9,))[5, 0] == pytest.approx(mean[0, 5] + expected)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_smoothed_quantile_regression_has_nearly_the_check_loss_of_statsmodels(level):
    from statsmodels.api import QuantReg

    rng = np.random.default_rng(11)
    X = np.column_stack([np.ones(2000), rng.normal(0, 1, (2000, 3))])
    y = X @ [1.0, 0.5, -0.5, 0.0] + (1 + 0.5 * np.abs(X[:, 1])) * rng.standard_t(4, 2000)

    def loss(coefficients):
        error = y - X @ coefficients
        return np.maximum(level * error, (level - 1) * error).mean()

    judge = QuantReg(y, X).fit(level).params
    assert loss(smoothed_quantile_regression(X, y, np.array([level]), ridge_rows=0.0)[0]) <= 1.002 * loss(judge)


@settings(max_examples=15)
@given(seed=seeds, n_rows=st.integers(2, 60), ties=st.booleans())
def test_isotonic_quantiles_are_those_of_isotonic_regressions_at_every_threshold(seed, n_rows, ties):
    rng = np.random.default_rng(seed)
    covariate = rng.integers(0, 9, n_rows).astype(float) if ties else rng.normal(size=n_rows)
    y = covariate + rng.normal(size=n_rows)
    knots, quantiles = isotonic_quantiles(covariate, y, np.array([0.1, 0.5, 0.9]))
    thresholds = np.sort(y)
    cdf = np.array(
        [IsotonicRegression(increasing=False).fit(covariate, (y <= t).astype(float)).predict(knots) for t in thresholds]
    )
    for column, level in enumerate((0.1, 0.5, 0.9)):
        expected = [thresholds[np.argmax(cdf[:, knot] >= level - 1e-9)] for knot in range(len(knots))]
        assert quantiles[:, column] == pytest.approx(expected)
    assert (np.diff(quantiles, axis=0) >= 0).all()


@given(level=st.floats(-0.5, 1.5), other=st.floats(-0.5, 1.5))
def test_levels_are_read_in_order_also_beyond_the_percentiles(level, other):
    table = norm.ppf(PERCENTILES)[None]
    low, high = read(table, np.array([min(level, other), max(level, other)]))[0]
    assert low < high or abs(level - other) < 1e-9


def test_a_normal_distribution_is_read_between_its_percentiles_and_an_exponential_one_in_its_tail():
    assert read(norm.ppf(PERCENTILES)[None], np.array([0.315]))[0, 0] == pytest.approx(norm.ppf(0.315), abs=1e-3)
    exponential = -np.log(1 - PERCENTILES)[None]
    assert read(exponential, np.array([0.995]))[0, 0] == pytest.approx(-np.log(0.005))


def test_the_scale_finds_exponents_that_made_the_errors():
    rng = np.random.default_rng(12)
    measures = rng.normal(0, 1, (20_000, 8))
    exponents = np.array([0.6, 0.0, 0.2, 0.0, 0.0, -0.3, 0.0, 0.0])
    error = np.exp(0.5 + measures @ exponents) * np.abs(rng.laplace(size=20_000))
    scale = ErrorScale(24)
    scale.fit(measures, error)
    found = np.log(scale.relative(np.eye(8))) - np.log(scale.relative(np.zeros(8)))
    assert found == pytest.approx(exponents, abs=0.04)


def test_without_errors_the_scale_keeps_near_the_exponents_of_its_prior():
    scale = ErrorScale(24)
    before = scale.relative(np.eye(8)) / scale.relative(np.zeros(8))
    scale.fit(np.random.default_rng(14).normal(0, 1, (1, 8)), np.array([3.0]))
    assert scale.relative(np.eye(8)) / scale.relative(np.zeros(8)) == pytest.approx(before, abs=0.1)


def test_every_slot_of_an_hour_enters_its_residual_quantiles():
    rng = np.random.default_rng(15)
    mean, experts = np.full((120, 48), 30.0), np.full((120, 48, 2), 30.0)
    actual = mean + rng.normal(0, 1, (120, 48)) * np.where(np.arange(48) % 2, 5.0, 1.0)
    bands = rolled(CALIBRATIONS["split"](), mean, experts, actual, (0.1, 0.9))
    inside = (bands[:, :, 0] <= actual[60:]) & (actual[60:] <= bands[:, :, 1])
    assert inside.mean() == pytest.approx(0.8, abs=0.02)


@given(seed=seeds, n_days=st.integers(1, 20))
def test_bootstrapped_paths_are_whole_days_in_blocks_that_follow_one_another(seed, n_days):
    errors = np.arange(30.0)[:, None] + np.array([0.0, 0.25])
    paths = bootstrap_errors(errors, n_paths=5, n_days=n_days, block_days=4, rng=np.random.default_rng(seed))
    assert paths.shape == (5, n_days, 2)
    assert (paths[:, :, 1] - paths[:, :, 0] == 0.25).all()
    step = np.diff(paths[:, :, 0], axis=1) % 30
    assert (np.delete(step, np.arange(3, n_days - 1, 4), axis=1) == 1).all()


def test_the_disagreement_is_the_standard_deviation_between_those_present():
    experts = np.random.default_rng(13).normal(size=(5, 4))
    experts[2, 1] = np.nan
    assert disagreement(experts) == pytest.approx(np.nanstd(experts, axis=1))


def test_bad_input_is_refused_with_the_remedy():
    with pytest.raises(DataError, match="shapes must be some of split, qra, idr, got"):
        Calibration(("quantile",))
    with pytest.raises(DataError, match="bands need 7 observed days, got 0: observe more days first"):
        Calibration().bands(np.ones(24), np.ones((24, 2)), (0.5,))
    with pytest.raises(DataError, match="errors need whole days without NaN"):
        bootstrap_errors(np.array([[np.nan]]), n_paths=2, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="quantiles must lie in"):
        Calibration().bands(np.ones(24), np.ones((24, 2)), (0.5, 1.0))
