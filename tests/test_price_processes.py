"""Price processes of one signature go on from what is known, and from nothing later."""

import numpy as np
import pandas as pd
import pytest

from gridlab import evaluate, scenarios
from gridlab.errors import DataError
from gridlab.schema import mock_prices
from gridlab.sources import simulate_market

NAMES = list(scenarios.PRICE_PROCESSES)
PRICES = simulate_market("2024-01-01", 160, rng=np.random.default_rng(3))
PAST, LATER = PRICES.iloc[: 24 * 120], PRICES.index[24 * 120 : 24 * 122]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def processes():
    positive = PAST.assign(price=np.maximum(PAST["price"], 1.0))
    return {name: scenarios.price_process(name, positive if name == "gbm" else PAST, rng=rng()) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_paths_have_a_price_for_each_time_and_follow_the_generator(name, processes):
    draw = [processes[name].simulate(PAST, LATER, n_paths=50, rng=rng(seed)) for seed in (1, 1, 2)]
    assert draw[0].shape == (50, 48)
    assert np.isfinite(draw[0]).all()
    np.testing.assert_array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"block_bootstrap"}))
def test_paths_go_on_from_the_last_price_known(name, processes):
    dear = PAST.copy()
    dear.iloc[-1, 0] = 400.0
    low, high = (
        np.median(processes[name].simulate(known, LATER, n_paths=400, rng=rng())[:, 0]) for known in (PAST, dear)
    )
    assert abs(low - PAST["price"].iloc[-1]) < 0.35 * PAST["price"].iloc[-1]
    assert high > 0.5 * 400


@pytest.mark.parametrize("name", NAMES)
def test_a_gap_before_the_paths_is_passed_over(name, processes):
    broken = PAST.copy()
    broken.iloc[-5:, 0] = np.nan
    np.testing.assert_array_equal(
        processes[name].simulate(broken, LATER, n_paths=5, rng=rng()),
        processes[name].simulate(PAST.iloc[:-5], LATER, n_paths=5, rng=rng()),
    )


def test_hours_without_a_price_pass_before_the_paths_begin(processes):
    dear = PAST.copy()
    dear.iloc[-13, 0] = 500.0
    dear.iloc[-12:, 0] = np.nan
    params = processes["ou"].params
    season = scenarios.calibrate_season(PAST, market_tz="UTC")
    left = season.remove(dear).iloc[-13] - params.mean
    first = processes["ou"].simulate(dear, LATER, n_paths=4000, rng=rng())[:, :1]
    reached = season.remove(pd.DataFrame({"price": np.median(first)}, index=LATER[:1])).iloc[0] - params.mean
    decayed = left * np.exp(-params.kappa * 13)
    assert reached == pytest.approx(decayed, abs=0.1 * params.stationary_sd)


@pytest.mark.parametrize("name", NAMES)
def test_prices_of_the_times_to_simulate_are_refused(name, processes):
    with pytest.raises(DataError, match="is known, at or after"):
        processes[name].simulate(PRICES, LATER, n_paths=5, rng=rng())


@pytest.mark.parametrize("name", NAMES)
def test_noise_after_midnight_does_not_reach_the_paths(name, processes):
    noise = PRICES.copy()
    noise.iloc[24 * 150 :, 0] = rng(9).normal(0, 300, 24 * 10)
    days = {"first_day": str(PRICES.index[24 * 149].date()), "days": 3}
    before, after = (
        evaluate.roll_paths(
            lambda known, times: processes[name].simulate(known, times, n_paths=4, rng=rng()), p, **days
        )
        for p in (PRICES, noise)
    )
    np.testing.assert_array_equal(before.paths[:2], after.paths[:2])


def test_a_process_by_name_is_that_process_around_its_season(processes):
    season = scenarios.calibrate_season(PAST)
    x = season.remove(PAST)
    params = scenarios.calibrate_ou(x, dt=1.0)
    assert processes["ou"].params == params
    paths = scenarios.simulate_ou(params, start=x.iloc[-1], n_steps=48, n_paths=7, rng=rng())
    np.testing.assert_allclose(
        processes["ou"].simulate(PAST, LATER, n_paths=7, rng=rng()), season.restore(paths, LATER)
    )


def test_after_a_storm_the_regimes_are_less_calm():
    """Calm spells of 50 hours and storms of 20; the last price is the same, and only what led to it differs."""
    chain = np.array([[0.98, 0.02], [0.05, 0.95]])
    true = scenarios.RegimesParams(
        intercept=np.zeros(2), phi=np.full(2, 0.8), sigma=np.array([0.5, 4.0]), transition=chain
    )
    past = PAST.copy()
    past["price"] = 50 + scenarios.simulate_regimes(true, start=0.0, n_steps=len(past), n_paths=1, rng=rng())[0]
    process = scenarios.price_process("regimes", past, rng=rng())
    spreads = []
    for size in (0.3, 12.0):
        known = past.copy()
        known.iloc[-24:, 0] = 50 + size * np.sin(2.4 * np.arange(24))
        known.iloc[-1, 0] = 50.0
        spreads.append(np.ptp(np.quantile(process.simulate(known, LATER, n_paths=500, rng=rng())[:, 0], [0.05, 0.95])))
    assert spreads[1] > 3 * spreads[0]


@pytest.mark.parametrize("day", ["2024-03-10", "2024-11-03"])
def test_days_of_23_and_25_hours_are_drawn(day):
    prices = mock_prices(days=330)
    for name in ("ou", "block_bootstrap"):
        process = scenarios.price_process(name, prices.iloc[: 24 * 60], market_tz="America/New_York")
        rolled = evaluate.roll_paths(
            lambda known, times, process=process: process.simulate(known, times, n_paths=3, rng=rng()),
            prices,
            first_day=day,
            days=2,
            market_tz="America/New_York",
        )
        assert rolled.paths.shape == (2, 3, 24)


@pytest.mark.parametrize("name", NAMES)
def test_paths_are_cut_at_the_limits_of_the_market(name, processes):
    free, cut = (
        processes[name].simulate(PAST, LATER, n_paths=50, rng=rng(), limits=limits) for limits in (None, (20.0, 35.0))
    )
    np.testing.assert_array_equal(cut, np.clip(free, 20.0, 35.0))


REFUSED = {
    "there is no price process 'mjrd', did you mean 'mrjd'": lambda: scenarios.price_process("mjrd", PAST),
    "regimes needs an rng": lambda: scenarios.price_process("regimes", PAST),
    "prices has no column 'price'": lambda: scenarios.price_process("ou", PAST.rename(columns={"price": "lmp"})),
    "the prices known have none to go on from": lambda: scenarios.price_process("block_bootstrap", PAST).simulate(
        PAST.assign(price=np.nan), LATER, n_paths=2, rng=rng()
    ),
    r"limits must rise, got \(9, 1\)": lambda: scenarios.price_process("block_bootstrap", PAST).simulate(
        PAST, LATER, n_paths=2, rng=rng(), limits=(9, 1)
    ),
    "n_days and n_paths must be at least 1": lambda: scenarios.price_process("block_bootstrap", PAST).simulate(
        PAST, LATER, n_paths=0, rng=rng()
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()


def test_a_flat_past_of_the_regimes_is_gone_on_from(processes):
    flat = PAST.assign(price=PAST["price"].iloc[-1])
    assert np.isfinite(processes["regimes"].simulate(flat, LATER, n_paths=3, rng=rng())).all()
    one = PAST.iloc[-1:]
    assert isinstance(one.index, pd.DatetimeIndex)
    assert np.isfinite(processes["regimes"].simulate(one, LATER, n_paths=3, rng=rng())).all()
