import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.days import day_times, filled, fold, gap_dates, market_dates, unfold
from gridlab.errors import DataError
from gridlab.schema import mock_prices

ZONES = ["UTC", "America/Los_Angeles", "Europe/Oslo", "Asia/Kolkata"]
FREQS = ["5min", "15min", "30min", "1h"]


@pytest.mark.parametrize(
    ("zone", "freq"),
    # hours of UTC begin at half past there, and would share a slot
    [(zone, freq) for zone in ZONES for freq in FREQS if (zone, freq) != ("Asia/Kolkata", "1h")],
)
def test_what_is_folded_unfolds_again_but_for_the_hour_shown_twice(zone, freq):
    prices = mock_prices(days=9, freq=freq, start="2024-10-26")
    days = fold(prices, zone)
    back = unfold(days.price, days.dates, prices.index, zone)
    twice = prices.index.tz_convert(zone).tz_localize(None).duplicated(keep=False)
    assert (back[~twice] == prices["price"].to_numpy()[~twice]).all()
    assert twice.sum() == (0 if zone in ("UTC", "Asia/Kolkata") else 2 * days.n_slots / 24)


def test_the_hour_that_the_clock_skips_is_interpolated_and_the_one_it_shows_twice_averaged():
    spring = fold(mock_prices(days=3, start="2024-03-09"), "America/Los_Angeles")
    row = list(spring.dates).index(pd.Timestamp("2024-03-10"))
    assert spring.price[row, 2] == pytest.approx((spring.price[row, 1] + spring.price[row, 3]) / 2)
    prices = mock_prices(days=3, start="2024-11-02")
    autumn = fold(prices, "America/Los_Angeles")
    row = list(autumn.dates).index(pd.Timestamp("2024-11-03"))
    twice = prices.loc["2024-11-03 08:00":"2024-11-03 09:00", "price"]
    assert autumn.price[row, 1] == pytest.approx(twice.mean())


def test_a_market_day_has_23_24_or_25_hours():
    index = mock_prices(days=1).index
    lengths = [
        len(day_times(pd.Timestamp(d), index, "America/Los_Angeles"))
        for d in ("2024-03-10", "2024-07-01", "2024-11-03")
    ]
    assert lengths == [23, 24, 25]


@given(holes=st.sets(st.integers(0, 20 * 24 - 1), max_size=60))
def test_the_days_of_a_gap_are_those_with_a_missing_price(holes):
    prices = mock_prices(days=20)
    prices.iloc[sorted(holes), 0] = np.nan
    expected = market_dates(prices.index[sorted(holes)]).unique()
    assert list(gap_dates(prices)) == list(expected)


@given(holes=st.sets(st.integers(24, 20 * 24 - 1), max_size=60), origin=st.integers(2, 19))
def test_a_gap_is_filled_from_the_past_alone(holes, origin):
    prices = mock_prices(days=20)
    prices.iloc[sorted(holes), 0] = np.nan
    days = fold(prices)
    whole = filled(days)
    assert not np.isnan(whole.price).any()
    assert (filled(days[:origin]).price == whole.price[:origin]).all()
    known = ~np.isnan(days.price)
    assert (whole.price[known] == days.price[known]).all()


def test_days_that_open_with_a_gap_are_left_out_of_what_is_filled():
    prices = mock_prices(days=5)
    prices.iloc[:30, 0] = np.nan
    assert [d.day for d in filled(fold(prices)).dates] == [3, 4, 5]


def test_intervals_that_do_not_divide_a_day_are_refused():
    with pytest.raises(DataError, match="intervals must divide a day, got 50 minutes"):
        fold(mock_prices(days=5, freq="50min"))


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "/etc", "UTC+1", "../x"])
def test_a_zone_that_is_none_is_refused_with_an_example_of_one(name):
    with pytest.raises(DataError, match=f"there is no time zone {re.escape(repr(name))}: use an IANA name such as"):
        fold(mock_prices(days=2), name)


def test_a_table_without_rows_is_refused():
    with pytest.raises(DataError, match="has no rows: choose a period within the data"):
        gap_dates(mock_prices(days=2).iloc[:0])
