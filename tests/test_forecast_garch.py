import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.days import Days, filled, fold
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.schema import mock_prices
from gridlab.sources import read_prices
from gridlab.volatility import Garch, fit_garch, realised_volatility

TRUE = {"omega": 0.05, "alpha": 0.1, "beta": 0.85, "nu": 6.0}
weights = st.floats(0.01, 0.45)


def simulated(n, seed=1):
    """Shocks by arch's own simulator and their conditional variance."""
    from arch.univariate import GARCH, StudentsT, ZeroMean

    model = ZeroMean(volatility=GARCH(1, 0, 1), distribution=StudentsT(seed=np.random.default_rng(seed)))
    path = model.simulate(list(TRUE.values()), n)
    return path["data"].to_numpy(), path["volatility"].to_numpy() ** 2


def five_minutes(increments):
    index = pd.date_range("2024-01-01", periods=len(increments), freq="5min", tz="UTC", name="time")
    return pd.Series(50 + np.cumsum(increments), index)


def test_the_parameters_of_a_simulated_garch_are_recovered():
    shocks, variance = simulated(8000)
    model = fit_garch(7 * shocks)
    assert model.omega / 49 == pytest.approx(TRUE["omega"], rel=0.4)
    assert model.alpha == pytest.approx([TRUE["alpha"]], abs=0.03)
    assert model.beta == pytest.approx([TRUE["beta"]], abs=0.04)
    assert model.nu == pytest.approx(TRUE["nu"], rel=0.2)
    assert model.persistence < 1
    assert model.long_run_variance / 49 == pytest.approx(TRUE["omega"] / 0.05, rel=0.2)
    sd_ratio = np.sqrt(model.variance(7 * shocks)[100:-1] / 49 / variance[100:])
    assert sd_ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("p", "q"), [(1, 1), (2, 1), (1, 2), (1, 0)])
def test_the_variance_and_its_forecast_are_archs_own(p, q):
    from arch.univariate import GARCH, StudentsT, ZeroMean

    shocks = simulated(1500)[0]
    ours = fit_garch(shocks, p=p, q=q)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge = ZeroMean(shocks, volatility=GARCH(p=p, q=q), distribution=StudentsT(), rescale=False)
        fixed = judge.fix([ours.omega, *ours.alpha, *ours.beta, ours.nu])
        ahead = fixed.forecast(horizon=8, reindex=False).variance.to_numpy()[0]
    assert ours.variance(shocks)[400:-1] == pytest.approx(fixed.conditional_volatility[400:] ** 2)
    assert ours.forecast(shocks, n_steps=8) == pytest.approx(ahead)
    assert ours.log_likelihood == pytest.approx(fixed.loglikelihood, abs=1.0)


@given(alpha=weights, beta=weights, omega=st.floats(0.1, 10), last=st.floats(-20, 20))
def test_a_forecast_returns_to_the_long_run_variance_at_the_rate_of_the_persistence(alpha, beta, omega, last):
    model = Garch(omega, np.array([alpha]), np.array([beta]), nu=5.0, start=1.0)
    forecast = model.forecast([1.0, last], n_steps=60)
    long_run = model.long_run_variance
    decay = model.persistence ** np.arange(60)
    assert forecast == pytest.approx(long_run + decay * (forecast[0] - long_run))


def test_a_missing_shock_counts_as_one_of_the_size_expected_and_a_fit_leaves_it_out():
    model = Garch(0.1, np.array([0.2]), np.array([0.7]), nu=5.0, start=1.0)
    expected = np.sqrt(model.variance([2.0])[-1])
    assert model.variance([2.0, np.nan]) == pytest.approx(model.variance([2.0, expected]))
    shocks = simulated(300)[0]
    assert fit_garch(np.insert(shocks, 100, np.nan)).alpha == fit_garch(shocks).alpha


def test_no_variance_depends_on_a_later_shock():
    shocks = simulated(200)[0]
    model = fit_garch(shocks)
    changed = np.concatenate([shocks[:150], 1000 * shocks[150:]])
    assert (model.variance(changed)[:151] == model.variance(shocks)[:151]).all()


