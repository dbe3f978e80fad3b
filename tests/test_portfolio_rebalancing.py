"""The family of weightings, rolling backtests of them, and the bands of a frontier."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.bands import frontier_bands
from gridlab.portfolio.family import WEIGHTINGS, nearest_within
from gridlab.portfolio.frontier import frontier
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.rebalancing import compare_allocations, rebalance
from gridlab.risk.historical import cvar
from gridlab.sources import read_prices

SERVICES = ["energy", "regulation", "hash", "inference"]
SITE = Limits(upper=[0.6, 0.5, 0.7, 0.4], coupling=[[1.0, 1.0, 0.0, 0.0]], cap=[0.55], names=["grid"])


def history(seed=0, n_days=90, services=SERVICES):
    """Days of services whose returns differ in mean and in spread, with a spike of a hundred medians."""
    rng = np.random.default_rng(seed)
    n_services = len(services)
    days = rng.normal(10, 1, (n_days, 1)) + rng.normal(
        np.arange(n_services), 1.0 + np.arange(n_services), (n_days, n_services)
    )
    days[rng.integers(n_days), 0] *= 100
    return pd.DataFrame(days, columns=services, index=pd.date_range("2024-01-01", periods=n_days, name="date"))


def spread_rule(returns, *, limits=None):
    """A rule that shows what it saw: weights by the last day's returns."""
    last = np.abs(np.asarray(returns)[-1])
    return nearest_within(last / last.sum(), limits)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_noise_from_a_decision_on_leaves_its_weights_bit_identical(name):
    returns = history()
    noisy = returns.copy()
    noisy.iloc[74:] = np.random.default_rng(9).normal(0, 1000, noisy.iloc[74:].shape)
    settings = {"window": 60, "every": 7, "limits": Limits(upper=0.6), "cost": 0.1}
    before, after = rebalance(returns, name, **settings), rebalance(noisy, name, **settings)
    upto = returns.index[74]
    assert before.weights.loc[:upto].equals(after.weights.loc[:upto])
    assert before.profit[before.profit.index < upto].equals(after.profit[after.profit.index < upto])
    assert len(before.weights.loc[:upto]) == 3


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_weighting_keeps_to_the_limits(name):
    returns = history().to_numpy()
    for limits in (None, SITE, Limits(total=5.0, upper=3.0), Limits(lower=0.1, upper=0.4)):
        weights = WEIGHTINGS[name](returns, limits=limits)
        assert weights.shape == (4,)
        assert (limits or Limits()).violation(weights) <= 1e-8


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_weighting_is_of_shares_whatever_the_unit_of_the_returns(name):
    returns = history().to_numpy()
    weights = WEIGHTINGS[name](returns, limits=SITE)
    assert WEIGHTINGS[name](1e4 * returns, limits=SITE) == pytest.approx(weights, abs=1e-6)
    assert WEIGHTINGS[name](1e-4 * returns, limits=SITE) == pytest.approx(weights, abs=1e-6)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_one_asset_gets_all(name):
    returns = history(services=["energy"]).to_numpy()
    assert WEIGHTINGS[name](returns, limits=None) == pytest.approx([1.0])


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_no_weighting_moves_further_than_it_may(name):
    limits = Limits(held=[0.25] * 4, most_turnover=0.1)
    result = rebalance(history(), name, window=60, every=7, limits=limits)
    moved = np.diff(np.vstack([[0.25] * 4, result.weights]), axis=0)
    assert np.abs(moved).sum(axis=1) == pytest.approx(result.turnover.to_numpy(), abs=1e-12)
    assert result.turnover.max() <= 0.1 + 1e-8


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.1),
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.1),
)
def test_the_nearest_weights_within_limits_are_a_projection(one, other):
    one, other = np.array(one) / sum(one), np.array(other) / sum(other)
    near, far = nearest_within(one, SITE), nearest_within(other, SITE)
    assert np.linalg.norm(near - far) <= np.linalg.norm(one - other) + 1e-7
    assert (one - near) @ (far - near) <= 1e-7
    assert nearest_within(near, SITE) == pytest.approx(near, abs=1e-9)


def test_the_greatest_return_risks_no_more_than_equal_shares():
    returns = history().to_numpy()
    weights = WEIGHTINGS["max_return"](returns, limits=SITE)
    shares = WEIGHTINGS["equal"](returns, limits=SITE)
    assert cvar(-returns @ weights, 0.95) <= cvar(-returns @ shares, 0.95) + 1e-6
    assert returns.mean(axis=0) @ weights >= returns.mean(axis=0) @ shares - 1e-9


