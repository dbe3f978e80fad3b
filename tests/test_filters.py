import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.days import Days, filled, fold
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.filters import LinearModel, NonlinearModel, kalman, particle, systematic, unscented
from gridlab.forecast.filters.reverting import Jumping, Reversion, reversion_by_moments
from gridlab.schema import mock_prices

seeds = st.integers(0, 2**32 - 1)


def linear_model(rng, n_states=3, n_observed=2):
    """A stable linear model drawn at random."""
    turn = np.linalg.qr(rng.normal(size=(n_states, n_states)))[0]
    root, noise_root = rng.normal(size=(n_states, n_states)), rng.normal(size=(n_observed, n_observed))
    return LinearModel(
        transition=0.9 * turn,
        process=root @ root.T,
        observation=rng.normal(size=(n_observed, n_states)),
        noise=noise_root @ noise_root.T + 0.1 * np.eye(n_observed),
        mean=rng.normal(size=n_states),
        covariance=root.T @ root + np.eye(n_states),
    )


def as_nonlinear(model):
    return NonlinearModel(
        lambda states, t: states @ model.transition.T,
        model.process,
        lambda states, t: states @ model.observation.T,
        model.noise,
        model.mean,
        model.covariance,
    )


class AsParticles:
    """A linear model as the particle filter needs it: the bootstrap."""

    def __init__(self, model):
        self.model = model
        self.n_observed = len(model.noise)

    def start(self, n_particles, rng):
        return rng.multivariate_normal(self.model.mean, self.model.covariance, size=n_particles)

    def move(self, states, t, rng):
        noise = rng.multivariate_normal(np.zeros(states.shape[1]), self.model.process, size=len(states))
        return states @ self.model.transition.T + noise, 0.0

    def log_density(self, observed, states, t):
        miss = observed - states @ self.model.observation.T
        _, log_determinant = np.linalg.slogdet(2 * np.pi * self.model.noise)
        return -0.5 * (np.einsum("ni,ij,nj->n", miss, np.linalg.inv(self.model.noise), miss) + log_determinant)


def joint_normal(model, observations):
    """The slow, obvious filter of the last state: all states and observations as one normal vector, conditioned."""
    n, d, m = len(observations), len(model.mean), len(model.noise)
    mean, cov = np.zeros((n, d)), np.zeros((n, d, n, d))
    mean[0], cov[0, :, 0, :] = model.mean, model.covariance
    F, H = model.transition, model.observation
    for t in range(1, n):
        mean[t] = F @ mean[t - 1]
        for s in range(t):
            cov[t, :, s, :] = F @ cov[t - 1, :, s, :]
            cov[s, :, t, :] = cov[t, :, s, :].T
        cov[t, :, t, :] = F @ cov[t - 1, :, t - 1, :] @ F.T + model.process
    seen_mean = (mean @ H.T).ravel()
    seen_cov = np.einsum("ia,saub,jb->siuj", H, cov, H).reshape(n * m, n * m) + np.kron(np.eye(n), model.noise)
    cross = np.einsum("asb,ib->asi", cov[-1], H).reshape(d, n * m)
    miss = np.ravel(observations) - seen_mean
    gain = cross @ np.linalg.inv(seen_cov)
    log_likelihood = -0.5 * (miss @ np.linalg.solve(seen_cov, miss) + np.linalg.slogdet(2 * np.pi * seen_cov)[1])
    return mean[-1] + gain @ miss, cov[-1, :, -1, :] - gain @ cross.T, log_likelihood


@settings(max_examples=15)
@given(seed=seeds)
def test_kalmans_filter_is_the_normal_law_conditioned_on_what_was_seen(seed):
    rng = np.random.default_rng(seed)
    model, seen = linear_model(rng), rng.normal(size=(6, 2))
    filtered = kalman(seen, model)
    mean, covariance, log_likelihood = joint_normal(model, seen)
    assert filtered.mean[-1] == pytest.approx(mean, abs=1e-7)
    assert filtered.covariance[-1] == pytest.approx(covariance, abs=1e-7)
    assert filtered.log_likelihood == pytest.approx(log_likelihood)


