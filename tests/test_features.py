import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab import features
from gridlab.days import fold
from gridlab.errors import DataError
from gridlab.schema import mock_prices
from gridlab.sources import read_prices

ZONE = "America/New_York"
CATEGORIES = ["temporal", "price", "technical indicators", "market regime", "lags", "volume or load", "interactions"]


def wild_prices(days, freq="1h", start="2024-01-14", seed=3):
    """Prices with negative hours, spikes and drops, and two inputs, over a change of the clock."""
    rng = np.random.default_rng(seed)
    table = mock_prices(days, freq=freq, start=start)
    n = len(table)
    table["price"] += rng.normal(0, 8, n) - 40 * (rng.random(n) < 0.03) + 900 * (rng.random(n) < 0.01)
    table["wind_forecast"] = rng.gamma(2, 50, n)
    return table


PRICES = wild_prices(70)
WHOLE = wild_prices(180)


def build(prices, **given_arguments):
    return features.build(prices, market_tz=ZONE, country="US", **given_arguments)


def replaced_from(prices, first_day, seed, *, next_inputs=np.nan):
    """The table with all prices of a market day and after by noise, and the inputs after that day."""
    changed, rng = prices.copy(), np.random.default_rng(seed)
    dates = prices.index.tz_convert(ZONE).tz_localize(None).normalize()
    day = dates.unique()[first_day]
    changed.loc[dates >= day, "price"] = rng.normal(0, 1e5, (dates >= day).sum())
    changed.loc[dates > day, ["load_forecast", "wind_forecast"]] = next_inputs
    return changed, dates <= day


BUILT = build(PRICES)


@settings(max_examples=15, deadline=None)
@given(day=st.integers(0, 69), noise=st.integers(0, 2**32 - 1), next_inputs=st.sampled_from([np.nan, -1e9]))
def test_no_column_changes_when_the_future_is_replaced_by_noise(day, noise, next_inputs):
    changed, known = replaced_from(PRICES, day, noise, next_inputs=next_inputs)
    pd.testing.assert_frame_equal(BUILT[known], build(changed)[known], check_exact=True)


@pytest.mark.parametrize(("freq", "day"), [("5min", 57), ("15min", 60), ("30min", 61), ("4h", 68), ("24h", 63)])
def test_no_column_sees_the_future_at_any_interval(freq, day):
    prices = wild_prices(70, freq)
    changed, known = replaced_from(prices, day, seed=1)
    pd.testing.assert_frame_equal(build(prices)[known], build(changed)[known], check_exact=True)


def test_future_gaps_do_not_reach_the_past():
    changed, known = replaced_from(PRICES, 40, seed=1)
    changed.loc[~known, "price"] = np.nan
    pd.testing.assert_frame_equal(BUILT[known], build(changed)[known], check_exact=True)


def test_a_row_needs_no_more_than_the_days_of_memory():
    days = fold(WHOLE, ZONE)
    alone = features.of_days(days[-features.MEMORY_DAYS - 1 :], market_tz=ZONE, country="US")[-1]
    np.testing.assert_allclose(alone, features.of_days(days, market_tz=ZONE, country="US")[-1], rtol=1e-7, atol=1e-7)


def test_the_day_to_forecast_needs_no_prices_of_its_own():
    days = fold(PRICES)
    tomorrow = days[:-1].followed_by(np.full(24, np.nan), days.inputs[-1])
    np.testing.assert_array_equal(features.of_days(tomorrow), features.of_days(days))
    np.testing.assert_array_equal(features.of_days(days).reshape(-1, 260), features.build(PRICES))


def test_there_are_at_least_104_columns_in_seven_categories_even_without_inputs():
    bare = features.build(PRICES[["price"]])
    assert bare.shape[1] == len(features.names()) >= 104
    assert features.describe(list(bare.columns))["category"].unique().tolist() == [
        category for category in CATEGORIES if category != "volume or load"
    ]
    table = features.build(PRICES)
    assert list(table.columns) == features.names(["load_forecast", "wind_forecast"])
    described = features.describe(list(table.columns))
    assert described["category"].unique().tolist() == CATEGORIES
    assert list(described.index) == list(table.columns)
    assert not described.index.has_duplicates
    assert (described.map(len) > 0).all(axis=None)