def test_mean_variance_is_as_averse_as_one_content_with_equal_shares():
    """Uncorrelated assets of one variance and one mean are held equally, and losers as safely as can be."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(500, 3))
    alike = (noise - noise.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T
    assert WEIGHTINGS["mean_variance"](alike + 5) == pytest.approx([1 / 3] * 3, abs=1e-7)
    losing = alike * [1, 2, 3] - 5
    assert WEIGHTINGS["mean_variance"](losing) == pytest.approx(WEIGHTINGS["min_variance"](losing), abs=1e-8)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 40), st.sampled_from([None, [0.25] * 4]))
def test_the_backtest_is_the_obvious_one(seed, every, window, held):
    returns = history(seed, n_days=60)
    limits = Limits(held=held, upper=0.7)
    result = rebalance(returns, spread_rule, window=window, every=every, limits=limits, cost=[1.0, 2.0, 3.0, 4.0])
    profit, now = {}, held
    for day in range(window, 60):
        charge = 0.0
        if (day - window) % every == 0:
            chosen = spread_rule(returns.to_numpy()[day - window : day], limits=Limits(upper=0.7))
            charge = 0.0 if now is None else np.abs(chosen - now) @ [1.0, 2.0, 3.0, 4.0]
            now = chosen
        profit[returns.index[day]] = returns.iloc[day] @ now - charge
    assert result.profit.to_numpy() == pytest.approx(np.array(list(profit.values())), abs=1e-9)
    assert list(result.profit.index) == list(profit)


def test_equal_shares_earn_the_mean_of_the_services_and_one_alone_earns_its_own():
    returns = history()
    run = rebalance(returns, "equal", window=60, every=7, cost=5.0)
    assert run.profit.to_numpy() == pytest.approx(returns.iloc[60:].mean(axis=1).to_numpy())
    assert run.turnover.tolist() == [0.0] * 5
    table = compare_allocations(returns, "equal", window=60, every=7, rng=np.random.default_rng(0), n_draws=20)
    assert table.loc["only hash", "mean"] == pytest.approx(returns["hash"].iloc[60:].mean())
    assert table.loc["only hash", "cvar"] == pytest.approx(float(cvar(-returns["hash"].iloc[60:], 0.95)))


def test_profit_is_the_gross_return_less_the_cost_of_turnover():
    returns = history()
    limits = Limits(turnover_cost=0.3, upper=0.6)
    run = rebalance(returns, "mean_variance", window=50, every=5, limits=limits)
    held = run.weights.reindex(returns.index[50:]).ffill()
    gross = (held * returns.iloc[50:]).sum(axis=1)
    assert (gross - run.profit).sum() == pytest.approx(0.3 * run.turnover.sum())
    assert run.turnover.iloc[0] == 0
    assert run.turnover.sum() > 0


def test_the_dearer_turnover_is_the_less_the_rules_that_weigh_returns_turn_over():
    for name in ("mean_variance", "min_cvar", "max_return"):
        turned = [rebalance(history(), name, window=50, every=5, cost=cost).turnover.sum() for cost in (0.0, 2.0, 1e5)]
        assert turned[0] > turned[1] > turned[2] - 1e-9, name
        assert turned[2] == pytest.approx(0.0, abs=1e-6), name


def test_a_comparison_has_a_row_a_rule_and_each_says_what_its_backtest_says():
    returns = history(n_days=150)
    rules = {"mine": spread_rule, "min_variance": WEIGHTINGS["min_variance"]}
    table = compare_allocations(returns, rules, window=60, every=7, limits=SITE, rng=np.random.default_rng(1))
    assert table.index.tolist() == ["mine", "min_variance", "equal", *(f"only {name}" for name in SERVICES)]
    run = rebalance(returns, spread_rule, window=60, every=7, limits=SITE)
    assert table.loc["mine", "mean"] == pytest.approx(run.profit.mean())
    assert table.loc["mine", "std"] == pytest.approx(run.profit.std())
    assert table.loc["mine", "turnover"] == pytest.approx(run.turnover.mean())
    assert np.allclose(table["difference"], table["mean"] - table.loc["equal", "mean"])
    assert table.loc["equal", ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    assert "sharpe" not in table
    others = table.drop(index="equal")
    assert (others["difference_low"] < others["difference"]).all()
    assert (others["difference"] < others["difference_high"]).all()


def test_a_sharpe_ratio_needs_the_capital_that_it_is_on():
    asked = {"window": 60, "every": 7, "rng": np.random.default_rng(1), "n_draws": 20}
    table = compare_allocations(history(), "equal", capital=1000.0, **asked)
    assert np.allclose(table["sharpe"], np.sqrt(365) * table["mean"] / table["std"])
    with pytest.raises(DataError, match="capital"):
        compare_allocations(history(), "equal", capital=0.0, **asked)


def test_alone_is_as_much_of_an_asset_as_the_limits_allow():
    limits = Limits(upper=[0.6, 1.0], lower=0.1)
    returns = history(services=["energy", "hash"])
    table = compare_allocations(
        returns, ["equal"], window=60, every=7, limits=limits, rng=np.random.default_rng(0), n_draws=20
    )
    mix = returns.iloc[60:] @ [0.6, 0.4]
    assert table.loc["only energy", "mean"] == pytest.approx(mix.mean())
    assert table.loc["only hash", "mean"] == pytest.approx((returns.iloc[60:] @ [0.1, 0.9]).mean())


def services_of(prices):
    """Daily returns of services made of one market's prices: the mean, the spread, the evening and the night."""
    by_hour = prices["price"].groupby([prices.index.date, prices.index.hour]).mean().unstack().dropna()
    days = pd.DataFrame(
        {
            "energy": by_hour.mean(axis=1),
            "spread": by_hour.max(axis=1) - by_hour.min(axis=1),
            "evening": by_hour.iloc[:, 17:21].mean(axis=1),
            "night": by_hour.iloc[:, :5].mean(axis=1),
        }
    )
    return days.set_index(pd.DatetimeIndex(days.index, name="date"))


