import numpy as np
import pytest
import pywt
from hypothesis import given
from hypothesis import strategies as st

from gridlab.days import Days, filled, fold
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.wavelet import day_bands
from gridlab.schema import mock_prices
from gridlab.sources import read_prices
from gridlab.wavelets import bands, causal_bands, continuous, denoise, periodicities

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(20, 400)
HOURS = np.arange(24 * 7 * 12)


def sines(n_times, *periods):
    return sum(np.sin(2 * np.pi * np.arange(n_times) / period + period) for period in periods)


@given(seed=seeds, n_times=lengths, wavelet=st.sampled_from(["db4", "haar", "sym8"]))
def test_bands_add_up_to_the_series(seed, n_times, wavelet):
    series = np.random.default_rng(seed).normal(0, 100, size=(2, n_times)).cumsum(axis=1)
    assert bands(series, wavelet).sum(axis=0) == pytest.approx(series, abs=1e-10 * np.abs(series).max())
    assert causal_bands(series, level=4).sum(axis=0) == pytest.approx(series, abs=1e-10 * np.abs(series).max())


@given(seed=seeds, cut=st.integers(1, 199))
def test_no_causal_band_changes_when_the_future_is_replaced_by_noise(seed, cut):
    rng = np.random.default_rng(seed)
    series = rng.normal(size=200)
    changed = np.concatenate([series[:cut], rng.normal(0, 1000, 200 - cut)])
    assert (causal_bands(changed, level=6)[:, :cut] == causal_bands(series, level=6)[:, :cut]).all()


def test_a_causal_smooth_is_the_mean_of_the_values_it_spans():
    series = np.random.default_rng(0).normal(size=64)
    smooth = causal_bands(series, level=3)[0]
    assert smooth[7:] == pytest.approx([series[t - 7 : t + 1].mean() for t in range(7, 64)])


def test_bands_of_a_sine_lie_where_its_period_does():
    energy = (bands(sines(1024, 12), level=6) ** 2).sum(axis=1)
    assert energy[::-1].argmax() == 2  # finest first, level 3 spans periods of 8 to 16
    assert energy.max() > 0.8 * energy.sum()


@pytest.mark.parametrize("threshold", ["universal", "sure", "bayes"])
@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_denoising_brings_a_noisy_series_closer_to_the_clean_one(threshold, mode):
    clean = 3 * sines(1024, 300) + 2 * (np.arange(1024) > 512)
    noisy = clean + np.random.default_rng(0).normal(size=(20, 1024))
    denoised = denoise(noisy, "db4", threshold=threshold, mode=mode)
    assert np.mean((denoised - clean) ** 2) < 0.35 * np.mean((noisy - clean) ** 2)


def test_the_universal_threshold_leaves_of_white_noise_the_smooth_and_the_others_leave_little():
    noise = np.random.default_rng(1).normal(size=(50, 512))
    n_smooth = len(pywt.wavedec(noise[0], "db4", mode="symmetric")[0])
    assert denoise(noise).var() < 1.3 * n_smooth / 512
    for threshold in ("sure", "bayes"):
        assert denoise(noise, threshold=threshold).var() < 0.5


def test_the_sure_threshold_has_the_least_risk_by_a_slow_search_where_details_are_dense():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(1, 512)) + 20 * (np.arange(512) % 17 < 5)
    approximation, *details = pywt.wavedec(rows[0], "haar", mode="symmetric", level=2)
    noise_sd = np.median(np.abs(details[-1])) / 0.6745

    def risk(unit, t):
        return len(unit) - 2 * np.sum(np.abs(unit) <= t) + np.sum(np.minimum(unit**2, t**2))

    expected = []
    for detail in details:
        unit = detail / noise_sd
        grid = [t for t in np.abs(unit) if t <= np.sqrt(2 * np.log(len(unit)))]
        threshold = min(grid, key=lambda t, unit=unit: risk(unit, t)) * noise_sd
        assert np.mean(unit**2 - 1) > np.log2(len(unit)) ** 1.5 / np.sqrt(len(unit))
        expected.append(np.sign(detail) * np.maximum(np.abs(detail) - threshold, 0))
    slow = pywt.waverec([approximation, *expected], "haar", mode="symmetric")
    assert denoise(rows, "haar", level=2, threshold="sure")[0] == pytest.approx(slow, abs=1e-9)