def test_every_column_has_values_and_varies():
    table = build(wild_prices(430)).iloc[24 * 58 : -24]
    assert table.notna().all(axis=None)
    assert list(table.columns[table.min() == table.max()]) == []


def still(days=70, price=20.0, load=50.0):
    return mock_prices(days).assign(price=price, load_forecast=load)


def stepped():
    table = still()
    table.iloc[24 * 60 + 7 :, :] += 1e-3
    return table


def holes(table):
    row = np.arange(len(table))
    gone = (row // 24 == 100) | (row == 2402 + 24 * 20)
    return pd.DataFrame(np.broadcast_to(gone[:, None], table.shape), table.index, table.columns)


HARD = {
    "constant": still(),
    "zero": still(price=0.0, load=0.0),
    "constant that is no binary fraction": still(price=0.1, load=-0.7),
    "constant that begins to move": stepped(),
    "negative": WHOLE.assign(price=-WHOLE["price"]),
    "spikes of 1000 times the median": WHOLE.assign(price=WHOLE["price"].where(np.arange(len(WHOLE)) % 501 > 0, 3e4)),
    "input without values": WHOLE.assign(wind_forecast=np.nan),
    "a missing day and a missing hour": WHOLE.mask(holes(WHOLE)),
    "one day": still(days=1),
    "days of one interval": wild_prices(70, "24h"),
    "days of six intervals": wild_prices(70, "4h"),
}


@pytest.mark.parametrize("name", HARD)
def test_no_column_is_infinite_whatever_the_prices(name):
    table = features.build(HARD[name], market_tz="Europe/Oslo")
    assert not np.isinf(table).any(axis=None)
    if not name.startswith(("input without", "a missing", "one day")):
        n_in_a_day = len(table) // (180 if len(table) > 70 * 24 else 70)
        assert table.iloc[60 * n_in_a_day : -n_in_a_day].notna().all(axis=None)


def test_constant_prices_have_no_spread_no_trend_and_no_spikes():
    last = features.build(still(price=0.1, load=0.7)).iloc[-1]
    for name in ("price_sd_28d", "price_slot_sd_56d", "price_slot_z_28d", "price_trend_28d", "price_spike_share_28d"):
        assert last[name] == 0.0
    for name in ("price_rsi_14d", "price_slot_rsi_14d", "price_stochastic_14d"):
        assert last[name] == 50.0
    assert last["price_bollinger_position_20d"] == last["price_level_rank_56d"] == 0.5
    assert last["days_since_spike"] == 28
    assert last["load_forecast_z"] == 0.0


@pytest.mark.parametrize("scale", [4.0, 0.25])
def test_columns_scale_with_the_price_as_their_units_say(scale):
    table, scaled = build(WHOLE), build(WHOLE.assign(price=scale * WHOLE["price"]))
    has_price = features.describe(list(table.columns))["unit"].str.contains("$", regex=False)
    pd.testing.assert_frame_equal(scaled.loc[:, has_price], scale * table.loc[:, has_price], rtol=1e-9)
    pd.testing.assert_frame_equal(scaled.loc[:, ~has_price], table.loc[:, ~has_price], rtol=1e-9)


def test_columns_scale_with_the_inputs_as_their_units_say():
    names = ["load_forecast", "wind_forecast"]
    table, scaled = build(WHOLE), build(WHOLE.assign(**{name: 8 * WHOLE[name] for name in names}))
    has_input = features.describe(list(table.columns))["unit"].str.contains("as ")
    pd.testing.assert_frame_equal(scaled.loc[:, has_input], 8 * table.loc[:, has_input], rtol=1e-9)
    pd.testing.assert_frame_equal(scaled.loc[:, ~has_input], table.loc[:, ~has_input], rtol=1e-9)


# The slow, obvious versions: pandas on one column an hour, moved down by a day.


def by_hour(series):
    table = series.to_frame("value").assign(date=series.index.normalize(), hour=series.index.hour)
    return table.pivot_table(index="date", columns="hour", values="value", dropna=False).asfreq("D")


def enough(n):
    return int(np.ceil(0.75 * n))


def rolling(table, n):
    return table.rolling(n, min_periods=enough(n))


def slow_ewm(table, alpha):
    weights = (1 - alpha) ** np.arange(int(np.ceil(4 * (2 / alpha - 1))))[::-1]

    def average(past):
        there = ~np.isnan(past)
        return np.average(past[there], weights=weights[-len(past) :][there])

    return table.rolling(len(weights), min_periods=1).apply(average, raw=True)


def slow_rsi(table, n):
    change = table.diff()
    rises, falls = slow_ewm(change.clip(lower=0), 1 / n), slow_ewm(-change.clip(upper=0), 1 / n)
    return 100 - 100 / (1 + rises / falls)


def slow_macd(table):
    return slow_ewm(table, 2 / 13) - slow_ewm(table, 2 / 27)


def slow_rank(series, n):
    return rolling(series, n).apply(lambda past: ((past < past[-1]).sum() + (past == past[-1]).sum() / 2) / n, raw=True)


def slow_price_columns(price):
    p = by_hour(price).shift(1)
    m, low, high = p.mean(axis=1), p.min(axis=1), p.max(axis=1)
    all_slots = {n: [p.iloc[max(i - n + 1, 0) : i + 1].to_numpy().ravel() for i in range(len(p))] for n in (7, 28)}
    band = rolling(m, 20)
    return {
        "price_lag_1d": p,
        "price_lag_14d": p.shift(13),
        "price_lag_4_weeks": (p.shift(6) + p.shift(13) + p.shift(20) + p.shift(27)) / 4,
        "price_change_7d": p - p.shift(7),
        "price_mean_1d": m,
        "price_median_1d": p.median(axis=1),
        "price_sd_1d": p.std(axis=1, ddof=0),
        "price_range_1d": high - low,
        "price_rise_1d": p.diff(axis=1).max(axis=1),
        "price_fall_1d": -p.diff(axis=1).min(axis=1),
        "price_peak_hour_1d": p.fillna(-1e9).idxmax(axis=1),
        "price_morning_1d": p.loc[:, 6:11].mean(axis=1),
        "price_peak_spread_1d": p.loc[:, 8:19].mean(axis=1) - p.drop(columns=range(8, 20)).mean(axis=1),
        "price_max_7d": rolling(high, 7).max(),
        "price_mean_7d": pd.Series([past.mean() for past in all_slots[7]], p.index),
        "price_sd_28d": pd.Series([past.std() for past in all_slots[28]], p.index),
        "price_slot_mean_28d": rolling(p, 28).mean(),
        "price_slot_sd_28d": rolling(p, 28).std(ddof=0),
        "price_slot_median_28d": rolling(p, 28).median(),
        "price_slot_q10_28d": rolling(p, 28).quantile(0.1),
        "price_slot_q90_7d": rolling(p, 7).quantile(0.9),
        "price_slot_ewm_7d": slow_ewm(p, 1 - 0.5 ** (1 / 7)),
        "price_z_28d": (m - rolling(m, 28).mean()) / rolling(m, 28).std(ddof=0),
        "price_slot_z_28d": (p - rolling(p, 28).mean()) / rolling(p, 28).std(ddof=0),
        "price_rsi_14d": slow_rsi(m, 14),
        "price_slot_rsi_14d": slow_rsi(p, 14),
        "price_macd": slow_macd(m),
        "price_slot_macd": slow_macd(p),
        "price_bollinger_upper_20d": band.mean() + 2 * band.std(ddof=0),
        "price_bollinger_lower_20d": band.mean() - 2 * band.std(ddof=0),
        "price_bollinger_position_20d": (m - band.mean() + 2 * band.std(ddof=0)) / (4 * band.std(ddof=0)),
        "price_stochastic_14d": 100 * (m - rolling(m, 14).min()) / (rolling(m, 14).max() - rolling(m, 14).min()),
        "price_momentum_28d": m - m.shift(28),
        "price_negative_share_28d": rolling((p < 0).mean(axis=1).where(m.notna()), 28).mean(),
        "price_level_rank_56d": slow_rank(m, 56),
        "price_trend_7d": rolling(m, 7).apply(lambda past: np.polyfit(np.arange(len(past)), past, 1)[0]),
        "price_naive_error_28d": rolling((p - p.shift(1)).abs().mean(axis=1).where(m.shift(1).notna()), 28).mean(),
    }


def compared(columns, expected, since):
    for name, slow in expected.items():
        wide = slow.to_frame(0) if isinstance(slow, pd.Series) else slow
        fast = by_hour(columns[name])
        values = np.broadcast_to(wide.to_numpy(float), fast.shape)[since:]
        np.testing.assert_allclose(fast.to_numpy()[since:], values, rtol=1e-7, atol=1e-7, err_msg=name)


def test_price_columns_agree_with_pandas_on_one_column_an_hour():
    prices = wild_prices(60)
    compared(features.build(prices), slow_price_columns(prices["price"]), since=57)


def test_statistics_of_a_slot_pass_over_gaps_as_pandas_does():
    prices = wild_prices(60)
    prices.iloc[[*range(40 * 24, 41 * 24), *range(55 * 24 + 4, 55 * 24 + 7)], 0] = np.nan
    slow = slow_price_columns(prices["price"])
    names = ["price_slot_mean_28d", "price_slot_sd_28d", "price_slot_q10_28d", "price_slot_median_28d"]
    names += ["price_slot_ewm_7d", "price_max_7d", "price_slot_macd", "price_mean_1d", "price_lag_4_weeks"]
    compared(features.build(prices), {name: slow[name] for name in names}, since=45)


def test_a_window_needs_values_for_three_quarters_of_it():
    prices = wild_prices(60)
    prices.iloc[48 * 24 : 50 * 24, 0] = np.nan
    table = features.build(prices)["price_slot_mean_7d"]
    missing = table.isna().groupby(table.index.normalize()).all().to_numpy()
    assert np.flatnonzero(missing).tolist() == [*range(6), *range(50, 56)]


def test_input_columns_are_what_their_formulas_say():
    prices = wild_prices(60)
    x, table = by_hour(prices["wind_forecast"]), features.build(prices)
    past, p = x.shift(1), by_hour(prices["price"]).shift(1)
    last28 = slice(-29, -1)
    z = (x.iloc[-1] - x[last28].to_numpy().mean()) / x[last28].to_numpy().std()
    correlation = np.corrcoef(p[-28:].to_numpy().ravel(), past[-28:].to_numpy().ravel())[0, 1]
    line = np.polyfit(past[-28:].to_numpy().ravel(), p[-28:].to_numpy().ravel(), 1)
    compared(
        table.rename(columns=lambda name: name.removeprefix("wind_forecast_")),
        {
            "lag_7d": x.shift(7),
            "change_1d": x - past,
            "day_max": x.max(axis=1),
            "from_day_mean": x.sub(x.mean(axis=1), axis=0),
            "hours_from_peak": -x.idxmax(axis=1).to_frame().to_numpy() + 0 * x + np.arange(24),
            "slot_mean_28d": past.rolling(28).mean(),
            "slot_rank_28d": x.apply(lambda column: slow_rank(column, 28)),
            "price_slot_correlation_28d": p.rolling(28).corr(past),
        },
        since=58,
    )
    flat = prices["wind_forecast"]
    pd.testing.assert_series_equal(table["wind_forecast_ramp_3h"], flat.diff(3), check_names=False, rtol=1e-9)
    last_day = table.iloc[-24:]
    np.testing.assert_allclose(last_day["wind_forecast_z"], z)
    np.testing.assert_allclose(last_day["wind_forecast_price_correlation_28d"], correlation)
    np.testing.assert_allclose(last_day["wind_forecast_price_fit_28d"], np.polyval(line, x.iloc[-1]))


def test_products_are_those_of_the_columns_in_their_names():
    table = build(PRICES)
    products = [name for name in table.columns if "_x_" in name]
    assert len(products) > 30
    for name in products:
        first, second = name.split("_x_")
        second = second if second in table.columns else "wind_forecast_z"
        pd.testing.assert_series_equal(table[name], table[first] * table[second], check_names=False)
    residual = PRICES["load_forecast"] - PRICES["wind_forecast"]
    pd.testing.assert_series_equal(table["load_forecast_minus_wind_forecast"], residual, check_names=False)


def test_the_macd_signal_smooths_the_line_and_the_histogram_is_their_difference():
    table = features.build(WHOLE)
    line = by_hour(table["price_slot_macd"])[-70:]
    slow = slow_ewm(line, 2 / 10)
    fast = by_hour(table["price_slot_macd_signal"])
    np.testing.assert_allclose(fast[-30:], slow[-30:])
    difference = table["price_slot_macd"] - table["price_slot_macd_signal"]
    pd.testing.assert_series_equal(table["price_slot_macd_histogram"], difference, check_names=False)


def test_the_cut_of_exponential_means_is_hardly_seen():
    price, table = by_hour(WHOLE["price"]).shift(1), features.build(WHOLE)
    gap = by_hour(table["price_slot_macd"]) - (price.ewm(span=12).mean() - price.ewm(span=26).mean())
    assert gap.abs().max(axis=None) < 5e-4 * np.ptp(WHOLE["price"])


def test_a_planted_spike_and_drop_are_counted_and_dated():
    prices = mock_prices(70)
    prices["price"] = 20 + (np.arange(len(prices)) // 24) % 3
    prices.iloc[60 * 24 + 5, 0], prices.iloc[62 * 24, 0] = 500.0, -500.0
    daily = features.build(prices)[::24].reset_index(drop=True)
    assert daily["price_spike_share_1d"][58:65].tolist() == [0, 0, 0, 1 / 24, 0, 0, 0]
    assert daily["days_since_spike"][59:65].tolist() == [28, 28, 1, 2, 3, 4]
    assert daily["days_since_drop"][60:65].tolist() == [28, 28, 28, 1, 2]
    assert daily["price_drop_share_7d"][69] == pytest.approx(1 / 24 / 7)


def test_the_naive_lag_is_that_of_the_field_and_same_kind_follows_the_holidays():
    table = build(wild_prices(60, start="2024-06-01"))
    table["day"] = table.index.tz_convert(ZONE).strftime("%m-%d")
    july = table.groupby("day").nth(10).set_index("day")
    assert july["price_lag_naive"]["07-02"] == july["price_lag_1d"]["07-02"]
    assert july["price_lag_naive"]["07-01"] == july["price_lag_7d"]["07-01"]
    assert july["price_lag_same_kind"]["07-04"] == july["price_lag_4d"]["07-04"]  # a Thursday, from Sunday
    assert july["price_lag_same_kind"]["07-05"] == july["price_lag_2d"]["07-05"]  # a Friday, from Wednesday


def test_neighbours_and_last_hours_are_of_the_days_before():
    price, table = PRICES["price"], features.build(PRICES)
    time = PRICES.index[30 * 24 + 5]
    row, hour = table.loc[time], pd.Timedelta(hours=1)
    assert row["price_lag_1d_plus_2h"] == price[time - 22 * hour]
    assert row["price_lag_7d_minus_1h"] == price[time - 169 * hour]
    assert row["price_last_1d"] == price[time - 6 * hour]
    assert row["price_last_3h_1d"] == pytest.approx(price[time - 8 * hour : time - 6 * hour].mean())
    midnight = table.loc[time.normalize() + 23 * hour]
    assert midnight["price_lag_1d_plus_2h"] == midnight["price_last_1d"]


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
    assert list(table.columns) == features.names(["load_forecast"])
    assert len(table) == 10 * pd.Timedelta(days=1) / pd.Timedelta(freq)


def test_prices_held_for_the_hour_give_the_same_features_at_any_interval():
    hourly = wild_prices(60)
    quarters = hourly.reindex(
        pd.date_range(hourly.index[0], periods=4 * len(hourly), freq="15min", name="time")
    ).ffill()
    names = [name for name in features.names(["load_forecast", "wind_forecast"]) if not name.startswith("week_")]
    names = [name for name in names if not name.startswith(("hour", "price_realised"))]
    names = [name for name in names if not any(word in name for word in ("_x_hour", "from_peak", "h_1d"))]
    fast = features.build(quarters, columns=names)[::4]
    slow = features.build(hourly, columns=names)
    pd.testing.assert_frame_equal(fast, slow, check_freq=False, rtol=1e-7, atol=1e-7)


def test_the_calendar_is_that_of_the_markets_date():
    times = pd.date_range("2024-07-04", periods=30, freq="1h", tz="UTC")
    flags = features.temporal(times, market_tz=ZONE, country="US")["is_holiday"]
    assert flags.tolist() == [0.0] * 4 + [1.0] * 24 + [0.0] * 2
    with pytest.raises(DataError, match="country must be an ISO 3166 code"):
        features.temporal(times, country="Atlantis")


def test_days_around_a_holiday_bridges_and_changes_of_the_clock_are_marked():
    table = features.temporal(pd.date_range("2024-07-01T12:00", periods=10, tz="UTC"), market_tz=ZONE, country="US")
    at = {name: table.index[table[name] == 1].day.tolist() for name in table.columns}
    assert at["is_day_before_holiday"] == [3]
    assert at["is_day_after_holiday"] == at["is_bridge_day"] == [5]
    assert at["is_free_day"] == [4, 6, 7]
    year = features.temporal(pd.date_range("2024-01-01T12:00", periods=366, tz="UTC"), market_tz="Europe/Berlin")
    moved = year["hours_put_forward"]
    assert moved[moved != 0].to_dict() == {
        pd.Timestamp("2024-03-31T12:00Z"): 1.0,
        pd.Timestamp("2024-10-27T12:00Z"): -1.0,
    }


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "UTC", ZONE])
def test_the_calendar_of_a_table_is_that_of_its_times_even_off_the_hour(zone):
    calendar = features.temporal(PRICES.index, market_tz=zone)
    pd.testing.assert_frame_equal(features.build(PRICES, market_tz=zone, columns=list(calendar.columns)), calendar)


