"""Limits: the worst that happened, shocks, how much of a position fits, what is known before a day, and how surely."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.errors import DataError, PlanError
from gridlab.risk.confidence import block_length, bootstrap_interval
from gridlab.risk.historical import cvar
from gridlab.risk.scaling import dynamic_limit, ewma_volatility, garch_volatility, scale_to_cvar
from gridlab.risk.stressing import reverse_stress, stress_table, worst_windows

seeds = st.integers(0, 10_000)
levels = st.integers(0, 19).map(lambda twentieths: twentieths / 20) | st.floats(0, 0.99)


def daily(seed: int, n_days: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2024-02-01", periods=n_days, name="date")
    return pd.DataFrame(rng.normal(10, 40, (n_days, 2)).round(), index=dates, columns=["energy", "hash_price"])


def positions(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Losses of a position and of what is fixed, some with ties, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    n_scenarios = int(rng.integers(1, 30))
    moved = rng.normal(1, 10, n_scenarios)
    held = rng.normal(0, 5, n_scenarios) * rng.integers(0, 2)
    if rng.random() < 0.4:
        moved, held = moved.round(), held.round()
    weights = rng.integers(0, 3, n_scenarios).astype(float)
    weights[0] = 1.0
    return moved, held, weights if rng.random() < 0.5 else None


@given(seed=seeds, length=st.integers(1, 12), n_worst=st.integers(1, 4))
def test_the_worst_windows_are_the_worst_of_those_that_do_not_overlap(seed, length, n_worst):
    profit = daily(seed)
    whole = profit.sum(axis=1).to_numpy()
    free, expected = set(range(len(whole) - length + 1)), []
    while free and len(expected) < n_worst:
        first = max(sorted(free), key=lambda start: -whole[start : start + length].sum())
        expected.append((-whole[first : first + length].sum(), profit.index[first]))
        free -= set(range(first - length + 1, first + length))
    table = worst_windows(profit, lengths=[length], n_worst=n_worst).loc[length]
    assert list(zip(table["loss"], table["start"], strict=True)) == expected
    for _, row in table.iterrows():
        assert len(profit.loc[row["start"] : row["end"]]) == length
        assert row[["energy", "hash_price"]].tolist() == (0 - profit.loc[row["start"] : row["end"]].sum()).tolist()


def test_windows_of_several_lengths_and_of_one_strategy_go_into_one_table():
    profit = daily(0)["energy"]
    table = worst_windows(profit, n_worst=2)
    assert list(table.columns) == ["start", "end", "loss"]
    assert table.index.tolist() == [(1, 1), (1, 2), (5, 1), (5, 2), (20, 1)]
    assert table.loc[(1, 1), "loss"] == -profit.min()


def test_a_stress_table_says_what_each_shock_does_and_which_limit_breaks():
    base = daily(1)
    hit = base.copy()
    hit.loc["2024-02-10", "energy"] -= 500.0
    table = stress_table(base, {"spike": hit, "none": base}, limit=400.0)
    worst = -hit.loc["2024-02-10"].sum()
    assert table.index.tolist() == ["spike", "none"]
    usual = -base.sum(axis=1).min()
    assert table.loc["spike"].tolist() == [pd.Timestamp("2024-02-10"), worst, usual, -500.0, -500.0, 0.0, True]
    assert table.loc["none", ["loss", "change", "energy", "hash_price", "breach"]].tolist() == [
        -base.sum(axis=1).min(),
        0.0,
        0.0,
        0.0,
        False,
    ]
    whole = stress_table(base.sum(axis=1), {"spike": hit.sum(axis=1)})
    assert list(whole.columns) == ["date", "loss", "base_loss", "change"]
    assert whole.loc["spike", "loss"] == worst


def test_a_breach_without_a_shock_shows_and_a_loss_at_the_limit_keeps_it():
    base = pd.Series([5.0, -30.0, 4.0], index=pd.date_range("2024-01-01", periods=3, name="date"))
    table = stress_table(base, {"none": base, "more": base - [0.0, 10.0, 0.0]}, limit=30.0)
    assert table["base_loss"].tolist() == [30.0, 30.0]
    assert table["breach"].tolist() == [False, True]
    multiple = reverse_stress(-base, [-5.0, 50.0, -4.0], 40.0)
    at = base - [0.0, 20.0 * multiple, 0.0]
    tables = [stress_table(base, {"shock": profit}, limit=40.0) for profit in (at, at - 1e-9)]
    assert [table.loc["shock", "breach"] for table in tables] == [False, True]
    assert reverse_stress(30.0, 40.0, 30.0) == 0.0


@given(seed=seeds, limit=st.floats(-50, 500))
def test_at_its_multiple_a_shock_just_reaches_the_limit(seed, limit):
    rng = np.random.default_rng(seed)
    loss, shock = rng.normal(0, 30, 6), rng.normal(20, 50, 6)
    multiple = reverse_stress(loss, loss + shock, limit)
    if multiple == 0:
        assert loss.max() >= limit
    elif multiple == np.inf:
        assert (shock <= 0).all()
    else:
        assert (loss + multiple * shock).max() == pytest.approx(limit, abs=1e-6)
        assert (loss + 0.999 * multiple * shock).max() < limit


@given(seed=seeds, level=levels, share=st.floats(-0.5, 1.5))
def test_the_factor_is_the_greatest_that_rockafellar_and_uryasevs_programme_allows(seed, level, share):
    moved, held, weights = positions(seed)
    probability = np.full(len(moved), 1 / len(moved)) if weights is None else weights / weights.sum()
    low, high = (float(cvar(loss, level, weights=weights)) for loss in (held, held + moved))
    target = low + share * (high - low)
    n_scenarios = len(moved)  # max factor: t + p's / (1 - level) <= target, s >= held + factor moved - t, s >= 0
    limits = np.vstack(
        [
            np.concatenate([[0.0, 1.0], probability / (1 - level)]),
            np.column_stack([moved, -np.ones(n_scenarios), -np.eye(n_scenarios)]),
        ]
    )
    bounds = [(0, 1), (None, None), *[(0, None)] * n_scenarios]
    answer = linprog(np.eye(1, n_scenarios + 2)[0] * -1, limits, np.concatenate([[target], -held]), bounds=bounds)
    if answer.status == 2:
        with pytest.raises(PlanError, match="no share of the position keeps the CVaR within"):
            scale_to_cvar(moved, target - 1e-6, level, fixed=held, weights=weights)
        return
    factor = scale_to_cvar(moved, target, level, fixed=held, weights=weights)
    assert factor == pytest.approx(answer.x[0], abs=1e-5)
    assert float(cvar(held + factor * moved, level, weights=weights)) <= target + 1e-10 * (1 + np.abs(moved).max())


def test_the_factor_meets_the_target_exactly_and_all_that_fits_stays():
    loss = np.random.default_rng(0).normal(0, 100, 10_000)
    factor = scale_to_cvar(loss, 50.0, 0.975)
    assert factor == pytest.approx(50.0 / float(cvar(loss, 0.975)), rel=1e-14)
    assert scale_to_cvar(loss, 1000.0) == 1.0
    assert scale_to_cvar(loss, 0.0) == pytest.approx(0.0, abs=1e-12)
    assert scale_to_cvar(np.zeros(3), 0.0) == 1.0
    assert scale_to_cvar([4.0], 1.0, fixed=[-1.0]) == 0.5


def test_a_hedge_that_is_needed_is_kept_and_one_that_is_too_small_is_said():
    assert scale_to_cvar([-5.0, 0.0], 6.0, 0.5, fixed=[10.0, 3.0]) == 1.0
    assert scale_to_cvar([-5.0, 12.0], 8.0, 0.5, fixed=[10.0, 1.0]) == pytest.approx(7 / 12)
    with pytest.raises(PlanError, match=r"within 2: it is 10 without the position, 8 above, and 5 with all of it"):
        scale_to_cvar([-5.0, 0.0], 2.0, 0.5, fixed=[10.0, 3.0])


@pytest.mark.parametrize("known", [ewma_volatility, garch_volatility], ids=["ewma", "garch"])
def test_the_volatility_and_the_limit_of_a_day_do_not_depend_on_that_day_or_later(known):
    rng = np.random.default_rng(0)
    values = pd.Series(rng.normal(0, 1, 90) * np.linspace(1, 3, 90))
    values.iloc[20] = np.nan
    options = {"half_life": 5.0} if known is ewma_volatility else {"first": 55, "refit_every": 20}
    before = known(values, **options)
    assert before.iloc[60:].gt(0).all()
    for cut in (60, 75):
        noisy = values.copy()
        noisy.iloc[cut:] = 100 * rng.normal(0, 1, 90 - cut)
        after = known(noisy, **options)
        assert after.iloc[: cut + 1].equals(before.iloc[: cut + 1])
        assert dynamic_limit(10.0, after).iloc[: cut + 1].equals(dynamic_limit(10.0, before).iloc[: cut + 1])
        assert (after.iloc[cut + 1 :] > before.iloc[cut + 1 :]).all()


def test_the_ewma_is_the_recursion_of_riskmetrics_once_it_has_begun():
    values = np.random.default_rng(1).normal(0, 2, 400)
    decay = 0.5 ** (1 / 20)
    variance = values[0] ** 2
    for value in values[1:-1]:
        variance = decay * variance + (1 - decay) * value**2
    volatility = ewma_volatility(pd.Series(values), half_life=20.0)
    assert volatility.iloc[-2] == pytest.approx(np.sqrt(variance), rel=1e-4)
    variance = decay * variance + (1 - decay) * values[-1] ** 2
    assert volatility.iloc[-1] == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_garch_is_the_models_own_forecast_from_the_days_before():
    from gridlab.volatility import fit_garch

    values = np.random.default_rng(2).normal(0, 3, 80)
    volatility = garch_volatility(pd.Series(values), first=60, refit_every=10)
    assert volatility.iloc[:60].isna().all()
    assert len(volatility) == 81
    assert volatility.iloc[80] == pytest.approx(np.sqrt(fit_garch(values).forecast(values, n_steps=1)[0]))
    assert volatility.iloc[75] == pytest.approx(np.sqrt(fit_garch(values[:70]).forecast(values[:75], n_steps=1)[0]))


def test_a_limit_goes_down_as_volatility_goes_up_and_keeps_to_its_bounds():
    volatility = pd.Series([np.nan, 2.0, 4.0, 100.0, 0.0])
    assert dynamic_limit(10.0, volatility, reference=4.0, least=1.0, most=30.0).tolist() == [10, 20, 10, 1, 30]
    assert dynamic_limit(10.0, volatility * 0, least=1.0, most=30.0).tolist() == [10.0] * 5
    assert dynamic_limit(10.0, pd.Series([1.0, 4.0, 1.0])).tolist() == [10.0, 6.25, 10.0]


def test_an_unknown_volatility_counts_as_the_last_that_was_known():
    volatility = pd.Series([np.nan, 2.0, 8.0, np.nan, np.nan, 2.0])
    assert dynamic_limit(10.0, volatility, reference=2.0).tolist() == [10, 10, 2.5, 2.5, 2.5, 10]


def test_a_calm_market_raises_no_limit_unless_that_is_allowed():
    calm = pd.Series([4.0, 4.0, 1.0])
    assert dynamic_limit(10.0, calm).tolist() == [10, 10, 10]
    assert dynamic_limit(10.0, calm, most=25.0).tolist() == [10, 10, 25]


@pytest.mark.parametrize("tz", [None, "Europe/Oslo"])
@pytest.mark.parametrize("known", [ewma_volatility, garch_volatility], ids=["ewma", "garch"])
def test_the_last_row_is_of_the_day_to_come_and_is_that_days_once_it_has_come(known, tz):
    rng = np.random.default_rng(0)
    dates = pd.date_range("2024-02-01", periods=60, tz=tz, name="date")  # the last day has 23 hours in Oslo
    values = pd.Series(rng.normal(0, 3, 60), index=dates)
    options = {"half_life": 5.0} if known is ewma_volatility else {"first": 50, "refit_every": 4}
    ahead, later = known(values.iloc[:-1], **options), known(values, **options)
    assert ahead.index.equals(values.index)
    assert later.index[-1] == dates[-1] + pd.DateOffset(days=1)
    assert later.index.name == "date"
    assert ahead.iloc[-1] == later.iloc[-2] > 0
    assert dynamic_limit(10.0, ahead).iloc[-1] == dynamic_limit(10.0, later).iloc[-2]


def autoregressive(rng: np.random.Generator, n_days: int) -> np.ndarray:
    """An AR(1) of mean 0 and variance 1."""
    noise = rng.normal(0, np.sqrt(1 - 0.4**2), n_days)
    path = np.empty(n_days)
    path[0] = rng.normal()
    for day in range(1, n_days):
        path[day] = 0.4 * path[day - 1] + noise[day]
    return path


@pytest.mark.parametrize(
    ("statistic", "truth", "least"),
    [(np.mean, 0.0, 0.87), (lambda profit: cvar(-profit, 0.9), 1.754983, 0.84)],
    ids=["mean", "cvar"],
)
def test_the_interval_of_dependent_days_holds_the_truth_about_as_often_as_it_says(statistic, truth, least):
    rng, inside = np.random.default_rng(0), []
    for _ in range(200):
        low, high, _ = bootstrap_interval(statistic, autoregressive(rng, 240), rng=rng, n_draws=150)
        inside.append(low <= truth <= high)
    assert least <= np.mean(inside) <= 0.985


def test_the_error_of_independent_days_is_the_textbooks_and_strategies_are_drawn_together():
    profit = np.random.default_rng(0).normal(5, 2, (400, 2))
    low, high, error = bootstrap_interval(
        lambda days: days.mean(axis=0), profit, rng=np.random.default_rng(1), block_days=1.0, n_draws=4000
    )
    assert error == pytest.approx(profit.std(axis=0) / 20, rel=0.05)
    assert (high - low) / 2 == pytest.approx(1.966 * error, rel=1e-3)  # Student's t of 399 degrees of freedom
    same = pd.DataFrame({"one": profit[:, 0], "two": profit[:, 0]})
    paired = bootstrap_interval(lambda days: (days[:, 0] - days[:, 1]).sum(), same, rng=np.random.default_rng(1))
    assert paired == (0.0, 0.0, 0.0)


def test_one_seed_gives_one_interval_and_two_weeks_give_none():
    profit = daily(0)["energy"]
    one, two = (bootstrap_interval(np.mean, profit, rng=np.random.default_rng(3), n_draws=50) for _ in range(2))
    assert one == two
    assert np.isnan(bootstrap_interval(np.mean, profit[:13], rng=np.random.default_rng(3), n_draws=50)).all()
    assert np.isnan(bootstrap_interval(np.mean, profit, rng=np.random.default_rng(3), block_days=30)).all()


def test_a_block_is_a_week_at_least_and_the_longest_that_a_strategy_asks_for():
    rng = np.random.default_rng(0)
    walk = rng.normal(0, 1, 400).cumsum()
    assert block_length(rng.normal(0, 1, 400)) == 7.0
    assert block_length(np.column_stack([rng.normal(0, 1, 400), np.ones(400), walk])) == block_length(walk) > 30


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: worst_windows(daily(0), lengths=[41]), "1 to 40 whole days, as there are so many, got 41"),
        (lambda: worst_windows(daily(0), lengths=[0]), "got 0"),
        (lambda: worst_windows(daily(0), lengths=[2.0]), "whole days, as there are so many, got 2.0"),
        (lambda: worst_windows(daily(0), lengths=["week"]), "got 'week'"),
        (lambda: worst_windows(daily(0), lengths=[]), "there are no lengths"),
        (lambda: stress_table(daily(0), {"one": daily(0)}, limit=np.nan), "limit is NaN"),
        (lambda: worst_windows(daily(0), n_worst=0), "n_worst must be at least 1"),
        (lambda: worst_windows(daily(0).iloc[::-1]), "in order of date"),
        (lambda: worst_windows(daily(0).iloc[:0]), "must have days"),
        (lambda: worst_windows(daily(0).replace(daily(0).iloc[2, 0], np.nan)), "not finite on 2024-02-03"),
        (lambda: worst_windows(daily(0).rename(columns={"energy": "loss"})), "a service is named 'loss'"),
        (lambda: stress_table(daily(0), {}), "there is no shock"),
        (lambda: stress_table(daily(0), {"late": daily(0).iloc[3:]}), "'late' covers 2024-02-04"),
        (lambda: stress_table(daily(0), {"one": daily(0)[["energy"]]}), r"'one' has services \['energy'\]"),
        (lambda: reverse_stress([1.0], [1.0, 2.0], 3.0), "must have one shape"),
        (lambda: reverse_stress(np.nan, 2.0, 3.0), "must be finite"),
        (lambda: scale_to_cvar([], 1.0), "must have one shape"),
        (lambda: scale_to_cvar([1.0, 2.0], 1.0, fixed=[1.0]), "must have one shape"),
        (lambda: scale_to_cvar([1.0, np.nan], 1.0), "loss of scenario 1 is nan"),
        (lambda: scale_to_cvar([1.0, 2.0], np.nan), "target is NaN"),
        (lambda: scale_to_cvar([1.0, 2.0], 1.0, 1.0), r"level must be in \[0, 1\)"),
        (lambda: scale_to_cvar([1.0, 2.0], 1.0, weights=[0.0, 0.0]), "not all zero"),
        (lambda: dynamic_limit(0.0, pd.Series([1.0])), "limit must be positive"),
        (lambda: dynamic_limit(1.0, pd.Series([1.0, -2.0])), "volatility is -2.0 at 1"),
        (lambda: dynamic_limit(1.0, pd.Series([1.0]), reference=0.0), "reference must be positive"),
        (lambda: dynamic_limit(1.0, pd.Series([1.0]), least=2.0, most=1.0), "0 <= least <= most, got 2.0 and 1.0"),
        (lambda: dynamic_limit(1.0, pd.Series([1.0, 2.0], index=[2, 1])), "the days of volatility must rise"),
        (lambda: dynamic_limit(1.0, pd.Series([], dtype=float)), "volatility must have at least one day"),
        (lambda: ewma_volatility(daily(0)["energy"].iloc[::-1], half_life=1.0), "the days of values must rise"),
        (lambda: ewma_volatility(pd.Series([1.0, 2.0], index=[1, 1]), half_life=1.0), "the days of values must rise"),
        (
            lambda: ewma_volatility(pd.Series([1.0], index=["Monday"]), half_life=1.0),
            "dates or numbers of days, got str",
        ),
        (lambda: garch_volatility(daily(0)["energy"].iloc[::-1]), "the days of values must rise"),
        (lambda: garch_volatility(pd.Series([], dtype=float)), "values must have at least one day"),
        (lambda: ewma_volatility(pd.Series([1.0]), half_life=0.0), "half_life must be positive"),
        (lambda: ewma_volatility(pd.Series([1.0, np.inf]), half_life=1.0), "infinite at 1"),
        (lambda: garch_volatility(pd.Series(np.ones(9)), first=10), "needs first >= 50 and refit_every >= 1"),
        (lambda: garch_volatility(pd.Series(np.zeros(60)), first=55), "not all 0"),
    ],
)
def test_what_has_no_answer_is_refused(call, said):
    with pytest.raises(DataError, match=said):
        call()


@pytest.mark.parametrize(
    ("profit", "more", "said"),
    [
        ([], {}, "must have shape"),
        ([1.0, np.nan], {}, "profit of day 1 is not finite"),
        (np.ones((2, 2, 2)), {}, "must have shape"),
        (np.ones(20), {"level": 95}, r"level must be in \(0, 1\), got 95"),
        (np.ones(20), {"n_draws": 1}, "n_draws must be at least 2"),
        (np.ones(20), {"block_days": 0.5}, "block_days must be at least 1"),
    ],
)
def test_an_interval_of_what_is_no_history_is_refused(profit, more, said):
    with pytest.raises(DataError, match=said):
        bootstrap_interval(np.mean, profit, rng=np.random.default_rng(0), **more)


@pytest.mark.parametrize("profit", [np.ones(30), np.ones((30, 2))], ids=["one", "two"])
def test_a_statistic_of_each_day_is_refused(profit):
    with pytest.raises(DataError, match=r"answers with shape \(30,\), a number for each day"):
        bootstrap_interval(lambda days: cvar(-np.atleast_2d(days.T).T), profit, rng=np.random.default_rng(0))
    interval = bootstrap_interval(lambda days: cvar(-days.T), profit, rng=np.random.default_rng(0), n_draws=5)
    assert np.shape(interval.low) == profit.shape[1:]


@pytest.mark.parametrize("rng", [7, None, np.random.RandomState(0)])
def test_an_interval_needs_a_generator(rng):
    with pytest.raises(DataError, match="rng must be a numpy Generator, got"):
        bootstrap_interval(np.mean, np.ones(30), rng=rng)