@settings(max_examples=25)
@given(seed=seeds, alpha=st.floats(0.3, 1.5), beta=st.floats(0, 3), kappa=st.floats(0, 3))
def test_the_unscented_filter_of_a_linear_model_is_kalmans(seed, alpha, beta, kappa):
    rng = np.random.default_rng(seed)
    model, seen = linear_model(rng), rng.normal(size=(40, 2))
    seen[rng.random(40) < 0.1] = np.nan
    exact = kalman(seen, model)
    points = unscented(seen, as_nonlinear(model), alpha=alpha, beta=beta, kappa=kappa)
    scale = np.abs(exact.mean).max() + exact.covariance.max()
    assert np.abs(points.mean - exact.mean).max() < 1e-10 * scale
    assert np.abs(points.covariance - exact.covariance).max() < 1e-10 * scale
    assert points.log_likelihood == pytest.approx(exact.log_likelihood, rel=1e-10, abs=1e-8)


def test_the_points_of_a_normal_state_give_its_square_the_mean_one_and_the_variance_two():
    one = np.eye(1)
    square = NonlinearModel(lambda x, t: x, one, lambda x, t: x**2, one, np.zeros(1), one)
    filtered = unscented([1.0], square)  # what was expected: the likelihood is that of its variance, 2, and the noise's
    assert filtered.log_likelihood == pytest.approx(-0.5 * np.log(2 * np.pi * 3))


def test_particles_come_nearer_to_kalmans_filter_as_the_root_of_their_number():
    model = linear_model(np.random.default_rng(4), n_states=2, n_observed=1)
    seen = np.random.default_rng(5).normal(size=15)
    exact = kalman(seen, model)
    sd = np.sqrt(np.diagonal(exact.covariance, axis1=1, axis2=2))
    misses = []
    for n_particles in (100, 1600):
        runs = [
            particle(seen, AsParticles(model), n_particles=n_particles, rng=np.random.default_rng(seed))
            for seed in range(30)
        ]
        error = np.array([run.mean for run in runs]) - exact.mean
        misses.append(np.sqrt(np.mean((error / sd) ** 2)))
        standard_error = error.std(axis=0) / np.sqrt(30)
        bias = 2 / n_particles * np.abs(exact.mean).max()
        assert (np.abs(error.mean(axis=0)) < 4 * standard_error + bias).all()
    assert misses[0] / misses[1] == pytest.approx(4, rel=0.25)
    variance = np.mean([run.covariance for run in runs], axis=0)
    assert variance == pytest.approx(exact.covariance, rel=0.1, abs=0.05 * exact.covariance.max())


def test_the_likelihood_by_particles_is_unbiased():
    model = linear_model(np.random.default_rng(6), n_states=2, n_observed=1)
    seen = np.random.default_rng(7).normal(size=8)
    exact = kalman(seen, model).log_likelihood
    for resample_below in (0.0, 0.5, 1.0):
        ratio = [
            np.exp(
                particle(
                    seen,
                    AsParticles(model),
                    n_particles=200,
                    resample_below=resample_below,
                    rng=np.random.default_rng(seed),
                ).log_likelihood
                - exact
            )
            for seed in range(150)
        ]
        assert abs(np.mean(ratio) - 1) < 3 * np.std(ratio) / np.sqrt(150)


@settings(max_examples=30)
@given(seed=seeds, n=st.integers(1, 40))
def test_systematic_resampling_keeps_every_row_as_often_as_its_weight_says_rounded(seed, n):
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=n) ** 3
    weights /= weights.sum()
    count = np.bincount(systematic(weights, rng), minlength=n)
    assert count.sum() == n
    assert (count >= np.floor(n * weights - 1e-9)).all()
    assert (count <= np.ceil(n * weights + 1e-9)).all()