@pytest.mark.parametrize("make", [features.build, features.temporal, features.fourier])
def test_a_zone_that_is_none_is_refused_with_an_example_of_one(make):
    with pytest.raises(DataError, match="there is no time zone 'Mars/Olympus': use an IANA name such as"):
        make(PRICES if make is features.build else PRICES.index, market_tz="Mars/Olympus")


def test_fourier_terms_repeat_after_a_week_and_are_orthogonal_over_one():
    terms = features.fourier(pd.date_range("2024-01-01", periods=336, freq="1h", tz="UTC"), daily=3, weekly=2)
    assert np.allclose(terms[:168], terms[168:])
    assert np.allclose(terms[:168].T @ terms[:168], 84 * np.eye(10))


def test_columns_asked_for_by_name_have_the_values_of_the_whole_table():
    names = ["wind_forecast_z_x_is_peak", "price_macd_signal", "hour", "load_forecast_minus_wind_forecast"]
    pd.testing.assert_frame_equal(build(PRICES, columns=names), build(PRICES)[names])


def test_unknown_and_ambiguous_columns_are_refused():
    with pytest.raises(DataError, match="no feature 'price_lag_1', did you mean 'price_lag_1d'"):
        features.build(PRICES, columns=["price_lag_1"])
    with pytest.raises(DataError, match="no feature 'zzz'"):
        features.describe(["zzz"])
    with pytest.raises(DataError, match="'load_forecast_minus_wind_forecast' is the name of an input and of a column"):
        features.build(PRICES.assign(load_forecast_minus_wind_forecast=1.0))


