"""What is simulated of a compute site's products."""

import numpy as np
import pandas as pd
import pytest

from gridlab.errors import DataError
from gridlab.schema import mock_prices
from gridlab.sources import simulate_market, simulate_products


def made(seed=0, days=2000, **options):
    prices = mock_prices(days=days).drop(columns="load_forecast")
    return simulate_products(prices, inference_demand=80, rng=np.random.default_rng(seed), **options)


def test_columns_that_the_file_has_stay_as_they_are_and_are_not_called_made():
    prices = mock_prices(days=3).assign(hash_price=5.0)
    more = simulate_products(prices, rng=np.random.default_rng(1))
    pd.testing.assert_frame_equal(more[prices.columns], prices)
    assert more.attrs["made"] == ["token_price", "temperature_c"]
    assert "made" not in prices.attrs


def test_levels_are_the_medians_of_the_paths_and_follow_the_usual_price():
    prices = made()
    assert prices["hash_price"].median() * 24 == pytest.approx(51.91, rel=0.03)
    assert prices["token_price"].median() == pytest.approx(0.6, rel=0.03)
    dear = made(usual_price=60.0)
    np.testing.assert_allclose(dear["hash_price"], 2 * prices["hash_price"])
    np.testing.assert_allclose(dear["temperature_c"], prices["temperature_c"])


def test_the_noise_has_the_deviation_and_the_correlation_that_the_module_says():
    logs = np.log(made()[["hash_price", "token_price"]])
    np.testing.assert_allclose(logs.std(), 0.10, atol=0.015)
    assert logs.corr().iloc[0, 1] == pytest.approx(0.5, abs=0.15)


def test_an_interval_of_half_the_length_pays_half():
    times = {"start": "2024-01-01", "days": 400, "rng": np.random.default_rng(2)}
    half, whole = simulate_market(freq="30min", **times), simulate_market(freq="1h", **times)
    ratio = [
        simulate_products(table, rng=np.random.default_rng(3))[["hash_price", "token_price"]].median()
        for table in (half, whole)
    ]
    np.testing.assert_allclose(ratio[0] / ratio[1], 0.5, rtol=0.1)


def test_demand_and_cold_are_least_and_greatest_at_four_of_the_market_s_clock():
    prices = made(market_tz="Europe/Oslo")
    by_hour = prices.groupby(prices.index.tz_convert("Europe/Oslo").hour)
    assert by_hour["inference_demand"].mean().idxmin() == 4
    assert abs(by_hour["temperature_c"].mean().idxmin() - 4) <= 1
    assert prices["inference_demand"].between(0, 80).all()


@pytest.mark.parametrize("name", ["hash_price", "token_price", "usual_price"])
@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, np.inf])
def test_a_level_that_is_not_above_zero_is_refused_by_name(name, level):
    with pytest.raises(DataError, match=name):
        simulate_products(mock_prices(days=1), rng=np.random.default_rng(0), **{name: level})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inference_demand", -1.0),
        ("inference_demand", np.nan),
        ("inference_demand", np.inf),
        ("outside_c", np.nan),
        ("outside_c", -np.inf),
    ],
)
def test_demand_and_weather_that_cannot_be_are_refused_by_name(name, value):
    with pytest.raises(DataError, match=f"{name} must be .* got {value}"):
        simulate_products(mock_prices(days=1), rng=np.random.default_rng(0), **{name: value})


def test_no_demand_and_frost_are_possible_and_a_wrong_time_zone_is_refused():
    prices = made(days=30, outside_c=-20.0)
    assert prices["temperature_c"].mean() == pytest.approx(-20, abs=3)
    none = simulate_products(mock_prices(days=1), rng=np.random.default_rng(0), inference_demand=0)
    assert (none["inference_demand"] == 0).all()
    with pytest.raises(DataError, match="there is no time zone 'Mars'"):
        made(days=1, market_tz="Mars")