def test_systematic_resampling_is_unbiased():
    weights, rng = np.array([0.03, 0.47, 0.2, 0.3]), np.random.default_rng(0)
    count = np.mean([np.bincount(systematic(weights, rng), minlength=4) for _ in range(4000)], axis=0)
    assert count == pytest.approx(4 * weights, abs=3 * 0.5 / np.sqrt(4000))


LAW = Reversion(np.array([0.995, 0.7]), np.array([0.0004, 0.01]), 0.02, 4.0, 0.02)


def jumpy(seed, n_times=400):
    """States and observations of the two-factor law with jumps."""
    rng = np.random.default_rng(seed)
    states = np.zeros((n_times, 2))
    for t in range(1, n_times):
        jump = rng.normal(0, np.sqrt(LAW.jump_variance)) * (rng.random() < LAW.jump_probability)
        shock = rng.normal(size=2) * np.sqrt(LAW.step_variance)
        states[t] = LAW.persistence * states[t - 1] + shock + [0.0, jump]
    return states, states.sum(axis=1) + np.sqrt(LAW.noise_variance) * rng.normal(size=n_times)


def of_equal_variance(law):
    """The linear model that takes jumps for normal noise of the same variance."""
    return LinearModel(
        np.diag(law.persistence),
        np.diag(law.variance),
        np.ones((1, 2)),
        np.array([[law.noise_variance]]),
        np.zeros(2),
        np.diag(law.stationary),
    )


def test_where_prices_jump_particles_know_the_base_better_than_kalmans_filter_and_their_likelihood_is_higher():
    gains, ratios = [], []
    for seed in range(6):
        states, seen = jumpy(seed)
        linear = kalman(seen, of_equal_variance(LAW))
        cloud = particle(seen, Jumping(LAW), n_particles=1000, rng=np.random.default_rng(seed))
        misses = [np.sqrt(np.mean((f.mean[50:] - states[50:]) ** 2)) for f in (cloud, linear)]
        ratios.append(misses[0] / misses[1])
        gains.append(cloud.log_likelihood - linear.log_likelihood)
    assert np.mean(ratios) < 0.9
    assert min(gains) > 20


def test_particles_that_are_made_to_jump_more_often_have_the_same_law():
    _, seen = jumpy(9, n_times=40)
    plain = Reversion(LAW.persistence, LAW.step_variance, 0.3, 1.0, LAW.noise_variance)
    rare = Reversion(LAW.persistence, LAW.step_variance, 0.05, 1.0, LAW.noise_variance)
    for law in (plain, rare):
        pushed, own = [], []
        for seed in range(40):
            pushed.append(particle(seen, Jumping(law), n_particles=400, rng=np.random.default_rng(seed)).log_likelihood)
            own.append(particle(seen, _Unpushed(law), n_particles=400, rng=np.random.default_rng(seed)).log_likelihood)
        error = np.hypot(np.std(pushed), np.std(own)) / np.sqrt(40)
        bias = (np.var(own) + np.var(pushed)) / 2  # of a logarithm whose exponential is unbiased
        assert abs(np.mean(pushed) - np.mean(own)) < 3 * error + bias


class _Unpushed(Jumping):
    """Jumps as often as the law says, at no weight."""

    def move(self, states, t, rng):
        law = self.reversion
        moved = states * law.persistence + rng.normal(size=states.shape) * np.sqrt(law.step_variance)
        jumps = rng.random(len(states)) < law.jump_probability
        moved[:, 1] += jumps * rng.normal(size=len(states)) * np.sqrt(law.jump_variance)
        return moved, 0.0