@pytest.mark.parametrize("threshold", ["universal", "sure", "bayes"])
@given(scale=st.floats(0.1, 10), shift=st.floats(-100, 100))
def test_every_threshold_moves_with_scale_and_shift_and_keeps_a_constant(threshold, scale, shift):
    rows = np.random.default_rng(0).normal(size=(2, 192))
    moved = denoise(scale * rows + shift, threshold=threshold)
    assert moved == pytest.approx(scale * denoise(rows, threshold=threshold) + shift, abs=1e-6)
    assert denoise(np.full(192, shift), threshold=threshold) == pytest.approx(np.full(192, shift), abs=1e-9)


def test_the_rule_stops_where_the_filter_no_longer_fits_and_a_series_too_short_stays_as_it_is():
    series = np.random.default_rng(0).normal(size=192)
    assert (denoise(series) == denoise(series, level=4)).all()
    assert len(bands(series)) == 5
    assert (denoise(series[:6]) == series[:6]).all()
    assert (bands(series[:6]) == series[:6]).all()


@pytest.mark.parametrize("wavelet", ["morlet", "mexican_hat"])
def test_white_noise_has_its_variance_at_every_period(wavelet):
    noise = np.random.default_rng(0).normal(0, 3, size=2**15)
    scalogram = continuous(noise, [8, 16, 32, 64], wavelet)
    assert scalogram.power.mean(axis=1) == pytest.approx(9, rel=0.15)


@pytest.mark.parametrize("wavelet", ["morlet", "mexican_hat"])
@pytest.mark.parametrize("period", [12, 24, 60])
def test_power_is_greatest_at_the_period_of_a_sine_and_edges_reach_as_far_as_the_cone(wavelet, period):
    periods = np.geomspace(6, 120, 100)
    scalogram = continuous(sines(2048, period), periods, wavelet)
    assert periods[scalogram.power.mean(axis=1).argmax()] == pytest.approx(period, rel=0.03)
    reach = 2048 - scalogram.is_inside_cone.sum(axis=1)
    assert (np.diff(reach) >= 0).all()
    flat = continuous(sines(4096, period)[1024:3072], [period], wavelet).power[0]
    longer = continuous(sines(4096, period), [period], wavelet).power[0, 1024:3072]
    inside = scalogram.is_inside_cone[np.abs(periods - period).argmin()]
    assert np.abs(flat - longer)[inside].max() < 0.4 * longer.max()
    assert np.abs(flat - longer)[~inside].max() > np.abs(flat - longer)[512:1536].max()


def test_a_burst_is_found_when_it_happens():
    series = np.zeros(1000)
    series[400:500] = sines(100, 20)
    power = continuous(series, [20]).power[0]
    assert 400 <= power.argmax() < 500
    assert power[:300].max() < 0.01 * power.max()


def test_planted_periods_are_found_strongest_first_and_no_others():
    noise = np.random.default_rng(3).normal(size=len(HOURS))
    table = periodicities(3 * sines(len(HOURS), 24) + 2 * sines(len(HOURS), 168) + noise)
    assert table["period_hours"].tolist() == pytest.approx([24, 168], rel=0.01)
    assert table["share"].to_numpy() == pytest.approx(np.array([4.5, 2.0]) / 7.5, rel=0.1)
    assert (table[["p_value", "wavelet_p_value"]] < 0.05).all(axis=None)
    quarters = periodicities(3 * sines(len(HOURS), 96) + noise, step_hours=0.25)
    assert quarters["period_hours"].tolist() == pytest.approx([24], rel=0.01)