@pytest.mark.parametrize("market", ["PJM", "NP"])
def test_no_rule_beats_equal_shares_of_real_returns_whose_services_are_shuffled_each_day(data_dir, market):
    """Shuffled within each day the services are alike, so nothing that a rule can know has an edge."""
    returns = services_of(read_prices(data_dir / "epf" / f"{market}.csv").iloc[: 1456 * 24]).iloc[-500:]
    rng = np.random.default_rng(2)
    shuffled = pd.DataFrame(rng.permuted(returns.to_numpy(), axis=1), returns.index, returns.columns)
    table = compare_allocations(shuffled, window=120, every=30, confidence=0.999, rng=rng, n_draws=300)
    assert (table["difference_low"] <= 0).all()
    assert (table["difference_high"] >= 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": 90}, "90 days, of which a window of 90 leaves none"),
        ({"window": 0}, "1 day or more, got 0 and 7"),
        ({"every": 0}, "1 day or more, got 60 and 0"),
        ({"window": 1, "weighting": "min_variance"}, "no weights for 2024-01-02: returns need 2 days"),
        ({"weighting": "best"}, "no weighting 'best'"),
        ({"cost": -1.0}, "cost must be .* not negative"),
        ({"cost": [1.0, 2.0]}, r"shape \(4,\)"),
        ({"weighting": lambda returns, limits: [1.0]}, "4 finite weights"),
        ({"weighting": lambda returns, limits: [2.0, 0, 0, 0]}, "breaks the limits by 1 for 2024-03-01"),
        ({"limits": Limits(upper=0.2)}, "upper bounds sum to 0.8"),
        ({"limits": Limits(turnover_cost=[1.0, 2.0])}, r"shape \(4,\)"),
    ],
)
def test_a_backtest_that_cannot_be_run_is_refused(change, said):
    asked = {"weighting": "equal", "window": 60, "every": 7} | change
    with pytest.raises(DataError, match=said):
        rebalance(history(), asked.pop("weighting"), **asked)


def test_days_that_are_no_history_are_refused():
    returns = history()
    holed = returns.copy()
    holed.iloc[70, 2] = np.nan
    for broken, said in [
        (holed, "'hash' is nan on 2024-03-11"),
        (returns.iloc[::-1], "dates in order"),
        (returns.reset_index(drop=True), "index of dates"),
        (pd.concat([returns, returns.iloc[-1:]]), "each once"),
        (returns[[]], "need columns"),
        (returns[["hash", "hash"]], "each name once"),
    ]:
        with pytest.raises(DataError, match=said):
            rebalance(broken, "equal", window=60, every=7)


def test_a_rule_that_a_window_does_not_suit_is_refused_with_its_day():
    still = history()
    still.iloc[10:75] = 1.0
    with pytest.raises(DataError, match="no weights for 2024-03-11: asset 0 has no variance"):
        rebalance(still, "risk_parity", window=60, every=1)
    assert rebalance(still, "min_variance", window=60, every=1).weights.notna().all(axis=None)


def test_limits_that_exclude_each_other_are_refused_with_the_day():
    narrow = Limits(coupling=[[1.0, 1.0, 1.0, 1.0]], cap=0.5, names=["grid"])
    with pytest.raises(PlanError, match=r"no weights for 2024-03-01: .*grid"):
        rebalance(history(), "equal", window=60, every=7, limits=narrow)