def test_where_prices_are_steep_the_unscented_filter_knows_the_state_better_than_one_that_takes_them_for_straight():
    errors = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        state = np.zeros(300)
        for t in range(1, 300):
            state[t] = 0.95 * state[t - 1] + 0.4 * rng.normal()
        price = np.sinh(state) + rng.normal(size=300)
        one = np.eye(1)
        model = NonlinearModel(
            lambda x, t: 0.95 * x, 0.16 * one, lambda x, t: np.sinh(x), one, np.zeros(1), 1.64 * one, bound=5.0
        )
        straight = LinearModel(0.95 * one, 0.16 * one, one, one, np.zeros(1), 1.64 * one)
        bent = kalman(np.arcsinh(price), straight)
        errors.append([np.sqrt(np.mean((f.mean[:, 0] - state) ** 2)) for f in (unscented(price, model), bent)])
        errors[-1].append(np.sqrt(np.mean((kalman(price, straight).mean[:, 0] - state) ** 2)))
    unscented_error, bent_error, straight_error = np.mean(errors, axis=0)
    assert unscented_error < 0.95 * bent_error
    assert unscented_error < 0.7 * straight_error


def test_a_spike_moves_no_state_past_its_bound():
    one = np.eye(1)
    model = NonlinearModel(
        lambda x, t: 0.9 * x, one, lambda x, t: np.sinh(x), 0.01 * one, np.zeros(1), one, bound=np.array([6.0])
    )
    filtered = unscented([0.1, 1e4, 0.1, 0.1], model)
    assert np.isfinite(filtered.mean).all()
    assert np.abs(filtered.mean).max() <= 6


def test_a_time_without_a_value_is_a_step_ahead():
    one = np.eye(1)
    model = LinearModel(0.5 * one, 0.75 * one, one, one, np.zeros(1), one)
    filtered = kalman([2.0, np.nan, np.nan], model)
    assert filtered.mean[:, 0] == pytest.approx([1.0, 0.5, 0.25])
    assert filtered.covariance[:, 0, 0] == pytest.approx([0.5, 0.875, 0.96875])
    cloud = particle([2.0, np.nan], AsParticles(model), n_particles=20_000, rng=np.random.default_rng(0))
    assert cloud.mean[:, 0] == pytest.approx([1.0, 0.5], abs=0.03)


def test_the_factors_of_a_simulated_price_are_found_by_their_moments():
    _, seen = jumpy(3, n_times=24 * 2000)
    found = reversion_by_moments(seen.reshape(-1, 24))
    half_life = np.log(0.5) / np.log(found.persistence)
    assert half_life[0] / (np.log(0.5) / np.log(0.995)) == pytest.approx(1, abs=0.8)
    assert half_life[1] / (np.log(0.5) / np.log(0.7)) == pytest.approx(1, abs=0.6)
    assert found.stationary.sum() == pytest.approx(LAW.stationary.sum(), rel=0.15)
    assert found.jump_probability == pytest.approx(LAW.jump_probability, rel=0.6)
    assert found.jump_variance == pytest.approx(LAW.jump_variance, rel=0.6)


def test_the_spread_ahead_is_that_of_simulated_paths():
    start = np.array([[0.5, -0.1], [-0.1, 0.3]])
    rng = np.random.default_rng(0)
    states = rng.multivariate_normal([1.0, 2.0], start, size=200_000)
    weights, variance = LAW.ahead(start, 3)
    model = _Unpushed(LAW)
    for k in range(3):
        states = model.move(states, k, rng)[0]
        seen = states.sum(axis=1) + np.sqrt(LAW.noise_variance) * rng.normal(size=len(states))
        assert seen.mean() == pytest.approx(weights[k] @ [1.0, 2.0], abs=0.01)
        assert seen.var() == pytest.approx(variance[k], rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: kalman([], m), r"observations of shape \(n_times, 1\), got \(0,\)"),
        (lambda m: kalman(np.ones((3, 2)), m), r"observations of shape \(n_times, 1\), got \(3, 2\)"),
        (lambda m: unscented([1.0], as_nonlinear(m), alpha=0.0), "needs alpha > 0 and kappa > -1, got 0.0"),
        (lambda m: particle([1.0], AsParticles(m), n_particles=0, rng=None), "n_particles >= 1 .* got 0 and 0.5"),
        (
            lambda m: particle([np.inf], AsParticles(m), n_particles=9, rng=np.random.default_rng(0)),
            "the observation in row 0 has no density at any particle",
        ),
    ],
)
def test_what_cannot_be_filtered_is_refused_with_the_reason(call, message):
    one = np.eye(1)
    with pytest.raises(DataError, match=message):
        call(LinearModel(one, one, one, one, np.zeros(1), one))


