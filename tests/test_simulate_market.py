"""The simulated market: what it holds, that it is like PJM's, and that its inputs are worth having."""

import numpy as np
import pandas as pd
import pytest

from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources import describe, read_epf, simulate_market
from gridlab.sources.simulate import FREQS, GREATEST_PRICE, LEAST_PRICE, WIND_CAPACITY_GW, Reverting, path

SEEDS = range(12)
TWO_YEARS = 730

# What the docstring promises of the mean over seeds: PJM's value in 2013 to 2018 and the tolerance.
TARGETS = {
    "mean": (30.5, 3.0),
    "sd": (19.4, 4.0),
    "autocorrelation_24h": (0.59, 0.06),
    "share_spikes": (0.009, 0.004),
    "share_negative": (0.002, 0.0015),
}


def two_years(seed: int, freq: str = "1h") -> pd.DataFrame:
    return simulate_market("2023-01-01", TWO_YEARS, freq, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def statistics() -> pd.DataFrame:
    """Statistics of the price, one row a seed."""
    return pd.DataFrame([describe(two_years(seed)).statistics.loc["price"] for seed in SEEDS])


@pytest.mark.parametrize("freq", FREQS)
def test_it_gives_a_prices_table_on_the_grid_asked_for(freq):
    prices = simulate_market("2024-02-28", 3, freq, rng=np.random.default_rng(0))
    assert validate(prices, "prices").index.freq == pd.Timedelta(freq)
    assert prices.columns.tolist() == ["price", "load_forecast", "wind_forecast"]
    assert prices.index[0] == pd.Timestamp("2024-02-28", tz="UTC")
    assert len(prices) == 3 * pd.Timedelta(days=1) / pd.Timedelta(freq)
    assert prices.notna().all(axis=None)


def test_it_says_that_it_is_simulated():
    attrs = simulate_market("2024-01-01", 1, rng=np.random.default_rng(0)).attrs
    assert attrs["simulated"] is True
    assert attrs["source"] == "simulated market"
    assert "simulated" in attrs["notes"][0]


def test_the_same_state_of_rng_gives_the_same_market_and_another_another():
    first, again, other = (simulate_market("2024-01-01", 20, rng=np.random.default_rng(s)) for s in (5, 5, 6))
    pd.testing.assert_frame_equal(first, again)
    assert (first["price"] != other["price"]).all()


@pytest.mark.parametrize("statistic", TARGETS)
def test_over_seeds_the_statistics_are_those_the_docstring_promises(statistics, statistic):
    target, tolerance = TARGETS[statistic]
    assert abs(statistics[statistic].mean() - target) <= tolerance


def test_every_seed_is_a_market_that_could_be_pjm(statistics):
    assert statistics["mean"].between(24, 38).all()
    assert statistics["sd"].between(8, 36).all()
    assert statistics["autocorrelation_24h"].between(0.3, 0.85).all()
    assert (statistics["max"] > 2 * statistics["q95"]).all()
    assert statistics["share_negative"].between(0, 0.01).all()


def test_the_targets_are_pjms_own(data_dir):
    prices = read_epf(data_dir / "epf" / "PJM.csv")
    pjm = describe(prices).statistics.loc["price"]
    rounding = {"mean": 0.05, "sd": 0.05, "autocorrelation_24h": 0.005, "share_spikes": 5e-4, "share_negative": 5e-4}
    for statistic, (target, _) in TARGETS.items():
        assert pjm[statistic] == pytest.approx(target, abs=rounding[statistic])
    names = {"system_load_forecast": "load_forecast", "zonal_comed_load_forecast": "wind_forecast"}
    relative = relative_errors(prices.iloc[-24 * TWO_YEARS :].rename(columns=names))
    assert relative["with inputs"] == pytest.approx(0.66, abs=0.005)


@pytest.mark.parametrize("freq", ["5min", "15min", "30min"])
def test_shorter_intervals_have_the_statistics_of_hours(freq, statistics):
    many = pd.DataFrame([describe(two_years(seed, freq)).statistics.loc["price"] for seed in range(4)]).mean()
    for statistic, tolerance in {"mean": 4.0, "median": 3.0, "q05": 2.0, "q95": 7.0, "share_negative": 0.003}.items():
        assert abs(many[statistic] - statistics[statistic].mean()) <= tolerance


def test_price_load_and_wind_keep_to_what_is_possible():
    prices = pd.concat([two_years(seed) for seed in SEEDS])
    assert prices["price"].between(LEAST_PRICE, GREATEST_PRICE).all()
    assert prices["load_forecast"].between(40_000, 180_000).all()
    assert prices["wind_forecast"].between(0, 1000 * WIND_CAPACITY_GW).all()


def test_day_week_and_year_have_their_shape():
    load = two_years(1)["load_forecast"]
    by_hour, by_day = load.groupby(load.index.hour).mean(), load.groupby(load.index.dayofweek).mean()
    by_month = load.groupby(load.index.month).mean()
    assert by_hour.idxmin() in range(1, 6) and by_hour.idxmax() in range(15, 21)
    assert by_day[[5, 6]].max() < by_day[range(5)].min()
    assert by_month[[4, 10]].max() < by_month[[1, 7]].min()


def test_load_raises_the_price_and_wind_lowers_it():
    for seed in range(4):
        prices = two_years(seed)
        ranks = prices.rank()
        effects, *_ = np.linalg.lstsq(ranks[["load_forecast", "wind_forecast"]] - ranks.mean().iloc[0],
                                      ranks["price"] - ranks["price"].mean())  # fmt: skip
        assert effects[0] > 0.3
        assert effects[1] < -0.03


def test_a_path_is_stationary_and_reverts_at_the_rate_stated_whatever_the_step():
    for step_hours in (1.0, 1 / 12):
        x = path(Reverting(hours=5, sd=2.0), 200_000, step_hours, np.random.default_rng(3))
        lag = round(5 / step_hours)
        assert x.std() == pytest.approx(2.0, rel=0.08)
        assert np.corrcoef(x[lag:], x[:-lag])[0, 1] == pytest.approx(np.exp(-1), abs=0.06)


def test_a_path_begins_as_it_goes_on():
    rng = np.random.default_rng(4)
    starts = [path(Reverting(hours=100, sd=3.0), 2, 1.0, rng) for _ in range(4000)]
    assert np.std(starts, axis=0) == pytest.approx([3.0, 3.0], rel=0.05)


def test_the_inputs_are_worth_as_much_to_a_linear_model_as_pjms():
    """Lago et al. (2021) have LEAR at 0.62 to 0.65 of the naive's error on PJM, doi:10.1016/j.apenergy.2021.116983."""
    relative = pd.DataFrame([relative_errors(two_years(seed)) for seed in range(4)])
    assert 0.54 <= relative["with inputs"].mean() <= 0.68
    assert (relative["with inputs"] < relative["lags alone"] - 0.04).all()


def relative_errors(prices: pd.DataFrame, days_scored: int = 180) -> dict[str, float]:
    """MAE over that of the EPF standard naive, of a ridge on asinh-scaled lags with and without the inputs."""
    days = {column: prices[column].to_numpy().reshape(-1, 24) for column in prices}
    weekday = prices.index.dayofweek.to_numpy()[::24]
    n_days, first = len(weekday), len(weekday) - days_scored
    median = np.median(days["price"][:first])
    scale = 1.4826 * np.median(np.abs(days["price"][:first] - median))
    target = np.arcsinh((days["price"] - median) / scale)
    rows = np.arange(7, n_days)
    lags = [*(target[rows - lag] for lag in (1, 2, 3, 7)), np.eye(7)[weekday[rows]]]
    inputs = [days[name][rows - lag] for name in ("load_forecast", "wind_forecast") for lag in (0, 1, 7)]
    naive = np.where(np.isin(weekday[rows], [0, 5, 6])[:, None], days["price"][rows - 7], days["price"][rows - 1])
    truth, score = days["price"][rows], rows >= first

    def error(blocks: list[np.ndarray]) -> float:
        X = np.hstack(blocks)
        X = (X - X[~score].mean(axis=0)) / X[~score].std(axis=0)
        past, level = X[~score], target[rows][~score].mean(axis=0)
        weights = np.linalg.solve(past.T @ past + 300 * np.eye(X.shape[1]), past.T @ (target[rows][~score] - level))
        forecast = np.sinh(level + X[score] @ weights) * scale + median
        return float(np.abs(forecast - truth[score]).mean())

    standard = float(np.abs(naive - truth)[score].mean())
    return {"with inputs": error(lags + inputs) / standard, "lags alone": error(lags) / standard}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2024-01-01", 0, "1h"), "days must be a whole number, 1 or more, got 0"),
        (("2024-01-01", 1.5, "1h"), "days must be a whole number, 1 or more, got 1.5"),
        (("2024-01-01", True, "1h"), "days must be a whole number"),
        (("2024-13-01", 3, "1h"), "start must be a date such as '2024-01-01', got '2024-13-01'"),
        (("2024-01-01", 3, "2h"), "freq must be one of 5min, 15min, 30min, 1h, got '2h'"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(arguments, message):
    with pytest.raises(DataError, match=message):
        simulate_market(*arguments, rng=np.random.default_rng(0))