# Selection

NOISE = np.random.default_rng(11).normal(size=(600, 100))
TABLE = pd.DataFrame(NOISE, columns=[f"noise_{i}" for i in range(100)]).assign(
    signal=lambda table: table["noise_0"] * 0 + np.random.default_rng(12).normal(size=600)
)
TARGET = np.exp(2 * TABLE["signal"]) + np.random.default_rng(13).normal(size=600)


def test_selection_finds_a_planted_signal_among_noise():
    assert features.select(TABLE, TARGET, 1) == ["signal"]
    assert features.select(TABLE, TARGET, 5)[0] == "signal"
    assert len(features.select(TABLE, TARGET, 5)) == 5


def test_selection_leaves_out_copies_constants_and_empty_columns():
    table = TABLE.assign(
        copy=-3 * TABLE["signal"] + 1,
        nearly=TABLE["signal"] + 0.01 * TABLE["noise_1"],
        flat=7.0,
        rounding=0.1 + np.where(TARGET > 0, 1e-17, 0.0) + 3e-17 * np.arange(600),
        rare=(np.arange(600) == TARGET.argmax()).astype(float),
        empty=np.nan,
    )
    chosen = features.select(table, TARGET, 200)
    assert len(chosen) == 101
    assert len({"signal", "copy", "nearly"} & set(chosen)) == 1
    assert not {"flat", "rounding", "rare", "empty"} & set(chosen)
    assert "nearly" in features.select(table.drop(columns="copy"), TARGET, 200, max_correlation=1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_selection_is_the_same_for_rows_in_any_order_and_columns_of_any_scale(seed):
    rng = np.random.default_rng(seed)
    table, target = TABLE.copy(), TARGET.copy()
    table["copy"] = 2 * table["signal"]
    chosen = features.select(table, target, 20)
    order = rng.permutation(600)
    assert features.select(table.iloc[order], target.iloc[order], 20) == chosen
    assert features.select(table.iloc[order], target, 20) == chosen
    assert features.select(table * 10.0 ** rng.integers(-6, 7, table.shape[1]), 1e3 * target, 20) == chosen


def test_selection_leaves_out_rows_without_target_or_columns():
    table, target = TABLE.copy(), TARGET.copy()
    target[:50] = np.nan
    table.loc[50:99, "noise_3"] = np.nan
    assert features.select(table, target, 10) == features.select(TABLE[100:], TARGET[100:], 10)
    assert features.select(table, target.to_numpy(), 10) == features.select(table, target, 10)


@pytest.mark.parametrize(
    ("X", "y", "k", "message"),
    [
        (TABLE, TARGET, 0, "k must be a whole number of columns, 1 or more, got 0"),
        (TABLE, TARGET, 2.5, "k must be a whole number"),
        (TABLE, TARGET.to_numpy()[:-1], 3, r"one value for each of the 600 rows of X, got shape \(599,\)"),
        (TABLE, TARGET.set_axis(TARGET.index + 1000), 3, "no rows in common"),
        (TABLE, TARGET.set_axis(TARGET.index // 2), 3, "has a time twice"),
        (TABLE, 0 * TARGET + 5, 3, "y is 5 in every complete row"),
        (TABLE, TARGET * np.nan, 3, "0 of 600 rows have a target"),
        (pd.concat([TABLE, TABLE["signal"]], axis=1), TARGET, 3, "the column 'signal' twice"),
    ],
)
def test_selection_refuses_what_it_cannot_rank(X, y, k, message):
    with pytest.raises(DataError, match=message):
        features.select(X, y, k)


def test_selection_refuses_a_correlation_outside_0_and_1():
    with pytest.raises(DataError, match=r"max_correlation must be in \(0, 1\], got 0"):
        features.select(TABLE, TARGET, 3, max_correlation=0)


def test_on_a_real_market_the_chosen_columns_foretell_better_than_the_naive(data_dir):
    prices = read_prices(data_dir / "epf" / "PJM.csv").iloc[: 1456 * 24]
    table, price = features.build(prices), prices["price"]
    past, future = slice(60 * 24, 728 * 24), slice(728 * 24, 1456 * 24)
    chosen = features.select(table[past], price[past], 30)
    design = np.column_stack([table[chosen], np.ones(len(table))])
    weights = np.linalg.lstsq(design[past], price[past], rcond=None)[0]
    error = np.abs(design[future] @ weights - price[future]).mean()
    assert error < np.abs(table["price_lag_naive"][future] - price[future]).mean()