def draws(seed=0, **changes):
    asked = {"n_points": 6, "n_draws": 12} | changes
    return frontier_bands(history(seed).to_numpy(), rng=np.random.default_rng(seed), **asked)


@pytest.mark.parametrize("measure", ["variance", "cvar"])
def test_bands_are_of_the_historys_own_frontier(measure):
    bands = draws(measure=measure)
    own = frontier(history().to_numpy(), measure=measure, n_points=6)
    assert bands["risk"].to_numpy() == pytest.approx(own["risk"].to_numpy())
    assert bands["mean"].to_numpy() == pytest.approx(own["mean"].to_numpy())


def test_bands_hold_each_other():
    bands, wide = draws(coverage=0.5), draws(coverage=0.9)
    for kind in ("", "held_"):
        stated = wide[f"{kind}low"].notna()
        assert stated.iloc[2:].all()
        assert (wide[f"{kind}low"] <= bands[f"{kind}low"])[stated].all()
        assert (bands[f"{kind}low"] <= bands[f"{kind}high"])[stated].all()
        assert (bands[f"{kind}high"] <= wide[f"{kind}high"])[stated].all()
    assert bands["attained"].is_monotonic_increasing
    assert bands["attained"].iloc[-1] == 1


def test_bands_are_those_of_frontiers_drawn_one_by_one():
    from arch.bootstrap import StationaryBootstrap

    returns = history().to_numpy()
    bands = draws(block_days=10.0)
    sample = StationaryBootstrap(10.0, returns, seed=np.random.default_rng(0))
    held, best, excess = [], [], []
    own = frontier(returns, n_points=6)
    for data, _ in sample.bootstrap(12):
        drawn, mean = frontier(data[0], n_points=6), data[0].mean(axis=0)
        held.append(own.iloc[:, 2:].to_numpy() @ mean)
        best.append([np.interp(risk, drawn["risk"], drawn["mean"], left=np.nan) for risk in own["risk"]])
        weights = np.array([[np.interp(risk, drawn["risk"], drawn[i]) for i in range(4)] for risk in own["risk"]])
        excess.append(weights @ (mean - returns.mean(axis=0)))
    attained = ~np.isnan(best).any(axis=0)
    assert attained[2:].all()
    assert bands["attained"].to_numpy() == pytest.approx((~np.isnan(best)).mean(axis=0))
    assert (bands["low"].notna() == (bands["attained"] >= 0.95)).all()
    assert bands["held_low"].to_numpy() == pytest.approx(np.quantile(held, 0.05, axis=0))
    assert bands["low"].to_numpy()[attained] == pytest.approx(np.quantile(best, 0.05, axis=0)[attained])
    assert bands["high"].to_numpy()[attained] == pytest.approx(np.quantile(best, 0.95, axis=0)[attained])
    assert bands["corrected"].to_numpy() == pytest.approx(own["mean"] - np.mean(excess, axis=0))


def test_the_correction_brings_the_promise_nearer_to_what_is_true():
    """Eight assets of one mean, 0: the frontier promises more, and the more the riskier; the truth is 0."""
    promised, corrected = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        bands = frontier_bands(rng.normal(size=(120, 8)), n_points=4, n_draws=15, block_days=1.0, rng=rng)
        promised.append(bands["mean"].iloc[1:].mean())
        corrected.append(bands["corrected"].iloc[1:].mean())
    assert np.mean(promised) > 0.05
    assert abs(np.mean(corrected)) < np.mean(promised) / 2


def test_days_that_are_all_alike_have_bands_of_no_width():
    bands = frontier_bands(np.tile([1.0, 2.0], (30, 1)), n_points=3, n_draws=5, rng=np.random.default_rng(0))
    for column in ("low", "high", "held_low", "held_high", "corrected"):
        assert bands[column].to_numpy() == pytest.approx(bands["mean"].to_numpy())


def test_the_same_seed_gives_the_same_bands():
    assert draws(3).equals(draws(3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_draws": 1}, "n_draws must be at least 2 histories, got 1"),
        ({"block_days": 0.5}, "block_days must be at least 1"),
        ({"coverage": 1.0}, "coverage must be in .*, got 1.0"),
        ({"level": 1.0, "measure": "cvar"}, "level"),
        ({"measure": "spread"}, "spread"),
    ],
)
def test_bands_that_cannot_be_drawn_are_refused(change, said):
    with pytest.raises(DataError, match=said):
        draws(**change)
