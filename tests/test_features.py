import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import features
from gridlab.errors import DataError
from gridlab.schema import mock_prices

PRICES = mock_prices(days=40)


@given(day=st.integers(0, 39), noise=st.integers(0, 2**32 - 1))
def test_no_column_changes_when_the_future_is_replaced_by_noise(day, noise):
    changed = PRICES.copy()
    changed.iloc[24 * day :, 0] = np.random.default_rng(noise).normal(0, 1000, len(PRICES) - 24 * day)
    changed.iloc[24 * (day + 1) :, 1] = np.nan
    upto = slice(0, 24 * (day + 1))
    pd.testing.assert_frame_equal(features.build(PRICES)[upto], features.build(changed)[upto], check_exact=True)


def test_every_column_has_values_and_some_variation():
    table = features.build(mock_prices(days=400)).dropna()
    assert len(table) == (400 - 28) * 24
    still = set(table.columns[table.min() == table.max()])
    assert still == {"is_holiday"}


def test_lags_and_rolling_statistics_are_what_their_names_say():
    table, price = features.build(PRICES), PRICES["price"]
    time = PRICES.index[30 * 24 + 5]
    midnight = time.normalize()
    week = price[midnight - pd.Timedelta(days=7) : midnight - pd.Timedelta(hours=1)]
    yesterday = week[-24:]
    row = table.loc[time]
    assert row["price_lag_3d"] == price[time - pd.Timedelta(days=3)]
    assert row["price_last_1d"] == yesterday.iloc[-1]
    assert row["price_min_1d"] == yesterday.min()
    assert row["price_max_1d"] == yesterday.max()
    assert row["price_mean_7d"] == pytest.approx(week.mean())
    assert row["price_sd_7d"] == pytest.approx(week.std(ddof=0))
    assert row["price_slot_mean_7d"] == pytest.approx(week[week.index.hour == 5].mean())
    assert row["load_forecast"] == PRICES.loc[time, "load_forecast"]
    assert row["load_forecast_lag_1d"] == PRICES.loc[time - pd.Timedelta(days=1), "load_forecast"]


def test_lags_follow_the_markets_clock_when_it_changes():
    prices = mock_prices(days=10, start="2024-03-06")
    table = features.build(prices, market_tz="America/Los_Angeles")
    noon_after = pd.Timestamp("2024-03-10 12:00", tz="America/Los_Angeles").tz_convert("UTC")
    noon_before = pd.Timestamp("2024-03-09 12:00", tz="America/Los_Angeles").tz_convert("UTC")
    assert noon_after - noon_before == pd.Timedelta(hours=23)
    assert table.loc[noon_after, "price_lag_1d"] == prices.loc[noon_before, "price"]


@pytest.mark.parametrize("freq", ["5min", "15min", "30min"])
def test_shorter_intervals_give_the_same_columns(freq):
    table = features.build(mock_prices(days=10, freq=freq))
    assert list(table.columns) == list(features.build(PRICES).columns)
    assert len(table) == 10 * pd.Timedelta(days=1) / pd.Timedelta(freq)


def test_holidays_are_those_of_the_country_by_the_markets_date():
    times = pd.date_range("2024-07-04", periods=30, freq="1h", tz="UTC")
    flags = features.temporal(times, market_tz="America/New_York", country="US")["is_holiday"]
    assert flags.tolist() == [0.0] * 4 + [1.0] * 24 + [0.0] * 2
    with pytest.raises(DataError, match="country must be an ISO 3166 code"):
        features.temporal(times, country="Atlantis")


@pytest.mark.parametrize("make", [features.build, features.temporal, features.fourier])
def test_a_zone_that_is_none_is_refused_with_an_example_of_one(make):
    with pytest.raises(DataError, match="there is no time zone 'Mars/Olympus': use an IANA name such as"):
        make(PRICES if make is features.build else PRICES.index, market_tz="Mars/Olympus")


def test_fourier_terms_repeat_after_a_week_and_are_orthogonal_over_one():
    terms = features.fourier(pd.date_range("2024-01-01", periods=336, freq="1h", tz="UTC"), daily=3, weekly=2)
    assert np.allclose(terms[:168], terms[168:])
    assert np.allclose(terms[:168].T @ terms[:168], 84 * np.eye(10))