@pytest.mark.parametrize("memory", [0.0, 0.7, 0.95])
def test_red_noise_has_no_periods(memory):
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(60):
        shocks = rng.normal(size=2400)
        found += len(periodicities(np.convolve(shocks, memory ** np.arange(400), "valid"))) > 0
    assert found <= 9  # 3 expected; more than 9 in one of 3,000 runs


@pytest.mark.parametrize("market", ["PJM", "NP"])
def test_electricity_prices_repeat_by_the_day_the_half_day_and_the_week(data_dir, market):
    prices = read_prices(data_dir / "epf" / f"{market}.csv")["price"].to_numpy()[: 1456 * 24][-728 * 24 :]
    found = periodicities(prices)["period_hours"].to_numpy()
    for period in (24, 12, 168):
        assert np.abs(found / period - 1).min() < 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: denoise([1.0, np.nan]), "a series needs values, all finite, got shape"),
        (lambda: denoise(np.ones(64), "morl"), "no discrete wavelet 'morl'"),
        (lambda: denoise(np.ones(64), level=9), r"level must be 'rule' or in 1\.\.3 for 64 values by db4, got 9"),
        (lambda: denoise(np.ones(64), threshold="most"), "threshold must be one of universal, sure, bayes, got 'most'"),
        (lambda: denoise(np.ones(64), mode="firm"), "mode must be one of soft, hard, got 'firm'"),
        (lambda: causal_bands(np.ones(9), level=0), "level must be at least 1, got 0"),
        (lambda: continuous(np.ones(9), [3]), "one series of at least 16 values, got shape"),
        (lambda: continuous(np.ones(32), [2]), r"periods must be above 2 and at most 32 steps, got \[2.0\]"),
        (lambda: continuous(np.ones(32), [4], "haar"), "wavelet must be one of morlet, mexican_hat, got 'haar'"),
        (lambda: periodicities(np.ones(32)), "a constant series repeats with every period"),
        (lambda: periodicities(HOURS, n=0), "needs step_hours > 0, n >= 1 and level in"),
    ],
)
def test_what_cannot_be_transformed_is_refused_with_the_reason(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize("name", ["wavelet", "multiscale"])
@pytest.mark.parametrize("per_day", [1, 24, 288])
def test_days_of_any_number_of_intervals_are_forecast(name, per_day):
    freq = {1: "24h", 24: "1h", 288: "5min"}[per_day]
    days = fold(mock_prices(days=36, freq=freq))
    assert days.n_slots == per_day
    forecaster = MODELS[name]()
    forecast = forecaster.forecast_day(forecaster.fit_days(days[:35]), days[:35], days.inputs[35], (0.1, 0.9))
    assert forecast.shape == (per_day, 3)
    assert np.isfinite(forecast).all()


def test_bands_of_days_are_forecast_from_nothing_but_the_days_before():
    days = fold(mock_prices(days=60))
    forecaster = MODELS["multiscale"]()
    model = forecaster._fit_model(days[:50])
    forecast = forecaster._predict_day(model, filled(days[:50]), days.inputs[50])
    recent = Days(days.dates[20:50], days.price[20:50], days.inputs[20:50], days.names)
    assert (forecaster._predict_day(model, recent, days.inputs[50]) == forecast).all()
    assert (day_bands(days.price)[:, :50] == day_bands(days.price[:50])).all()


def test_the_sum_of_bands_forecasts_a_spike_and_a_constant_within_what_was_seen():
    days = fold(mock_prices(days=60))
    price = days.price.copy()
    price[48, 18] = 100 * np.median(price)
    spiky = Days(days.dates, price, days.inputs, days.names)
    forecaster = MODELS["multiscale"]()
    forecast = forecaster._predict_day(forecaster._fit_model(spiky[:49]), spiky[:49], days.inputs[49])
    assert np.abs(forecast).max() < np.e * 100 * np.median(price)
    flat = Days(days.dates, np.full_like(price, -5.0), days.inputs, days.names)
    forecast = forecaster._predict_day(forecaster._fit_model(flat[:49]), flat[:49], days.inputs[49])
    assert forecast == pytest.approx(-5.0)