def test_shocks_without_memory_and_of_a_walk_leave_the_persistence_below_one():
    rng = np.random.default_rng(0)
    for shocks in (rng.normal(size=400), rng.normal(size=400) * np.exp(rng.normal(0, 0.1, 400).cumsum())):
        model = fit_garch(shocks)
        assert 0 <= model.persistence < 1
        assert np.isfinite(model.forecast(shocks, n_steps=50)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_garch(np.ones(49)), "at least 50 finite shocks, not all 0, got 49"),
        (lambda: fit_garch(np.zeros(80)), "at least 50 finite shocks, not all 0, got 80"),
        (lambda: fit_garch(np.append(np.ones(80), np.inf)), "at least 50 finite shocks"),
        (lambda: fit_garch(np.ones(80), p=0), "needs p >= 1 and q >= 0, got 0 and 1"),
        (lambda: realised_volatility(pd.Series([1.0, 2.0])), "at least two prices on a time index, got 2"),
        (lambda: realised_volatility(five_minutes(np.ones(9)), freq="10min"), "10min must hold three or more .* got 2"),
        (lambda: realised_volatility(five_minutes(np.ones(9)).iloc[[0, 1, 5]]), "has no freq"),
    ],
)
def test_what_has_no_volatility_is_refused_with_the_reason(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_realised_volatility_tends_to_the_integrated_as_the_steps_shorten():
    rng = np.random.default_rng(0)
    misses = []
    for steps in (48, 288, 1440):
        sd = (2 + np.sin(2 * np.pi * np.arange(200 * steps) / steps)) / np.sqrt(steps)
        index = pd.date_range("2024-01-01", periods=len(sd), freq=pd.Timedelta(days=1) / steps, tz="UTC")
        prices = pd.Series((sd * rng.normal(size=len(sd))).cumsum() - 30, index)  # below zero for most of the time
        table = realised_volatility(prices, freq="1D").iloc[1:]
        true = np.mean((2 + np.sin(2 * np.pi * np.arange(steps) / steps)) ** 2)
        misses.append([((table[name] ** 2 / true - 1) ** 2).mean() ** 0.5 for name in ("volatility", "bipower")])
        assert (table["volatility"] ** 2).mean() == pytest.approx(true, rel=0.05)
        assert (table["bipower"] ** 2).mean() == pytest.approx(true, rel=0.05)
    misses = np.array(misses)
    assert misses[:-1] / misses[1:] == pytest.approx(np.sqrt([[6, 6], [5, 5]]), rel=0.25)


def test_bipower_variation_leaves_a_jump_out_that_realised_volatility_has():
    increments = np.random.default_rng(1).normal(size=288 * 50)
    increments[100::288] += 30
    table = realised_volatility(five_minutes(increments), freq="1D").iloc[1:]
    assert (table["volatility"] ** 2).mean() == pytest.approx(288 + 900, rel=0.03)
    with_neighbours = 288 + np.pi / 2 * 2 * 30 * np.sqrt(2 / np.pi)  # which vanishes as the steps shorten
    assert (table["bipower"] ** 2).mean() == pytest.approx(with_neighbours, rel=0.05)
    assert (table["jump"] ** 2).mean() == pytest.approx(288 + 900 - with_neighbours, rel=0.05)


def test_realised_variance_of_a_day_is_the_sum_of_its_hours_and_a_gap_leaves_its_interval_empty():
    prices = mock_prices(days=3, freq="5min")["price"]
    hours = realised_volatility(prices)["volatility"] ** 2
    days = realised_volatility(prices, freq="1D")["volatility"] ** 2
    assert hours.groupby(hours.index.floor("1D")).sum(min_count=24).iloc[1:].tolist() == pytest.approx(
        days[1:].tolist()
    )
    assert days.isna().tolist() == [True, False, False]  # nothing stands before the first price
    gap = prices.copy()
    gap.iloc[288 + 30] = np.nan
    changed = realised_volatility(gap)
    assert changed["volatility"].isna().sum() == 2
    assert changed.index[changed["volatility"].isna()].hour.tolist() == [0, 2]


def test_volatility_of_real_prices_of_five_minutes_is_finite_and_highest_where_the_sun_sets(data_dir):
    prices = read_prices(data_dir / "caiso_sp15" / "real_time.csv")["price"]
    table = realised_volatility(prices, freq="1h").dropna()
    assert len(table) > 0.95 * len(prices) / 12
    assert (table["volatility"] ** 2 >= table["jump"] ** 2).all()
    by_hour = table["volatility"].groupby(table.index.tz_convert("America/Los_Angeles").hour).median()
    assert by_hour.idxmax() in range(6, 9) or by_hour.idxmax() in range(16, 21)


def market(days=240, seed=0):
    """A market whose errors are three times as large in every other month."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2024-01-01", periods=days, freq="D")
    sd = np.where(np.arange(days) // 30 % 2, 6.0, 2.0)
    common = rng.normal(size=(days, 1))
    price = 60 + 10 * np.sin(np.arange(24) / 4) + sd[:, None] * (common + 0.5 * rng.normal(size=(days, 24)))
    return Days(dates, price, np.empty((days, 24, 0))), sd


def spreads(forecaster, model, days, rows):
    return np.array([forecaster._spread(model, days[:row], days.inputs[row]).mean() for row in rows])


def test_the_spread_follows_the_variance_of_the_days_before():
    days, sd = market()
    forecaster = MODELS["garch"]()
    model = forecaster._fit_model(days[:180])
    rows = np.arange(60, 240)
    spread = spreads(forecaster, model, days, rows)
    settled = rows % 30 >= 10
    wild = sd[rows] > 3
    assert 1.8 < np.median(spread[settled & wild]) / np.median(spread[settled & ~wild]) < 4
    assert np.corrcoef(np.log(spread[settled]), np.log(sd[rows][settled]))[0, 1] > 0.8


def test_bands_scaled_by_the_spread_cover_quiet_and_wild_months_alike():
    days, sd = market()
    forecaster = MODELS["garch"]()
    model = forecaster._fit_model(days[:120])
    rows = np.array([row for row in range(120, 240) if row % 30 >= 10])
    error = np.array([days.price[row] - forecaster._predict_day(model, days[:row], days.inputs[row]) for row in rows])
    scaled = error / np.array([forecaster._spread(model, days[:row], days.inputs[row]) for row in rows])
    wild = sd[rows] > 3

    def gap(errors):
        inside = np.abs(errors) < np.quantile(np.abs(errors), 0.8)
        return abs(inside[wild].mean() - inside[~wild].mean())

    assert gap(error) > 0.25
    assert gap(scaled) < 0.15


def test_the_spread_is_in_the_prices_own_unit():
    days, _ = market(120)
    forecaster = MODELS["garch"]()
    cents = Days(days.dates, 100 * days.price, days.inputs)
    spread, hundredfold = (forecaster._spread(forecaster._fit_model(d), d, d.inputs[0]) for d in (days, cents))
    assert hundredfold == pytest.approx(100 * spread, rel=0.01)
    assert spread.mean() == pytest.approx(6 * np.sqrt(1.25), rel=0.4)  # the last month is a wild one


def test_the_day_after_a_wild_day_has_wider_bands_than_the_day_after_a_quiet_one():
    days, _ = market(200)
    forecaster = MODELS["garch"]()
    model = forecaster._fit_model(days)
    wild = Days(days.dates, days.price.copy(), days.inputs)
    wild.price[-1] += np.random.default_rng(0).choice([-1.0, 1.0]) * 40
    quiet_spread, wild_spread = (forecaster._shock_variance(model, d) for d in (days, wild))
    assert wild_spread > 1.5 * quiet_spread


@pytest.mark.parametrize("per_day", [1, 24, 288])
def test_days_of_any_number_of_intervals_have_a_forecast_and_a_spread(per_day):
    days = fold(mock_prices(days=90, freq={1: "24h", 24: "1h", 288: "5min"}[per_day]))
    forecaster = MODELS["garch"]()
    for history in (days[:28], days[:89]):
        model = forecaster._fit_model(history)
        inputs = days.inputs[len(history)]
        assert np.isfinite(forecaster._predict_day(model, history, inputs)).all()
        spread = forecaster._spread(model, history, inputs)
        assert spread.shape == (per_day,)
        assert (spread > 0).all()
        assert np.isfinite(spread).all()


def test_spikes_gaps_and_constant_prices_leave_forecast_and_spread_finite_and_the_spread_positive():
    days = fold(mock_prices(days=100))
    spiky, gappy, flat = days.price.copy(), days.price.copy(), np.full_like(days.price, -5.0)
    spiky[97, 18] = 100 * np.median(spiky)
    gappy[60:90:4, 5] = np.nan
    for price in (spiky, gappy, flat):
        history = Days(days.dates, price, np.zeros_like(days.inputs), days.names)
        forecaster = MODELS["garch"]()
        model = forecaster._fit_model(history)
        forecast = forecaster._predict_day(model, filled(history), days.inputs[0])
        spread = forecaster._spread(model, filled(history), days.inputs[0])
        assert np.isfinite([forecast, spread]).all()
        assert (spread > 0).all()
        assert np.abs(forecast).max() < 100 * np.median(days.price)
    assert forecast == pytest.approx(-5.0, abs=1e-6)
