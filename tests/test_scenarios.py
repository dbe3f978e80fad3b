"""Scenarios: whole days of past errors around a forecast."""

import numpy as np
import pytest

from gridlab import scenarios
from gridlab.errors import DataError
from gridlab.schema import mock_forecast, mock_prices


def test_each_path_is_the_forecast_plus_the_error_of_one_past_day():
    forecast, prices = mock_forecast(days=9), mock_prices(days=9)
    params = scenarios.calibrate_bootstrap(forecast, prices)
    mean = np.linspace(20, 40, 24)
    paths = scenarios.simulate_bootstrap(params, mean, n_paths=50, rng=np.random.default_rng(3))
    errors = (prices["price"].to_numpy() - forecast["mean"].to_numpy()).reshape(9, 24)
    for path in paths:
        assert np.isclose(path - mean, errors).all(axis=1).any()


def test_the_mean_of_many_paths_is_the_forecast_plus_the_mean_error():
    params = scenarios.calibrate_bootstrap(mock_forecast(days=20), mock_prices(days=20))
    paths = scenarios.simulate_bootstrap(params, np.zeros(24), n_paths=20_000, rng=np.random.default_rng(0))
    assert paths.shape == (20_000, 24)
    assert paths.mean(axis=0) == pytest.approx(params.residuals.mean(axis=0), abs=0.4)


def test_one_seed_gives_one_set_of_paths():
    params = scenarios.calibrate_bootstrap(mock_forecast(days=9), mock_prices(days=9))
    one, two = (
        scenarios.simulate_bootstrap(params, np.zeros(24), n_paths=5, rng=np.random.default_rng(1)) for _ in range(2)
    )
    assert (one == two).all()


def test_days_with_a_gap_and_days_of_another_length_are_left_out_and_counted():
    forecast, prices = mock_forecast(days=9), mock_prices(days=9)
    prices.iloc[30, 0] = np.nan
    forecast = forecast.drop(forecast.index[24 * 4 + 2])
    params = scenarios.calibrate_bootstrap(forecast, prices)
    assert params.residuals.shape == (7, 24)
    assert params.left_out == 2


def test_the_order_of_the_forecasts_rows_does_not_matter():
    forecast, prices = mock_forecast(days=5), mock_prices(days=5)
    shuffled = forecast.sample(frac=1, random_state=0)
    straight, mixed = (scenarios.calibrate_bootstrap(table, prices).residuals for table in (forecast, shuffled))
    assert (straight == mixed).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="none of the 2 forecasts"):
        scenarios.calibrate_bootstrap(mock_forecast(days=2), mock_prices(days=2, start="2030-01-01"))
    params = scenarios.calibrate_bootstrap(mock_forecast(days=2), mock_prices(days=2))
    with pytest.raises(DataError, match=r"mean must have shape \(24,\)"):
        scenarios.simulate_bootstrap(params, np.zeros(23), n_paths=1, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="n_paths"):
        scenarios.simulate_bootstrap(params, np.zeros(24), n_paths=0, rng=np.random.default_rng(0))


def test_no_forecast_gives_no_errors_to_draw_from():
    with pytest.raises(DataError, match="the forecast has no rows"):
        scenarios.calibrate_bootstrap(mock_forecast(days=2)[:0], mock_prices(days=2))
