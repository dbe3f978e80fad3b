"""The family of weightings, rolling backtests of them, and the bands of a frontier."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.bands import frontier_bands
from gridlab.portfolio.family import WEIGHTINGS, nearest_within
from gridlab.portfolio.frontier import frontier
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.parity import risk_shares
from gridlab.portfolio.rebalancing import compare_allocations, rebalance
from gridlab.risk.confidence import block_length, bootstrap_interval
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


@pytest.mark.parametrize("total", [1.0, 50.0, None])
def test_alone_is_the_whole_total_in_an_asset_whatever_the_limits(total):
    size = total or 1.0
    held = {"held": [0.5 * size] * 2, "turnover_cost": 1.0, "most_turnover": 0.1 * size}
    limits = Limits(upper=0.6 * size, lower=0.1 * size, total=total, **held)
    returns = history(services=["energy", "hash"])
    asked = {"window": 60, "every": 7, "limits": limits, "rng": np.random.default_rng(0), "n_draws": 20}
    table = compare_allocations(returns, ["equal"], **asked)
    for name in returns:
        row = table.loc[f"only {name}"]
        assert row["mean"] == pytest.approx(size * returns[name].iloc[60:].mean())
        assert row["std"] == pytest.approx(size * returns[name].iloc[60:].std())
        assert row["turnover"] == 0


@pytest.mark.parametrize("name", ["equal", "only hash"])
def test_a_rule_with_the_name_of_a_reference_is_refused(name):
    asked = {"window": 60, "every": 7, "rng": np.random.default_rng(0), "n_draws": 20}
    with pytest.raises(DataError, match=f"{name!r} has the name of a reference"):
        compare_allocations(history(), {name: spread_rule}, **asked)
    own = {"equal": WEIGHTINGS["equal"], "mine": spread_rule}
    assert compare_allocations(history(), own, **asked).index[:2].tolist() == ["equal", "mine"]
    with pytest.raises(DataError, match="written differently"):
        compare_allocations(history(services=[1, "1"]), "equal", **asked)


def test_rules_of_the_same_weights_differ_by_nothing():
    returns = history(n_days=150)

    def rounded(returns, *, limits=None):
        return np.array([0.1, 0.2, 0.3, 0.4]) @ np.diag([2.5, 1.25, 1 / 1.2, 0.625]) * (1 + 1e-12)

    asked = {"window": 60, "every": 7, "rng": np.random.default_rng(0), "n_draws": 50}
    table = compare_allocations(returns, {"mine": rounded, "other": spread_rule}, **asked)
    of_difference = ["difference", "difference_low", "difference_high"]
    assert table.loc["mine", of_difference].tolist() == [0, 0, 0]
    assert table.loc["other", "difference_low"] < table.loc["other", "difference_high"]
    short = compare_allocations(history(n_days=70), {"mine": rounded}, **asked)
    assert short.loc["mine", "difference"] == 0
    assert short["difference_low"].isna().all()


def studentised(days, confidence, rng, n_draws):
    """The furthest of all columns' draws from their means, in their errors, one draw at a time."""
    from arch.bootstrap import StationaryBootstrap

    block = block_length(days)
    drawn = [data[0].mean(axis=0) for data, _ in StationaryBootstrap(block, days, seed=rng).bootstrap(n_draws)]
    error = np.std(drawn, axis=0, ddof=1)
    furthest = np.quantile([max(abs(draw - days.mean(axis=0)) / error) for draw in drawn], confidence)
    return error * t.ppf(norm.cdf(furthest), len(days) / block - 1)


@pytest.mark.parametrize("spike", [1.0, 1e4])
def test_intervals_are_as_wide_as_the_furthest_draw_of_all_rules_and_no_less_than_that_of_one(spike):
    returns = history(n_days=200)
    returns["energy"] = np.random.default_rng(8).normal(10, 1, 200)
    returns.iloc[100, 0] *= spike
    asked = {"window": 60, "every": 7, "confidence": 0.9, "n_draws": 100}
    table = compare_allocations(returns, ["min_cvar"], rng=np.random.default_rng(3), **asked).drop("equal")
    run = rebalance(returns, "min_cvar", window=60, every=7).profit
    profit = np.column_stack([run, returns.iloc[60:]]) - returns.iloc[60:].mean(axis=1).to_numpy()[:, np.newaxis]
    low, high, _ = bootstrap_interval(
        lambda days: days.mean(axis=0), profit, level=0.9, rng=np.random.default_rng(3), n_draws=100
    )
    many = studentised(profit, 0.9, np.random.default_rng(3), 100)
    assert (many > (high - low) / 2).all() == (spike == 1)
    reach = np.maximum(many, (high - low) / 2)
    assert (table["difference_high"] - table["difference"]).to_numpy() == pytest.approx(reach)
    assert (table["difference"] - table["difference_low"]).to_numpy() == pytest.approx(reach)


def test_an_interval_out_of_range_is_refused():
    asked = {"window": 60, "every": 7, "rng": np.random.default_rng(0)}
    with pytest.raises(DataError, match=r"confidence must be in .*, got 1.0"):
        compare_allocations(history(), "equal", confidence=1.0, **asked)
    with pytest.raises(DataError, match="n_draws must be at least 2 histories, got 1"):
        compare_allocations(history(), "equal", n_draws=1, **asked)


@pytest.mark.parametrize("rng", [None, 5, np.random.RandomState(0)])
def test_what_is_no_source_of_randomness_is_refused(rng):
    with pytest.raises(DataError, match="rng must be a numpy Generator, got"):
        compare_allocations(history(), "equal", window=60, every=7, rng=rng)
    with pytest.raises(DataError, match="rng must be a numpy Generator, got"):
        frontier_bands(history(), rng=rng)


