"""Scores of scenarios are proper, equal their formulas, and say what is wrong with paths that are not calibrated."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from gridlab import evaluate
from gridlab.errors import DataError
from gridlab.schema import mock_prices

SCORES = ["energy", "variogram", "crps"]
seeds = st.integers(0, 2**32 - 1)


def gaussian(n, n_steps, rng, *, mean=0.0, sd=1.0, correlation=0.8):
    """Paths of a stationary autoregression: a law whose location, spread and dependence can each be got wrong."""
    paths = rng.normal(size=(*np.atleast_1d(n), n_steps))
    for step in range(1, n_steps):
        paths[..., step] = correlation * paths[..., step - 1] + np.sqrt(1 - correlation**2) * paths[..., step]
    return mean + sd * paths


def cases(seed, *, n_cases=3, n_paths=7, n_steps=5, digits=1):
    """Prices on a coarse grid, so that paths tie with each other and with what happened."""
    rng = np.random.default_rng(seed)
    shift = rng.choice([0.0, 1000.0])
    paths = np.round(rng.normal(shift, 3, (n_cases, n_paths, n_steps)), digits)
    return paths, np.round(rng.normal(shift, 3, (n_cases, n_steps)), digits), rng.dirichlet(np.ones(n_paths), n_cases)


def by_hand(paths, observed, weights):
    """The formulas, term by term."""
    paths, observed, n_steps = paths.tolist(), observed.tolist(), len(observed)
    pairs = [(a, b) for a in range(len(paths)) for b in range(len(paths))]

    def apart(x, y):
        return sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) ** 0.5

    def energy(paths, observed):
        off = sum(w * apart(x, observed) for w, x in zip(weights, paths, strict=True))
        return off - sum(weights[a] * weights[b] * apart(paths[a], paths[b]) for a, b in pairs) / 2

    variogram = 0.0
    for k in range(n_steps):
        for m in range(n_steps):
            expected = sum(w * abs(x[k] - x[m]) ** 0.5 for w, x in zip(weights, paths, strict=True))
            variogram += (abs(observed[k] - observed[m]) ** 0.5 - expected) ** 2
    steps = [energy([[x[k]] for x in paths], [observed[k]]) for k in range(n_steps)]
    return {"energy": energy(paths, observed), "variogram": variogram, "crps": sum(steps) / n_steps}


@given(seed=seeds)
def test_scores_equal_their_formulas_written_out(seed):
    paths, observed, weights = cases(seed)
    table = evaluate.path_losses(paths, observed, weights=weights)
    for case in range(len(paths)):
        for name, value in by_hand(paths[case], observed[case], weights[case]).items():
            assert table.loc[case, name] == pytest.approx(value, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_scores_equal_those_of_scoringrules(weighted, scale):
    scoringrules = pytest.importorskip("scoringrules", reason="install gridlab[scores]")
    rng = np.random.default_rng(4)
    paths, observed = scale * rng.standard_t(3, (6, 300, 24)), scale * rng.standard_t(3, (6, 24))
    weights = rng.dirichlet(np.ones(300), 6) if weighted else None
    given = {"ens_w": weights, "backend": "numpy"}
    each = {"ens_w": None if weights is None else np.repeat(weights[:, None], 24, axis=1), "backend": "numpy"}
    table = evaluate.path_losses(paths, observed, weights=weights)
    np.testing.assert_allclose(table["energy"], scoringrules.es_ensemble(observed, paths, **given), rtol=1e-9)
    np.testing.assert_allclose(table["variogram"], scoringrules.vs_ensemble(observed, paths, p=0.5, **given), rtol=1e-9)
    crps = scoringrules.crps_ensemble(observed, paths.swapaxes(1, 2), **each)
    np.testing.assert_allclose(table["crps"], crps.mean(axis=1), rtol=1e-9)


@given(seed=seeds)
def test_the_order_of_the_paths_does_not_matter(seed):
    paths, observed, weights = cases(seed, n_paths=9)
    order = np.random.default_rng(seed).permutation(9)
    pd.testing.assert_frame_equal(
        evaluate.path_losses(paths, observed, weights=weights),
        evaluate.path_losses(paths[:, order], observed, weights=weights[:, order]),
    )
    drawn = [
        measure(each, observed, rng=np.random.default_rng(0))
        for measure in (evaluate.pit, evaluate.multivariate_rank)
        for each in (paths, paths[:, order])
    ]
    np.testing.assert_allclose(drawn[0], drawn[1])
    np.testing.assert_allclose(drawn[2], drawn[3])


@given(seed=seeds)
def test_a_path_of_weight_two_is_that_path_twice_and_one_of_weight_nothing_is_not_there(seed):
    paths, observed, _ = cases(seed)
    twice = np.concatenate([paths, paths[:, :1]], axis=1)
    weights = np.array([2.0, *np.ones(5), 0.0])
    table = evaluate.path_losses(paths, observed, weights=weights)[SCORES]
    pd.testing.assert_frame_equal(table, evaluate.path_losses(twice[:, [0, 1, 2, 3, 4, 5, 7]], observed)[SCORES])
    seven = evaluate.path_losses(paths[:, :-1], observed)
    pd.testing.assert_frame_equal(seven, evaluate.path_losses(paths, observed, weights=[1.0] * 6 + [0.0]))


@given(seed=seeds)
def test_one_path_scores_its_euclidean_distance(seed):
    paths, observed, _ = cases(seed, n_paths=1)
    distance = np.linalg.norm(paths[:, 0] - observed, axis=1)
    np.testing.assert_allclose(evaluate.path_losses(paths, observed)["energy"], distance)
    absolute = np.abs(paths[:, 0] - observed).mean(axis=1)
    np.testing.assert_allclose(evaluate.path_losses(paths, observed)["crps"], absolute, atol=1e-9)


@given(seed=seeds)
def test_over_one_step_the_energy_score_is_the_crps_and_the_variogram_score_nothing(seed):
    paths, observed, weights = cases(seed, n_steps=1)
    table = evaluate.path_losses(paths, observed, weights=weights)
    np.testing.assert_allclose(table["energy"], table["crps"], atol=1e-9)
    assert (table["variogram"] == 0).all()


def test_scores_of_many_paths_do_not_depend_on_the_blocks_they_are_worked_out_in(monkeypatch):
    from gridlab.evaluate import paths as module

    rng = np.random.default_rng(3)
    paths, observed = rng.normal(size=(2, 700, 24)), rng.normal(size=(2, 24))
    whole = evaluate.path_losses(paths, observed)
    monkeypatch.setattr(module, "_BLOCK", 61)
    pd.testing.assert_frame_equal(whole, evaluate.path_losses(paths, observed))


WRONG = {
    "shifted": ({"mean": 0.7}, ["energy", "crps"]),
    "too wide": ({"sd": 1.8}, SCORES),
    "too narrow": ({"sd": 0.5}, SCORES),
    "without dependence": ({"correlation": 0.0}, ["energy", "variogram"]),
    "too much dependence": ({"correlation": 0.99}, ["energy", "variogram"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_true_distribution_scores_best_on_average(name):
    """Propriety: Gneiting and Raftery 2007, theorem 5; Scheuerer and Hamill 2015, section 2c. Paired over 250 cases."""
    change, seen_by = WRONG[name]
    rng = np.random.default_rng(11)
    observed = gaussian(250, 24, rng)
    true, wrong = gaussian((250, 100), 24, rng), gaussian((250, 100), 24, rng, **change)
    excess = evaluate.path_losses(wrong, observed) - evaluate.path_losses(true, observed)
    for score in seen_by:
        assert excess[score].mean() > 3 * excess[score].std() / np.sqrt(250)
    mean_of_wrong, mean_of_true = (evaluate.score_paths(p, observed).loc["all"] for p in (wrong, true))
    pd.testing.assert_series_equal(
        mean_of_wrong[SCORES] - mean_of_true[SCORES], excess[SCORES].mean(), check_names=False
    )


@pytest.mark.parametrize("n_paths", [9, 20, 200])
def test_paths_of_the_true_distribution_hold_four_fifths_whatever_their_number(n_paths):
    rng = np.random.default_rng(5)
    paths, observed = rng.normal(size=(2000, n_paths, 4)), rng.normal(size=(2000, 4))
    assert evaluate.score_paths(paths, observed)["coverage_80"].item() == pytest.approx(0.8, abs=0.02)


def test_the_band_lies_at_the_percentiles_of_the_paths():
    rng = np.random.default_rng(6)
    paths, observed = rng.normal(size=(3, 50, 24)), rng.normal(size=(3, 24))
    low, high = np.quantile(paths, [0.1, 0.9], axis=1, method="weibull")
    table = evaluate.path_losses(paths, observed)
    np.testing.assert_allclose(table["width_80"], (high - low).mean(axis=1))
    np.testing.assert_allclose(table["coverage_80"], ((low <= observed) & (observed <= high)).mean(axis=1))


@pytest.mark.parametrize("n_paths", [1, 10, 99])
@pytest.mark.parametrize("ties", [False, True])
def test_the_pit_of_the_true_distribution_is_uniform(n_paths, ties):
    rng = np.random.default_rng(8)
    paths, observed = rng.normal(size=(3000, n_paths, 1)), rng.normal(size=(3000, 1))
    if ties:
        paths, observed = np.round(paths), np.round(observed)
    values = evaluate.pit(paths, observed, rng=rng).ravel()
    assert kstest(values, "uniform").pvalue > 0.01
    assert chisquare(np.histogram(values, bins=10, range=(0, 1))[0]).pvalue > 0.01


@pytest.mark.parametrize("method", ["average", "band_depth", "energy"])
@pytest.mark.parametrize("ties", [False, True])
def test_the_multivariate_rank_of_the_true_distribution_is_uniform(method, ties):
    rng = np.random.default_rng(9)
    paths, observed = gaussian((2000, 19), 6, rng), gaussian(2000, 6, rng)
    if ties:
        paths, observed = np.round(paths / 2), np.round(observed / 2)
    values = evaluate.multivariate_rank(paths, observed, rng=rng, method=method)
    assert kstest(values, "uniform").pvalue > 0.01
    assert chisquare(np.histogram(values, bins=20, range=(0, 1))[0]).pvalue > 0.01


@given(seed=seeds)
def test_the_orders_of_the_ranks_are_those_of_their_definitions(seed):
    """Modified band depth: at each step, how many pairs of paths hold the value between them, the path among them."""
    rng = np.random.default_rng(seed)
    paths, observed = rng.normal(size=(1, 6, 4)), rng.normal(size=(1, 4))
    pooled = np.vstack([observed, paths[0]])
    pairs = [(a, b) for a in range(7) for b in range(a)]
    lower, upper = (pick([pooled[list(pair)] for pair in pairs], axis=1) for pick in (np.min, np.max))
    orders = {
        "average": [(pooled < path).sum() for path in pooled],
        "band_depth": [((lower <= path) & (path <= upper)).sum() for path in pooled],
        "energy": [sum(np.linalg.norm(path - other) for other in pooled) for path in pooled],
    }
    for method, order in orders.items():
        place = evaluate.multivariate_rank(paths, observed, rng=rng, method=method).item()
        assert sum(o < order[0] - 1e-9 for o in order) / 7 <= place <= sum(o <= order[0] + 1e-9 for o in order) / 7


def outer_and_top(values, share=0.2):
    """Shares of the values in the lowest and highest tenth together, and in the highest fifth."""
    return np.mean((values < share / 2) | (values > 1 - share / 2)), np.mean(values > 1 - share)


def test_the_histograms_say_what_is_wrong_as_their_docstrings_have_it():
    rng = np.random.default_rng(10)
    observed = gaussian(1500, 12, rng)

    def ranks(method, **change):
        paths = gaussian((1500, 39), 12, rng, **change)
        if method == "pit":
            return outer_and_top(evaluate.pit(paths, observed, rng=rng))
        return outer_and_top(evaluate.multivariate_rank(paths, observed, rng=rng, method=method))

    for method in ("pit", "average"):
        assert ranks(method, sd=0.6)[0] > 0.3
        assert ranks(method, sd=1.7)[0] < 0.1
        assert ranks(method, mean=0.7)[1] < 0.1
    assert ranks("average", correlation=0.3)[0] > 0.3
    assert ranks("average", correlation=0.99)[0] < 0.19
    assert ranks("band_depth", sd=0.6)[1] < 0.1
    assert ranks("band_depth", sd=1.7)[1] > 0.35
    assert ranks("band_depth", mean=1.5)[1] < 0.1
    assert ranks("energy", sd=0.6)[1] > 0.4
    assert ranks("energy", mean=1.5)[1] > 0.4


def test_weights_move_the_pit_to_where_the_probability_lies():
    paths = np.arange(100.0).reshape(1, 100, 1)
    heavy = np.where(np.arange(100) < 50, 3.0, 1.0)
    draws = np.random.default_rng(0)
    even, moved = (evaluate.pit(paths, [[49.5]], rng=draws, weights=w).item() for w in (None, heavy))
    assert even == pytest.approx(0.5, abs=0.02)
    assert moved == pytest.approx(0.75, abs=0.02)


def last_days(known, times):
    assert known.index[-1] + pd.Timedelta(hours=1) == times[0]
    return known["price"].to_numpy()[-72:].reshape(3, 24)


@pytest.mark.parametrize("start", ["2024-01-01", "2024-02-15"])
def test_paths_are_drawn_from_what_was_known_at_midnight(start):
    prices = mock_prices(days=40, start=start)
    asked = {"first_day": str((prices.index[0] + pd.Timedelta(days=25)).date()), "days": 4}
    rolled = evaluate.roll_paths(last_days, prices, market_tz="America/New_York", **asked)
    midnight = rolled.dates[1].tz_localize("America/New_York")
    noise = prices.copy()
    later = noise.index >= midnight
    noise.loc[later, "price"] = np.random.default_rng(1).normal(0, 500, later.sum())
    again = evaluate.roll_paths(last_days, noise, market_tz="America/New_York", **asked)
    np.testing.assert_array_equal(rolled.paths[:2], again.paths[:2])
    assert not np.array_equal(rolled.paths[2], again.paths[2])
    np.testing.assert_array_equal(rolled.observed[0], again.observed[0])


def test_rolled_paths_are_those_of_each_day_and_end_to_end_keeps_them_in_order():
    prices = mock_prices(days=30)
    rolled = evaluate.roll_paths(
        lambda known, times: np.full((5, 24), 100.0 * times[0].day) + np.arange(5)[:, None] + np.arange(24) / 100,
        prices,
        first_day="2024-01-20",
        days=6,
    )
    np.testing.assert_array_equal(rolled.observed.ravel(), prices["price"].loc["2024-01-20":"2024-01-25"])
    assert rolled.end_to_end.shape == (5, 144)
    np.testing.assert_array_equal(rolled.end_to_end[3, 24:48], 2103 + np.arange(24) / 100)


def test_days_with_a_gap_are_left_out_of_the_paths():
    prices = mock_prices(days=30)
    prices.loc["2024-01-21 05:00", "price"] = np.nan
    rolled = evaluate.roll_paths(lambda known, times: np.zeros((2, 24)), prices, first_day="2024-01-20", days=3)
    assert [date.day for date in rolled.dates] == [20, 22]


@pytest.mark.parametrize(("day", "hours"), [("2024-03-10", 23), ("2024-11-03", 25)])
def test_paths_of_days_of_23_and_25_hours_are_folded_as_their_prices_are(day, hours):
    prices = mock_prices(days=330)
    lengths = []

    def perfect(known, times):
        lengths.append(len(times))
        return np.stack([prices["price"].reindex(times), -prices["price"].reindex(times)])

    asked = {"first_day": day, "days": 2, "market_tz": "America/New_York"}
    rolled = evaluate.roll_paths(perfect, prices, **asked)
    assert lengths == [hours, 24]
    np.testing.assert_array_equal(rolled.paths[:, 0], rolled.observed)
    np.testing.assert_array_equal(rolled.paths[:, 1], -rolled.observed)
    by_slot = evaluate.roll_paths(lambda known, times: np.tile(np.arange(24.0), (3, 1)), prices, **asked)
    assert (by_slot.paths == np.arange(24)).all()


def ar_facts(seed=2):
    rng = np.random.default_rng(seed)
    price = 30 + 8 * np.sin(2 * np.pi * np.arange(672) / 24) + gaussian(1, 672, rng, sd=6)[0]
    price[rng.integers(672, size=9)] += 200
    return price


def test_the_facts_are_those_of_scipy_and_statsmodels():
    from scipy import stats
    from statsmodels.tsa.stattools import acf

    price = ar_facts()
    facts = evaluate.stylised_facts(price, step_hours=1).loc[0]
    assert list(facts.index) == list(evaluate.FACTS)
    lags, changes = acf(price, nlags=192, fft=False), acf(np.abs(np.diff(price)), nlags=24, fft=False)
    expected = {
        "mean": price.mean(),
        "sd": price.std(),
        "share_spikes": np.mean(
            np.abs(price - np.median(price)) > 5 * stats.median_abs_deviation(price, scale="normal")
        ),
        "share_negative": np.mean(price < 0),
        "skew": stats.skew(price),
        "kurtosis": stats.kurtosis(price),
        "change_sd": np.diff(price).std(),
        "acf_step": lags[1],
        "acf_24h": lags[24],
        "acf_168h": lags[168],
        "clustering_step": changes[1],
        "clustering_24h": changes[24],
        "day_amplitude": np.ptp(price.reshape(28, 24).mean(axis=0)),
    }
    for name, value in expected.items():
        assert facts[name] == pytest.approx(value, rel=1e-4), name
    np.testing.assert_allclose(evaluate.autocorrelation(price, step_hours=1), lags, atol=1e-9)
    np.testing.assert_allclose(evaluate.day_shape(price, step_hours=1), price.reshape(28, 24).mean(axis=0))


@given(seed=seeds, shift=st.floats(-1e3, 1e3), scale=st.floats(0.01, 100))
def test_only_the_facts_in_money_and_below_zero_change_with_the_unit_of_the_price(seed, shift, scale):
    price = ar_facts(seed)
    before, after = (evaluate.stylised_facts(p, step_hours=1).loc[0] for p in (price, shift + scale * price))
    free = [name for name, words in evaluate.FACTS.items() if "[$/MWh]" not in words and name != "share_negative"]
    np.testing.assert_allclose(after[free], before[free], rtol=1e-5, atol=1e-7)
    for name in ("sd", "change_sd", "day_amplitude"):
        assert after[name] == pytest.approx(scale * before[name], rel=1e-6)


@pytest.mark.parametrize("freq_hours", [0.25, 0.5, 1.0])
def test_lags_are_of_the_clock_whatever_the_interval(freq_hours):
    """Prices held for an hour: the autocorrelation at 24 hours is that of the hourly prices."""
    price = ar_facts()
    held = np.repeat(price, round(1 / freq_hours))
    facts = evaluate.stylised_facts(held, step_hours=freq_hours).loc[0]
    hourly = evaluate.stylised_facts(price, step_hours=1).loc[0]
    for name in ("acf_24h", "acf_168h", "share_spikes", "kurtosis", "day_amplitude"):
        assert facts[name] == pytest.approx(hourly[name])
    lags = evaluate.autocorrelation(held, step_hours=freq_hours)
    assert lags.index[-1] == 192
    assert lags[24.0] == pytest.approx(facts["acf_24h"])


@pytest.mark.filterwarnings("error")
def test_a_constant_series_has_no_autocorrelation_and_no_spikes():
    facts = evaluate.stylised_facts(np.full(400, 33.3), step_hours=1).loc[0]
    for name in ("acf_step", "acf_24h", "acf_168h", "skew", "kurtosis", "clustering_step"):
        assert np.isnan(facts[name])
    assert (facts[["share_spikes", "share_negative", "day_amplitude"]] == 0).all()
    assert facts["change_sd"] == 0
    assert evaluate.autocorrelation(np.full(400, 33.3), step_hours=1).isna().all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_steps", [1, 2, 24, 30])
def test_lags_longer_than_the_series_are_nan(n_steps):
    price = ar_facts()[:n_steps]
    facts = evaluate.stylised_facts(price, step_hours=1).loc[0]
    assert np.isnan(facts["acf_168h"])
    assert np.isnan(facts["acf_24h"]) == (n_steps <= 24)
    assert len(evaluate.autocorrelation(price, step_hours=1)) == n_steps


def test_real_facts_lie_among_those_of_paths_of_their_own_law_and_not_of_another():
    rng = np.random.default_rng(21)
    real, own, other = gaussian(1, 672, rng)[0], gaussian(200, 672, rng), gaussian(200, 672, rng, correlation=0.2, sd=2)
    table = evaluate.compare_facts(real, {"own": own, "other": other}, step_hours=1)
    inside = table["inside"].unstack("process")
    assert inside["own"].mean() >= 0.7
    assert not inside.loc[["sd", "acf_step", "share_spikes"], "other"].any()
    assert (table["low"] <= table["median"]).all()
    assert table.loc["own", "real"].equals(table.loc["other", "real"])


def test_distances_of_distributions_are_those_of_scipy_and_zero_only_for_the_same():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(22)
    real = np.round(rng.normal(30, 10, 300), 1)
    simulated = {"normal": np.round(rng.normal(32, 10, (20, 24)), 1), "same": np.tile(real, 3)}
    table = evaluate.marginal_distances(real, simulated)
    expected = ks_2samp(real, simulated["normal"].ravel(), method="asymp").statistic
    assert table.loc["normal", "kolmogorov_smirnov"] == pytest.approx(expected)
    np.testing.assert_allclose(table.loc["same"], 0, atol=1e-9)
    shifted = evaluate.marginal_distances(real, {"shifted": real + 7.0})
    assert shifted["wasserstein"].item() == pytest.approx(7)


ONE = np.zeros((2, 3, 4)), np.zeros((2, 4))
REFUSED = {
    r"shape \(n_cases, n_paths, n_steps\).*got \(3, 4\)": lambda: evaluate.score_paths(ONE[0][0], ONE[1]),
    r"got \(2, 3, 4\) and \(2, 3\)": lambda: evaluate.score_paths(ONE[0], ONE[1][:, :3]),
    r"got \(2, 0, 4\)": lambda: evaluate.pit(ONE[0][:, :0], ONE[1], rng=np.random.default_rng(0)),
    r"paths must be finite, got \[1, 2, 3\]": lambda: evaluate.score_paths(
        np.where(np.arange(24).reshape(2, 3, 4) == 23, np.nan, 0), ONE[1]
    ),
    r"observed must be finite, got \[0, 0\]": lambda: evaluate.score_paths(ONE[0], ONE[1] + np.inf),
    r"weights must have shape \(3,\)": lambda: evaluate.score_paths(*ONE, weights=[0.5, 0.5]),
    r"weights must have shape \(3,\) or \(2, 3\), got \(3, 3\)": lambda: evaluate.score_paths(
        *ONE, weights=np.ones((3, 3))
    ),
    "not negative and not all zero": lambda: evaluate.score_paths(*ONE, weights=[1, -1, 1]),
    "method must be one of average, band_depth, energy, got 'depth'": lambda: evaluate.multivariate_rank(
        *ONE, rng=np.random.default_rng(0), method="depth"
    ),
    "no column 'hash_price' to simulate": lambda: evaluate.roll_paths(
        last_days, mock_prices(), first_day="2024-01-05", days=1, target="hash_price"
    ),
    r"finite paths of shape \(n_paths, 24\), got \(3, 23\) with 0": lambda: evaluate.roll_paths(
        lambda known, times: np.zeros((3, 23)), mock_prices(), first_day="2024-01-05", days=1
    ),
    r"got \(24,\) with 0 not finite": lambda: evaluate.roll_paths(
        lambda known, times: np.zeros(24), mock_prices(), first_day="2024-01-05", days=1
    ),
    "with 24 not finite for the day from 2024-01-05": lambda: evaluate.roll_paths(
        lambda known, times: np.full((1, 24), np.nan), mock_prices(), first_day="2024-01-05", days=1
    ),
    r"finite paths of shape \(5, 24\), got \(6, 24\)": lambda: evaluate.roll_paths(
        lambda known, times: np.zeros((times[0].day, 24)), mock_prices(), first_day="2024-01-05", days=2
    ),
    "step_hours must divide 24, got 0.7": lambda: evaluate.stylised_facts([1.0, 2.0], step_hours=0.7),
    "values must have finite prices, got 1 of 2 not": lambda: evaluate.day_shape([1.0, np.nan], step_hours=1),
    r"values must have shape \(n_steps,\) or \(n_paths, n_steps\), got \(1, 1, 1\)": lambda: evaluate.stylised_facts(
        [[[1.0]]], step_hours=1
    ),
    "spike_deviations must be positive, got 0": lambda: evaluate.stylised_facts(
        [1.0], step_hours=1, spike_deviations=0
    ),
    "max_lag_hours must be positive, got 0": lambda: evaluate.autocorrelation([1.0], step_hours=1, max_lag_hours=0),
    "there is no process to compare": lambda: evaluate.compare_facts([1.0], {}, step_hours=1),
    "no process to compare: name at least one": lambda: evaluate.marginal_distances([1.0], {}),
    "share must be in": lambda: evaluate.compare_facts([1.0], {"a": [[1.0]]}, step_hours=1, share=1),
    "paths of 'a' must have 2 steps, as real has, got 1": lambda: evaluate.compare_facts(
        [1.0, 2.0], {"a": [[1.0]]}, step_hours=1
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_scored_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()
