"""Price processes: what each recovers, refuses and simulates, against the slow and obvious version."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gridlab import scenarios as sc
from gridlab.errors import DataError
from gridlab.scenarios import densities, likelihood
from gridlab.schema import mock_prices, mock_times

OU = sc.OUParams(30.0, 0.3, 4.0, 1.0)
GBM = sc.GBMParams(0.0005, 0.02, 1.0)
MERTON = sc.MertonParams(0.002, 0.02, 0.05, 0.03, 0.12, 1.0)
KOU = sc.KouParams(0.001, 0.02, 0.08, 0.6, 0.1, 0.06, 1.0)
SEASON = sc.calibrate_season(mock_prices(days=28))
MRJD = sc.MRJDParams(0.1, 0.1, 0.1, 0.04, 0.2, 0.5, 1.0, SEASON)


def rng(seed=0):
    return np.random.default_rng(seed)


def one_path(simulate, params, n_steps, seed=0, start=30.0):
    return simulate(params, start=start, n_steps=n_steps, n_paths=1, rng=rng(seed))[0]


def prices_of(params, n_steps, seed=0, freq="1h"):
    times = pd.date_range("2023-01-02", periods=n_steps, freq=freq, tz="UTC", name="time")
    price = sc.simulate_mrjd(params, start=30.0, times=times, n_paths=1, rng=rng(seed))[0]
    return pd.DataFrame({"price": price}, index=times)


FITS = {
    "ou": lambda seed: (OU, sc.calibrate_ou(one_path(sc.simulate_ou, OU, 2000, seed), dt=1.0)),
    "gbm": lambda seed: (GBM, sc.calibrate_gbm(one_path(sc.simulate_gbm, GBM, 2000, seed), dt=1.0)),
    "merton": lambda seed: (MERTON, sc.calibrate_merton(one_path(sc.simulate_merton, MERTON, 3000, seed), dt=1.0)),
    "kou": lambda seed: (KOU, sc.calibrate_kou(one_path(sc.simulate_kou, KOU, 1500, seed), dt=1.0)),
    "mrjd": lambda seed: (MRJD, sc.calibrate_mrjd(prices_of(MRJD, 2500, seed), season=SEASON)),
}


@pytest.mark.parametrize("process", FITS)
def test_the_truth_lies_within_two_standard_errors_as_often_as_it_should(process):
    scores = []
    for seed in range(12):
        truth, fit = FITS[process](seed)
        scores.append([(getattr(fit, name) - getattr(truth, name)) / fit.errors[name] for name in fit.estimated])
    share = float((np.abs(scores) < 2).mean())
    assert share > 0.85
    assert np.abs(np.mean(scores, axis=0)).max() < 3.5 / np.sqrt(12)


def test_correlated_series_are_recovered_within_their_standard_errors():
    rho = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.1], [-0.3, 0.1, 1.0]])
    own = (sc.OUParams(30.0, 1.5, 8.0, 1.0), sc.OUParams(5.0, 0.02, 0.4, 1.0), GBM)
    truth = sc.CorrelatedParams(("energy", "hash", "token"), own, rho, np.full((3, 3), np.nan))
    scores = []
    for seed in range(20):
        x = sc.simulate_correlated(truth, start=[30.0, 5.0, 2.0], n_steps=3000, n_paths=1, rng=rng(seed))[0]
        fit = sc.calibrate_correlated(
            pd.DataFrame(x, columns=["energy", "hash", "token"]), dt=1.0, process={"token": "gbm"}
        )
        upper = np.triu_indices(3, 1)
        scores.append((fit.correlation - rho)[upper] / fit.errors[upper])
    assert (np.abs(scores) < 2).mean() > 0.85
    assert np.abs(np.mean(scores, axis=0)).max() < 3.5 / np.sqrt(20)


# Ornstein-Uhlenbeck


def test_ou_paths_are_the_loop_over_time_on_the_same_normals():
    paths = sc.simulate_ou(OU, start=50.0, n_steps=40, n_paths=7, rng=rng())
    normal = rng().standard_normal((7, 40))
    x, slow = np.full(7, 50.0), np.empty((7, 40))
    sd = OU.sigma * np.sqrt((1 - np.exp(-2 * OU.kappa)) / (2 * OU.kappa))
    for step in range(40):
        x = OU.mean + (x - OU.mean) * np.exp(-OU.kappa) + sd * normal[:, step]
        slow[:, step] = x
    assert paths == pytest.approx(slow, rel=1e-12)


def test_an_ou_calibration_is_the_best_of_its_exact_likelihood():
    from scipy.optimize import minimize

    x = one_path(sc.simulate_ou, OU, 300)

    def minus(theta):
        mean, kappa, sigma = theta[0], np.exp(theta[1]), np.exp(theta[2])
        sd = sigma * np.sqrt((1 - np.exp(-2 * kappa * 0.5)) / (2 * kappa))
        return -stats.norm.logpdf(x[1:], mean + (x[:-1] - mean) * np.exp(-kappa * 0.5), sd).sum()

    found = minimize(minus, [30.0, 0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    fit = sc.calibrate_ou(x, dt=0.5)
    assert [fit.mean, np.log(fit.kappa), np.log(fit.sigma)] == pytest.approx(found.x, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-9)

    def natural(theta):
        return minus([theta[0], np.log(theta[1]), np.log(theta[2])])

    at = np.array([fit.mean, fit.kappa, fit.sigma])
    hessian, h = np.empty((3, 3)), 1e-4 * np.abs(at)
    for i in range(3):
        for j in range(3):
            a, b = np.eye(3)[i] * h, np.eye(3)[j] * h
            corners = natural(at + a + b) - natural(at + a - b) - natural(at - a + b) + natural(at - a - b)
            hessian[i, j] = corners / (4 * h[i] * h[j])
    assert list(fit.errors.values()) == pytest.approx(np.sqrt(np.diag(np.linalg.inv(hessian))), rel=1e-3)


def test_the_variance_of_long_ou_paths_is_sigma_squared_over_two_kappa():
    paths = sc.simulate_ou(OU, start=30.0, n_steps=60, n_paths=40_000, rng=rng())
    assert OU.stationary_sd**2 == pytest.approx(OU.sigma**2 / (2 * OU.kappa))
    assert paths[:, -1].var() == pytest.approx(OU.stationary_sd**2, rel=0.03)


def test_an_ou_deviation_halves_in_its_half_life():
    params = sc.OUParams(30.0, np.log(2) / 5, 1e-9, 1.0)
    assert params.half_life == pytest.approx(5.0)
    assert sc.simulate_ou(params, start=50.0, n_steps=5, n_paths=1, rng=rng())[0, 4] == pytest.approx(40.0)


def test_eulers_estimate_of_an_hourly_speed_is_14_per_cent_low_and_ours_is_not():
    x = one_path(sc.simulate_ou, OU, 200_000)
    decay = np.cov(x[:-1], x[1:])[0, 1] / x[:-1].var()
    assert (1 - decay) / OU.kappa == pytest.approx(0.86, abs=0.02)
    assert sc.calibrate_ou(x, dt=1.0).kappa / OU.kappa == pytest.approx(1.0, abs=0.02)


@given(scale=st.floats(0.01, 100.0), shift=st.floats(-1e3, 1e3), dt=st.floats(0.01, 24.0))
def test_an_ou_calibration_follows_the_units_of_its_series(scale, shift, dt):
    x = one_path(sc.simulate_ou, OU, 200)
    plain, other = sc.calibrate_ou(x, dt=1.0), sc.calibrate_ou(scale * x + shift, dt=dt)
    assert other.mean == pytest.approx(scale * plain.mean + shift, rel=1e-6, abs=1e-6)
    assert other.kappa == pytest.approx(plain.kappa / dt, rel=1e-6)
    assert other.sigma == pytest.approx(scale * plain.sigma / np.sqrt(dt), rel=1e-6)
    assert other.errors["sigma"] == pytest.approx(scale * plain.errors["sigma"] / np.sqrt(dt), rel=1e-6)


@pytest.mark.parametrize("calibrate", [sc.calibrate_ou, sc.calibrate_merton])
def test_a_gap_leaves_out_the_steps_into_and_out_of_it(calibrate):
    x = (
        one_path(sc.simulate_merton, MERTON, 1000)
        if calibrate is sc.calibrate_merton
        else one_path(sc.simulate_ou, OU, 1000)
    )
    x[500] = np.nan
    assert calibrate(x, dt=1.0).n == 997


def test_what_is_no_ou_process_is_refused_with_its_coefficient():
    with pytest.raises(DataError, match=r"does not revert to a mean: its autoregressive coefficient is 1\.01"):
        sc.calibrate_ou(1.01 ** np.arange(200) + rng().normal(0, 1e-6, 200), dt=1.0)
    with pytest.raises(DataError, match=r"turns about its mean at every step: .* -0\.8"):
        sc.calibrate_ou((-0.8) ** np.arange(60) + rng().normal(0, 1e-9, 60), dt=1.0)
    with pytest.raises(DataError, match="constant at 30"):
        sc.calibrate_ou(np.full(100, 30.0), dt=1.0)
    with pytest.raises(DataError, match="without error"):
        sc.calibrate_ou(0.5 ** np.arange(12), dt=1.0)


# all processes


SERIES = {"ou": sc.calibrate_ou, "gbm": sc.calibrate_gbm, "merton": sc.calibrate_merton, "kou": sc.calibrate_kou}


@pytest.mark.parametrize("calibrate", SERIES.values(), ids=SERIES)
def test_a_series_that_cannot_be_calibrated_is_refused(calibrate):
    with pytest.raises(DataError, match="at least"):
        calibrate([1.0, 2.0, 3.0], dt=1.0)
    with pytest.raises(DataError, match="at least"):
        calibrate(np.tile([1.0, np.nan], 200), dt=1.0)
    with pytest.raises(DataError, match="constant"):
        calibrate(np.full(300, 5.0), dt=1.0)
    with pytest.raises(DataError, match="infinite in row 1"):
        calibrate(np.r_[1.0, np.inf, np.ones(300)], dt=1.0)
    with pytest.raises(DataError, match="one series"):
        calibrate(np.ones((300, 2)), dt=1.0)
    with pytest.raises(DataError, match="dt must be above 0"):
        calibrate(np.arange(300.0), dt=0.0)


PATHS = {"ou": (sc.simulate_ou, OU), "gbm": (sc.simulate_gbm, GBM), "merton": (sc.simulate_merton, MERTON)}
PATHS["kou"] = (sc.simulate_kou, KOU)


@pytest.mark.parametrize(("simulate", "params"), PATHS.values(), ids=PATHS)
def test_one_seed_gives_one_set_of_paths_and_each_path_has_its_start(simulate, params):
    starts = np.array([10.0, 20.0, 40.0])
    one, two = (simulate(params, start=starts, n_steps=9, n_paths=3, rng=rng(4)) for _ in range(2))
    assert one.shape == (3, 9)
    assert (one == two).all()
    assert (np.diff(one[:, 0]) > 0).all()


@pytest.mark.parametrize(("simulate", "params"), PATHS.values(), ids=PATHS)
def test_paths_that_cannot_be_drawn_are_refused(simulate, params):
    with pytest.raises(DataError, match="n_steps"):
        simulate(params, start=1.0, n_steps=0, n_paths=1, rng=rng())
    with pytest.raises(DataError, match="n_paths"):
        simulate(params, start=1.0, n_steps=1, n_paths=0, rng=rng())
    with pytest.raises(DataError, match="finite"):
        simulate(params, start=np.nan, n_steps=1, n_paths=1, rng=rng())
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        simulate(params, start=[1.0, 2.0], n_steps=1, n_paths=3, rng=rng())


def test_parameters_outside_their_range_are_refused():
    with pytest.raises(DataError, match="kappa must be above 0"):
        sc.OUParams(30.0, -0.1, 1.0, 1.0)
    with pytest.raises(DataError, match="sigma must be above 0"):
        sc.GBMParams(0.0, 0.0, 1.0)
    with pytest.raises(DataError, match=r"up_share must be in \[0, 1\], got 1.5"):
        sc.KouParams(0.0, 1.0, 0.1, 1.5, 1.0, 1.0, 1.0)


# geometric Brownian motion


def test_gbm_refuses_prices_that_may_be_negative_and_says_where():
    x = np.abs(one_path(sc.simulate_ou, OU, 50)) + 1
    x[7] = -3.0
    with pytest.raises(DataError, match="-3 in row 7: the process is wrong for prices that may be negative"):
        sc.calibrate_gbm(x, dt=1.0)
    with pytest.raises(DataError, match="start must be above 0, got -1"):
        sc.simulate_gbm(GBM, start=-1.0, n_steps=1, n_paths=1, rng=rng())
    with pytest.raises(DataError, match="every step"):
        sc.calibrate_gbm(2.0 ** np.arange(20), dt=1.0)


def test_the_mean_of_gbm_paths_grows_at_the_drift():
    params = sc.GBMParams(0.01, 0.05, 2.0)
    paths = sc.simulate_gbm(params, start=10.0, n_steps=5, n_paths=200_000, rng=rng())
    assert paths[:, -1].mean() == pytest.approx(10 * np.exp(0.01 * 10), rel=0.002)
    assert np.log(paths[:, -1]).std() == pytest.approx(0.05 * np.sqrt(10), rel=0.01)


# jumps


@pytest.mark.parametrize(("simulate", "params"), [(sc.simulate_merton, MERTON), (sc.simulate_kou, KOU)])
def test_the_moments_of_increments_are_those_of_the_diffusion_and_the_jumps(simulate, params):
    total = simulate(params, start=0.0, n_steps=20, n_paths=100_000, rng=rng())[:, -1] / 20
    mean, variance = params.drift + params.jumps_mean, params.sigma**2 + params.jumps_variance
    assert total.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 20 / 100_000))
    assert total.var() * 20 == pytest.approx(variance, rel=0.03)


def test_merton_jumps_have_mean_lambda_mu_and_variance_lambda_mu_squared_plus_sigma_squared():
    assert MERTON.jumps_mean == pytest.approx(0.05 * 0.03)
    assert MERTON.jumps_variance == pytest.approx(0.05 * (0.03**2 + 0.12**2))


def test_merton_is_recovered_from_a_year_of_hours_as_the_reference_was():
    truth = sc.MertonParams(0.0, 0.02, 0.05, 0.03, 0.12, 1.0)
    fit = sc.calibrate_merton(one_path(sc.simulate_merton, truth, 8760, start=0.0), dt=1.0)
    assert [fit.sigma, fit.intensity, fit.jump_mean, fit.jump_sd] == pytest.approx([0.02, 0.05, 0.03, 0.12], rel=0.25)
    assert fit.sigma == pytest.approx(0.02, rel=0.03)


def gradient_by_differences(function, at):
    steps = 1e-6 * np.maximum(1.0, np.abs(at)) * np.eye(len(at))
    return np.array([(function(*(at + s)) - function(*(at - s))) / (2 * s.sum()) for s in steps])


def test_the_normal_mixture_is_the_poisson_sum_with_its_gradient():
    noise = rng()
    before = noise.normal(size=80)
    after = 0.5 * before + noise.normal(size=80) + (noise.random(80) < 0.2) * noise.normal(1, 3, 80)
    at = np.array([0.1, 0.5, 0.9, 0.2, 0.8, 8.0])
    total, gradient = densities.normal_jumps(before, after, *at)
    k, residual = np.arange(60), after - 0.1 - 0.5 * before
    slow = stats.poisson.pmf(k, 0.2) * stats.norm.pdf(residual[:, None], k * 0.8, np.sqrt(0.9 + k * 8.0))
    assert total == pytest.approx(np.log(slow.sum(axis=1)).sum(), rel=1e-9)
    by_differences = gradient_by_differences(lambda *p: densities.normal_jumps(before, after, *p)[0], at)
    assert gradient == pytest.approx(by_differences, rel=1e-5, abs=1e-4)


def test_a_step_far_out_keeps_its_finite_likelihood():
    zero, far = np.zeros(1), np.array([5000.0])
    assert np.isfinite(densities.normal_jumps(zero, far, 0.0, 0.0, 1.0, 0.05, 0.0, 4.0)[0])
    assert np.isfinite(densities.exponential_jumps(far, 0.0, 1.0, 0.05, 0.05, 1.0, 1.0)[0])


@pytest.mark.parametrize(
    ("sd", "up_rate", "down_rate", "up_decay", "down_decay"),
    [(0.3, 0.06, 0.04, 1.2, 0.7), (1.0, 0.5, 0.4, 0.5, 0.3), (1.0, 0.01, 0.01, 0.05, 0.03), (1.0, 0.3, 0.3, 5.0, 3.0)],
)
@pytest.mark.parametrize("t", [-6.0, -1.0, -0.1, 0.0, 0.2, 1.5, 8.0])
def test_kous_density_is_the_inverse_of_its_characteristic_function(sd, up_rate, down_rate, up_decay, down_decay, t):
    # trapezoidal rule on a grid fine and long enough for the density to be exact to 1e-13
    w = np.linspace(0.0, 12.0 / sd, 40_001)
    jumps = up_rate * (1 / (1 - 1j * w / up_decay) - 1) + down_rate * (1 / (1 + 1j * w / down_decay) - 1)
    wave = (np.exp(0.02j * w - 0.5 * (sd * w) ** 2 + jumps) * np.exp(-1j * w * t)).real
    slow = np.trapezoid(wave, w) / math.pi
    fast, _ = densities.exponential_jumps(np.array([t]), 0.02, sd, up_rate, down_rate, up_decay, down_decay)
    assert math.exp(fast) == pytest.approx(slow, rel=1e-6, abs=3e-9)


def test_kous_likelihood_has_its_gradient():
    noise = rng()
    x = np.concatenate([noise.normal(size=100) * 0.3, noise.normal(size=20) * 5, [60.0, -70.0]])
    at = np.array([0.02, 0.3, 0.06, 0.04, 1.2, 0.7])
    _, gradient = densities.exponential_jumps(x, *at)
    by_differences = gradient_by_differences(lambda *p: densities.exponential_jumps(x, *p)[0], at)
    assert gradient == pytest.approx(by_differences, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("calibrate", [sc.calibrate_merton, sc.calibrate_kou])
def test_a_walk_without_jumps_is_refused(calibrate):
    with pytest.raises(DataError, match="finds no jumps"):
        calibrate(rng(1).normal(size=1500).cumsum(), dt=1.0)


def test_a_series_that_mostly_stands_still_has_no_diffusion_to_find():
    x = np.where(rng().random(600) < 0.1, rng(1).normal(size=600), 0.0).cumsum()
    with pytest.raises(DataError, match="shrinks onto repeated values"):
        sc.calibrate_merton(x, dt=1.0)


@pytest.mark.parametrize("dt", [1 / 12, 24.0])
def test_the_length_of_a_step_changes_the_units_of_jumps_and_nothing_else(dt):
    x = one_path(sc.simulate_merton, MERTON, 1500)
    plain, other = sc.calibrate_merton(x, dt=1.0), sc.calibrate_merton(x, dt=dt)
    assert other.intensity == pytest.approx(plain.intensity / dt, rel=1e-6)
    assert other.jump_sd == pytest.approx(plain.jump_sd, rel=1e-6)
    assert other.errors["sigma"] == pytest.approx(plain.errors["sigma"] / np.sqrt(dt), rel=1e-4)


def test_a_maximum_on_a_bound_and_one_without_curvature_are_refused():
    edge = likelihood.Coordinate(-1.0, 1.0, "low", "the top of its range was met")
    with pytest.raises(DataError, match="the top of its range was met"):
        likelihood.maximise(lambda u: (float(u[0]), np.ones(1)), [np.zeros(1)], [edge], n=9, what="a slope")
    with pytest.raises(DataError, match="no maximum"):
        likelihood.maximise(lambda u: (0.0, np.zeros(1)), [np.zeros(1)], [edge], n=9, what="a plain")


# mean-reverting jumps


def test_a_diffusion_with_jumps_far_apart_is_the_recursion_by_hand():
    params = sc.MRJDParams(0.1, 0.1, 0.1, 1e-12, 0.2, 0.5, 1.0, SEASON)
    times = mock_times(days=2, start="2024-03-30")
    paths = sc.simulate_mrjd(params, start=25.0, times=times, n_paths=4, rng=rng())
    generator, slow = rng(), np.empty((4, 48))
    before = pd.DataFrame({"price": 25.0}, index=pd.date_range("2024-03-29T23:00Z", periods=1, freq="1h", name="time"))
    for path in range(4):
        x = float(SEASON.remove(before).iloc[0])
        generator.standard_exponential()
        for step in range(48):
            x = params.decay * x + 0.1 * (1 - params.decay) + params.step_sd * generator.standard_normal()
            slow[path, step] = x
    assert paths == pytest.approx(SEASON.restore(slow, times), rel=1e-9)


@pytest.mark.parametrize("freq", ["5min", "15min", "1h"])
def test_mean_reverting_jumps_take_intervals_of_any_length_and_days_of_23_and_25_hours(freq):
    season = sc.calibrate_season(mock_prices(days=28), market_tz="Europe/Oslo")
    dt = pd.Timedelta(freq) / pd.Timedelta(hours=1)
    truth = sc.MRJDParams(0.0, 0.2, 0.2, 0.1, 0.0, 0.8, dt, season)
    times = pd.date_range("2024-03-04", periods=int(29 * 24 / dt), freq=freq, tz="UTC", name="time")
    price = sc.simulate_mrjd(truth, start=30.0, times=times, n_paths=1, rng=rng())[0]
    fit = sc.calibrate_mrjd(pd.DataFrame({"price": price}, index=times), market_tz="Europe/Oslo")
    assert fit.dt == pytest.approx(dt)
    assert fit.season.market_tz == "Europe/Oslo"
    october = pd.date_range("2024-10-26T22:00Z", periods=int(25 / dt), freq=freq, name="time")
    paths = sc.simulate_mrjd(fit, start=30.0, times=october, n_paths=3, rng=rng(), limits=(-50.0, 400.0))
    assert paths.shape == (3, len(october))
    assert paths.min() >= -50 and paths.max() <= 400


def test_a_season_from_the_same_prices_costs_the_spread_no_degrees_of_freedom():
    ratio = []
    for seed in range(8):
        prices = prices_of(MRJD, 24 * 70, seed)
        own, given_season = sc.calibrate_mrjd(prices), sc.calibrate_mrjd(prices, season=SEASON)
        ratio.append(own.sigma * own.season.spread / given_season.sigma / SEASON.spread)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.05)


def test_what_has_no_reverting_jumps_is_refused():
    prices = prices_of(MRJD, 24 * 40)
    with pytest.raises(DataError, match="cover 10 days, and at least 28"):
        sc.calibrate_mrjd(prices.iloc[:240])
    flat = prices.assign(price=30.0)
    with pytest.raises(DataError, match="constant"):
        sc.calibrate_mrjd(flat)
    rising = prices.assign(price=np.exp(1.004 ** np.arange(960)))
    with pytest.raises(DataError, match="does not revert to its season"):
        sc.calibrate_mrjd(rising, season=SEASON)
    with pytest.raises(DataError, match="finds no jumps"):
        sc.calibrate_mrjd(prices_of(sc.MRJDParams(0.1, 0.1, 0.1, 1e-12, 0.2, 0.5, 1.0, SEASON), 2000), season=SEASON)
    with pytest.raises(DataError, match="1 h apart"):
        sc.simulate_mrjd(MRJD, start=1.0, times=mock_times(days=1, freq="30min"), n_paths=1, rng=rng())
    with pytest.raises(DataError, match="limits must rise"):
        sc.simulate_mrjd(MRJD, start=1.0, times=mock_times(days=1), n_paths=1, rng=rng(), limits=(5.0, 1.0))


def test_real_prices_with_spikes_and_negative_ones_are_calibrated(data_dir):
    from gridlab.sources import read_prices

    prices = read_prices(data_dir / "epf" / "PJM.csv").iloc[: 24 * 300]
    fit = sc.calibrate_mrjd(prices, market_tz="America/New_York")
    assert 0 < fit.half_life < 200
    assert fit.jump_sd > 1.5 * fit.step_sd
    assert np.isfinite(fit.table().to_numpy()).all()


# several series


def test_the_innovations_of_one_brownian_motion_at_two_speeds_correlate_by_the_integral():
    slow, fast, n_parts = sc.OUParams(0.0, 0.1, 1.0, 1.0), sc.OUParams(0.0, 3.0, 1.0, 1.0), 100_000
    params = sc.CorrelatedParams(("slow", "fast"), (slow, fast), np.ones((2, 2)), np.zeros((2, 2)))
    left = (np.arange(n_parts) + 0.5) / n_parts
    kernels = np.stack([np.exp(-0.1 * (1 - left)), np.exp(-3.0 * (1 - left))])
    by_sum = kernels @ kernels.T
    assert params.innovation_correlation[0, 1] == pytest.approx(by_sum[0, 1] / np.sqrt(by_sum[0, 0] * by_sum[1, 1]))


def test_each_of_several_series_is_calibrated_as_if_alone():
    x = np.stack([one_path(sc.simulate_ou, OU, 500, 1), one_path(sc.simulate_ou, OU, 500, 2)], axis=1)
    x[100:120, 1] = np.nan
    fit = sc.calibrate_correlated(x, dt=1.0)
    assert [one.kappa for one in fit.processes] == [sc.calibrate_ou(x[:, i], dt=1.0).kappa for i in range(2)]
    assert fit.table().loc[("0", "correlation with 1"), "estimate"] == fit.correlation[0, 1]
    assert np.isfinite(fit.table().to_numpy()).all()


def test_correlated_paths_have_the_margins_and_the_correlation_of_a_singular_matrix():
    own = (OU, sc.OUParams(5.0, 0.3, 1.0, 1.0), GBM)
    params = sc.CorrelatedParams(("a", "b", "c"), own, np.ones((3, 3)), np.zeros((3, 3)))
    paths = sc.simulate_correlated(params, start=[30.0, 5.0, 2.0], n_steps=30, n_paths=20_000, rng=rng())
    assert paths.shape == (20_000, 30, 3)
    assert paths[:, -1, 0].std() == pytest.approx(OU.stationary_sd, rel=0.03)
    assert paths[:, -1, 1] - 5 == pytest.approx((paths[:, -1, 0] - 30) / 4, abs=1e-6)
    assert (paths[..., 2] > 0).all()


def test_a_correlation_with_a_negative_eigenvalue_is_brought_to_the_nearest_side():
    noise = rng().normal(size=(4000, 3))
    x = np.cumsum(noise, axis=0) * 0
    for step in range(1, 4000):
        x[step] = 0.8 * x[step - 1] + noise[step]
    # each pair is seen in its own third only: a with b and b with c move together, a with c opposed
    thirds = [slice(0, 1300), slice(1300, 2600), slice(2600, 4000)]
    for (i, j, sign), third in zip([(0, 1, 1.0), (1, 2, 1.0), (0, 2, -1.0)], thirds, strict=True):
        x[third, j] = sign * x[third, i] + 0.01 * noise[third, j]
        x[third, 3 - i - j] = np.nan
    fit = sc.calibrate_correlated(x, dt=1.0)
    assert fit.repaired > 0.1
    assert np.linalg.eigvalsh(fit.correlation).min() > -1e-9
    assert np.diag(fit.correlation) == pytest.approx(np.ones(3))


def test_several_series_that_cannot_be_joined_are_refused():
    x = pd.DataFrame({"a": one_path(sc.simulate_ou, OU, 200, 1), "b": one_path(sc.simulate_ou, OU, 200, 2)})
    with pytest.raises(DataError, match="b: x is constant"):
        sc.calibrate_correlated(x.assign(b=1.0), dt=1.0)
    with pytest.raises(DataError, match="process names 'c'"):
        sc.calibrate_correlated(x, dt=1.0, process={"c": "gbm"})
    with pytest.raises(DataError, match="must be one of ou, gbm"):
        sc.calibrate_correlated(x, dt=1.0, process={"a": "heston"})
    with pytest.raises(DataError, match="at least two series"):
        sc.calibrate_correlated(x[["a"]], dt=1.0)
    apart = x.assign(a=x["a"].where(x.index < 100), b=x["b"].where(x.index >= 100))
    with pytest.raises(DataError, match="a and b have 0 steps in common"):
        sc.calibrate_correlated(apart, dt=1.0)
    with pytest.raises(DataError, match="2 finite numbers"):
        sc.simulate_correlated(sc.calibrate_correlated(x, dt=1.0), start=1.0, n_steps=1, n_paths=1, rng=rng())
    with pytest.raises(DataError, match="positive semidefinite"):
        sc.CorrelatedParams(("a", "b"), (OU, OU), np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros((2, 2)))