@pytest.mark.parametrize("total", [1e-6, 1.0, 1e6])
def test_weights_are_held_to_limits_of_any_size(total):
    limits = Limits(total=total, upper=total)

    def part(share):
        return lambda returns, *, limits=None: np.full(4, share * total / 4)

    asked = {"window": 60, "every": 30, "limits": limits}
    assert rebalance(history(), part(1 + 1e-8), **asked).weights.iloc[0].sum() == pytest.approx(total)
    for share in (0.6, 1 - 1e-5):
        with pytest.raises(DataError, match="breaks the limits"):
            rebalance(history(), part(share), **asked)


@pytest.mark.parametrize("total", [1e-10, 1.0, 1e6])
def test_the_nearest_weights_are_within_limits_of_any_size(total):
    near = nearest_within([0.7, 0.1, 0.1, 0.1], Limits(total=total, upper=0.5 * total))
    assert near / total == pytest.approx([0.5] + [0.5 / 3] * 3, abs=1e-8)


def test_limits_and_costs_by_name_are_those_of_the_services():
    returns = history()
    upper = pd.Series({"hash": 0.1, "inference": 0.4, "energy": 0.2, "regulation": 0.9})
    cost = pd.Series({"hash": 1.0, "inference": 2.0, "energy": 3.0, "regulation": 4.0})
    asked = {"window": 60, "every": 7}
    by_name = rebalance(returns, "min_cvar", limits=Limits(upper=upper), cost=cost, **asked)
    by_place = rebalance(returns, "min_cvar", limits=Limits(upper=[0.2, 0.9, 0.1, 0.4]), cost=[3.0, 4, 1, 2], **asked)
    assert by_name.profit.equals(by_place.profit)
    for name, rule in WEIGHTINGS.items():
        assert (rule(returns, limits=Limits(upper=upper)) <= upper[SERVICES].to_numpy() + 1e-8).all(), name


def test_window_and_every_count_rows_where_days_are_missing():
    returns = history()
    missing = returns.drop(returns.index[[20, 65, 66]])
    run = rebalance(missing, spread_rule, window=60, every=7)
    assert run.weights.index.tolist() == missing.index[60::7].tolist()
    assert run.profit.index.equals(missing.index[60:])
    assert run.weights.iloc[0].to_numpy() == pytest.approx(spread_rule(missing.iloc[:60]))


@given(st.integers(0, 1000), st.sampled_from([1e-3, 0.1, 20.0, 1e4]))
def test_the_parity_weight_of_a_service_goes_down_as_its_unit_goes_up(seed, unit):
    returns = np.random.default_rng(seed).normal(1, [1, 10, 100], (60, 3))
    weights = WEIGHTINGS["risk_parity"](returns)
    expected = weights / [1, unit, 1]
    assert WEIGHTINGS["risk_parity"](returns * [1, unit, 1]) == pytest.approx(expected / expected.sum(), rel=1e-7)


def test_parity_shares_the_risk_of_services_of_unlike_volatility():
    """Uncorrelated services of deviations 1, 10 and 100: true shares of the variance, a third each but for chance."""
    true, of_sample = [], []
    for seed in range(40):
        returns = np.random.default_rng(seed).normal(0, [1, 10, 100], (60, 3))
        weights = WEIGHTINGS["risk_parity"](returns)
        true.append(risk_shares(weights, np.diag([1.0, 100.0, 1e4])))
        of_sample.append(risk_shares(weights, np.cov(returns.T)))
    assert np.mean(true, axis=0) == pytest.approx([1 / 3] * 3, abs=0.03)
    assert np.array(of_sample) == pytest.approx(np.full((40, 3), 1 / 3), abs=0.12)


@pytest.mark.parametrize("name", ["risk_parity", "hierarchical_risk_parity"])
def test_a_service_that_does_not_vary_has_no_share_of_the_risk_and_no_weight(name):
    returns = history()
    without = rebalance(returns.drop(columns="hash"), name, window=60, every=7).weights
    still = rebalance(returns.assign(hash=0.1), name, window=60, every=7).weights
    assert (still["hash"] == 0).all()
    pd.testing.assert_frame_equal(still.drop(columns="hash"), without)
    asked = Limits(lower=(returns.columns == "hash") * 0.2)
    assert WEIGHTINGS[name](returns.assign(hash=0.1), limits=asked)[returns.columns == "hash"] == pytest.approx(0.2)


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
    with pytest.raises(DataError, match="no weights for 2024-03-11: no asset varies in these days"):
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
    moved = np.mean(excess, axis=0)
    assert bands["held_low"].to_numpy() == pytest.approx(np.quantile(held, 0.05, axis=0) - moved)
    assert bands["held_high"].to_numpy() == pytest.approx(np.quantile(held, 0.95, axis=0) - moved)
    assert bands["low"].to_numpy()[attained] == pytest.approx(np.quantile(best, 0.05, axis=0)[attained])
    assert bands["high"].to_numpy()[attained] == pytest.approx(np.quantile(best, 0.95, axis=0)[attained])
    assert bands["corrected"].to_numpy() == pytest.approx(own["mean"] - moved)


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


def test_one_asset_has_one_portfolio_and_the_band_of_its_mean():
    returns = history(services=["hash"]).to_numpy()
    bands = frontier_bands(returns, n_points=3, n_draws=60, block_days=1.0, rng=np.random.default_rng(0))
    assert bands.iloc[1].equals(bands.iloc[0])
    assert bands.iloc[2].equals(bands.iloc[0])
    assert bands["mean"].iloc[0] == pytest.approx(returns.mean())
    assert (bands["held_low"] < bands["corrected"]).all()
    assert (bands["corrected"] < bands["held_high"]).all()
    assert 0.2 < bands["attained"].iloc[0] < 0.8


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