def made(name):
    return MODELS[name](**({"n_particles": 100} if name == "particle" else {}))


@pytest.mark.parametrize("name", ["ukf", "particle"])
@pytest.mark.parametrize("per_day", [1, 24, 288])
def test_days_of_any_number_of_intervals_have_a_forecast_and_a_spread(name, per_day):
    days = fold(mock_prices(days=60, freq={1: "24h", 24: "1h", 288: "5min"}[per_day]))
    forecaster = made(name)
    for history in (days[:28], days[:59]):
        model = forecaster._fit_model(history)
        inputs = days.inputs[len(history)]
        assert np.isfinite(forecaster._predict_day(model, history, inputs)).all()
        spread = forecaster._spread(model, history, inputs)
        assert spread.shape == (per_day,)
        assert (spread > 0).all()
        assert np.isfinite(spread).all()


@pytest.mark.parametrize("name", ["ukf", "particle"])
def test_spikes_gaps_and_constant_prices_leave_forecast_and_spread_finite(name):
    days = fold(mock_prices(days=60))
    spiky, gappy, flat = days.price.copy(), days.price.copy(), np.full_like(days.price, -5.0)
    spiky[59, 22] = 100 * np.median(spiky)
    gappy[20:50:4, 5] = np.nan
    for price in (spiky, gappy, flat):
        history = Days(days.dates, price, np.zeros_like(days.inputs), days.names)
        forecaster = made(name)
        model = forecaster._fit_model(history)
        forecast = forecaster._predict_day(model, filled(history), days.inputs[0])
        spread = forecaster._spread(model, filled(history), days.inputs[0])
        assert np.isfinite([forecast, spread]).all()
        assert (spread > 0).all()
        assert np.abs(forecast).max() < 100 * np.median(days.price)
    assert forecast == pytest.approx(-5.0, abs=1e-3)


@pytest.mark.parametrize("name", ["ukf", "particle"])
def test_a_price_above_its_profile_is_forecast_to_come_back_to_it(name):
    rng = np.random.default_rng(0)
    deviation = np.zeros(24 * 120)
    for t in range(1, len(deviation)):
        deviation[t] = 0.5 ** (1 / 12) * deviation[t - 1] + 2 * rng.normal()
    price = 50 + deviation.reshape(-1, 24)
    days = Days(fold(mock_prices(days=120)).dates, price, np.empty((120, 24, 0)))
    raised = Days(days.dates, price.copy(), days.inputs)
    raised.price[-1, 12:] += 15
    forecaster = made(name)
    model = forecaster._fit_model(days)
    usual, above = (forecaster._predict_day(model, history, days.inputs[0]) for history in (days, raised))
    rise = above - usual
    assert 9 < rise[0] < 17  # of 15 on another slope of the scale
    assert rise[0] > 1.5 * rise[11] > 0
    assert (np.diff(rise[:12]) < 0).all()


def test_the_same_seed_gives_the_same_forecast_and_another_nearly_the_same():
    days = fold(mock_prices(days=60))
    first, again, other = (MODELS["particle"](seed=seed) for seed in (3, 3, 4))
    forecasts = [f._predict_day(f._fit_model(days), days, days.inputs[0]) for f in (first, again, other)]
    assert (forecasts[0] == forecasts[1]).all()
    assert 0 < np.abs(forecasts[0] - forecasts[2]).max() < 0.1 * days.price.std()
    assert first.get_params()["seed"] == 3
