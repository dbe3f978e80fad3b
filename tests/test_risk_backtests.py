"""Backtests of VaR and CVaR: slow versions and laws first, then answers that others have published."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gridlab.errors import DataError
from gridlab.evaluate import diebold_mariano
from gridlab.risk.coverage import BASEL_ADD_ONS, christoffersen, dynamic_quantile, kupiec, traffic_light
from gridlab.risk.p_values import exact_p_value, simulated_p_value
from gridlab.risk.scoring import checked_measures, fissler_ziegel, quantile_score
from gridlab.risk.shortfall import acerbi_szekely, mcneil_frey
from gridlab.risk.table import backtest_measures, compare_measures, daily_scores

hit_series = st.lists(st.integers(0, 1), min_size=2, max_size=40)
levels = st.sampled_from([0.5, 0.9, 0.95, 0.99])


def log_likelihood(hits, probability):
    """Of each day's hit or miss, day by day; 0 log 0 is 0."""
    chance = [p if hit else 1 - p for hit, p in zip(hits, probability, strict=True)]
    return sum(np.log(p) for p in chance)


def slow_kupiec(hits, level):
    share = [np.mean(hits)] * len(hits)
    return 2 * (log_likelihood(hits, share) - log_likelihood(hits, [1 - level] * len(hits)))


def slow_independence(hits):
    before, after = hits[:-1], hits[1:]
    after_state = {s: [b for a, b in zip(before, after, strict=True) if a == s] for s in (0, 1)}
    chain = [np.mean(after_state[s]) for s in before]
    return 2 * (log_likelihood(after, chain) - log_likelihood(after, [np.mean(after)] * len(after)))


def slow_dynamic_quantile(hits, var, level, lags):
    target = np.asarray(hits[lags:]) - (1 - level)
    rows = [[1.0, var[t], *(hits[t - lag] for lag in range(1, lags + 1))] for t in range(lags, len(hits))]
    fit, _, rank, _ = np.linalg.lstsq(np.array(rows), target, rcond=1e-9)
    return np.square(np.array(rows) @ fit).sum() / (level * (1 - level)), rank


@given(hit_series, levels)
def test_the_ratios_are_those_of_the_likelihood_day_by_day(hits, level):
    assert kupiec(hits, level).statistic == pytest.approx(slow_kupiec(hits, level), abs=1e-9)
    result = christoffersen(hits, level)
    assert result.independence.statistic == pytest.approx(slow_independence(hits), abs=1e-9)
    together = slow_kupiec(hits, level) + slow_independence(hits)
    assert result.conditional_coverage.statistic == pytest.approx(together, abs=1e-9)
    assert result.transitions.sum() == len(hits) - 1


@given(hit_series, st.integers(0, 2**32 - 1))
def test_many_series_at_once_answer_as_one_by_one(hits, seed):
    rng = np.random.default_rng(seed)
    many = rng.random((3, 2, len(hits))) < 0.3
    many[1, 1] = hits
    result, light = christoffersen(many, 0.95, exact=True), traffic_light(many, 0.95)
    one = christoffersen(hits, 0.95, exact=True)
    assert result.transitions[1, 1].tolist() == one.transitions.tolist()
    for together, alone in zip(result[:2], one[:2], strict=True):
        assert together.p_value[1, 1] == pytest.approx(alone.p_value, rel=1e-12)
    assert kupiec(many, 0.95).p_value[1, 1] == kupiec(hits, 0.95).p_value
    assert light.zone[1, 1] == traffic_light(hits, 0.95).zone


@pytest.mark.parametrize("n_days", [2, 3, 7, 10])
def test_exact_p_values_count_every_series_that_speaks_as_much_against_the_model(n_days):
    level = 0.8
    every = np.array(list(product([0, 1], repeat=n_days)))
    chance = 0.2 ** every.sum(axis=1) * 0.8 ** (n_days - every.sum(axis=1))
    chain = christoffersen(every, level, exact=True)
    as_many = every.sum(axis=1)[:, None] == every.sum(axis=1)
    for test, mass in (
        (kupiec(every, level, exact=True), np.broadcast_to(chance, (len(every), len(every)))),
        (chain.conditional_coverage, np.broadcast_to(chance, (len(every), len(every)))),
        (chain.independence, as_many / as_many.sum(axis=1, keepdims=True)),
    ):
        at_least = test.statistic[None, :] >= test.statistic[:, None] - 1e-9
        assert test.p_value == pytest.approx((at_least * mass).sum(axis=1), rel=1e-9)


def test_an_exact_p_value_with_a_coin_lies_between_those_that_count_ties_and_do_not():
    rng = np.random.default_rng(0)
    p_value = exact_p_value(np.repeat([1.0, 2.0], 4000), [2, 1, 0], [0.2, 0.3, 0.5], rng=rng)
    assert (p_value[:4000].min(), p_value[:4000].max()) == pytest.approx((0.2, 0.5), abs=1e-3)
    assert (p_value[4000:].min(), p_value[4000:].max()) == pytest.approx((0.0, 0.2), abs=1e-3)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 3))
def test_a_simulated_p_value_is_a_rank_and_ties_lie_between(draws, statistic):
    draws = np.array(draws, dtype=float)
    least, most = (1 + (draws > statistic).sum(), 1 + (draws >= statistic).sum())
    assert simulated_p_value(statistic, draws) == most / (len(draws) + 1)
    many = simulated_p_value(np.full(400, statistic), draws, rng=np.random.default_rng(0)) * (len(draws) + 1)
    assert set(np.round(many).astype(int)) <= set(range(least, most + 1))
    own = simulated_p_value([statistic, -np.inf], np.column_stack([draws, draws]))
    assert own.tolist() == [most / (len(draws) + 1), 1.0]


@given(hit_series.filter(lambda hits: len(hits) > 7), levels, st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_the_dynamic_quantile_is_a_regression_solved_by_least_squares(hits, level, lags, seed):
    var = np.random.default_rng(seed).normal(-3, 1, len(hits))
    for said in (var, np.full(len(hits), 1e6)):
        statistic, rank = slow_dynamic_quantile(hits, said, level, lags)
        result = dynamic_quantile(hits, said, level, lags=lags)
        assert result.statistic == pytest.approx(statistic, rel=1e-6, abs=1e-9)
        assert result.degrees_of_freedom == rank
        assert result.p_value == pytest.approx(stats.chi2.sf(statistic, rank), rel=1e-5)


def test_simulated_dynamic_quantiles_are_those_of_hits_drawn_apart_from_the_var():
    rng = np.random.default_rng(3)
    hits, var = rng.random((70, 120)) < 0.1, rng.normal(size=(70, 120))
    p_value = dynamic_quantile(hits, var, 0.9, rng=np.random.default_rng(5), n_simulations=99).p_value
    drawn = np.random.default_rng(5).random((99, 120)) >= 0.9
    for i in (0, 63, 69):
        observed = dynamic_quantile(hits[i], var[i], 0.9).statistic
        statistics = [dynamic_quantile(other, var[i], 0.9).statistic for other in drawn]
        assert p_value[i] == pytest.approx((1 + np.sum(statistics > observed)) / 100)
    alone = dynamic_quantile(hits[0], var[0], 0.9, rng=np.random.default_rng(5), n_simulations=99)
    assert alone.p_value == p_value[0]


@pytest.mark.parametrize(("n_days", "level"), [(250, 0.99), (500, 0.95), (1000, 0.975), (3, 0.5), (2, 0.999)])
def test_the_zones_begin_where_the_binomial_probability_reaches_95_and_99_99_percent(n_days, level):
    number = np.arange(n_days + 1)
    hits = number[:, None] > np.arange(n_days)
    light, below = traffic_light(hits, level), stats.binom.cdf(number, n_days, 1 - level)
    expected = np.where(below >= 0.9999, "red", np.where(below >= 0.95, "yellow", "green"))
    assert light.zone.tolist() == expected.tolist()
    assert light.probability == pytest.approx(below)
    assert light.p_value == pytest.approx(stats.binom.sf(number - 1, n_days, 1 - level))
    assert (light.yellow, light.red) == (np.argmax(below >= 0.95), np.argmax(below >= 0.9999))


def test_of_250_days_at_99_percent_basel_has_green_to_4_yellow_to_9_and_its_add_ons():
    hits = np.arange(14)[:, None] > np.arange(250)
    light = traffic_light(hits, 0.99)
    assert light.zone.tolist() == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 4
    assert light.add_on.tolist() == [*BASEL_ADD_ONS, 1.0, 1.0, 1.0]
    assert np.isnan(traffic_light(hits, 0.95).add_on).all()


def test_kupiecs_published_answers():
    for n_hits, level, statistic, p_value in ((57, 0.95, 0.46147, 0.49694), (17, 0.99, 3.5118, 0.060933)):
        result = kupiec(np.arange(1043) < n_hits, level)
        assert result == pytest.approx((statistic, p_value), rel=1e-5)


def test_christoffersens_published_answer():
    hits = [0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0]
    result = christoffersen(hits, 0.95)
    assert result.transitions.tolist() == [[4, 3], [3, 1]]
    assert result.independence == pytest.approx((0.361204, 0.547838), abs=5e-7)
    total = kupiec(hits, 0.95).statistic + result.independence.statistic
    assert result.conditional_coverage == pytest.approx((total, stats.chi2.sf(total, 2)))


@pytest.mark.parametrize("kind", [{}, {"exact": True}, {"rng": np.random.default_rng(0)}])
@pytest.mark.parametrize("hit", [0, 1])
def test_series_without_hits_or_with_hits_only_have_nothing_to_say_of_independence(hit, kind):
    hits = np.full(250, hit)
    result = christoffersen(hits, 0.99, **kind)
    assert result.independence == (0.0, 1.0)
    assert result.transitions.sum() == result.transitions[hit, hit] == 249
    ratio = -500 * np.log(0.01 if hit else 0.99)
    assert kupiec(hits, 0.99).statistic == result.conditional_coverage.statistic == pytest.approx(ratio)
    assert np.isfinite(dynamic_quantile(hits, np.arange(250), 0.99)).all()
    assert dynamic_quantile(hits, np.arange(250), 0.99).degrees_of_freedom == 2


def test_a_table_without_hit_after_hit_has_a_finite_ratio():
    result = christoffersen([0, 1, 0, 0, 1, 0, 0, 0, 1], 0.9)
    assert result.transitions.tolist() == [[3, 3], [2, 0]]
    assert result.independence.statistic == pytest.approx(slow_independence([0, 1, 0, 0, 1, 0, 0, 0, 1]))


@pytest.mark.parametrize(
    ("hits", "level", "says"),
    [
        ([0, 1], 1.0, "level must be in .0, 1., got 1.0: write one number, 0.95"),
        ([0, 1], 0, "got 0"),
        ([0, 1], np.nan, "got nan"),
        ([1], 0.95, "two days of hits"),
        (1, 0.95, "two days of hits"),
        ([0, 1, np.nan], 0.95, "got nan on day 2"),
        ([[0, 1], [0, 2]], 0.95, "got 2 on day 1"),
        (
            pd.DataFrame(np.zeros((9, 2), dtype=bool)),
            0.95,
            r"hits is a DataFrame .*last axis: give table.to_numpy\(\).T",
        ),
        (np.ma.masked_equal([0, 1, 9], 9), 0.95, "hits is a masked array"),
        ([0, 1], 95, "got 95: write one number, 0.95 for 95 %"),
        ([0, 1], "0.95", "got '0.95': write one number"),
    ],
)
def test_what_is_no_series_of_hits_is_refused_with_its_value(hits, level, says):
    for test in (kupiec, christoffersen, traffic_light, lambda hits, level: dynamic_quantile(hits, [1, 2], level)):
        with pytest.raises(DataError, match=says):
            test(hits, level)


@pytest.mark.parametrize(
    ("var", "lags", "says"),
    [([1.0] * 9, 1, "days of the hits"), ([[1.0] * 20], 1, "got .1, 20."), ([np.inf] * 20, 1, "got inf")]
    + [([1.0] * 20, lags, f"got {lags} for 20 days") for lags in (-1, 9)],
)
def test_a_dynamic_quantile_that_cannot_be_regressed_is_refused(var, lags, says):
    with pytest.raises(DataError, match=says):
        dynamic_quantile([0, 1] * 10, var, 0.95, lags=lags)


def true_model(law, level, n_series, n_days, rng):
    """Losses of a law, its own measures on every day, and draws of it."""
    frozen = {"normal": stats.norm(), "student": stats.t(5)}[law]
    var = frozen.ppf(level)
    cvar = frozen.expect(lb=var, conditional=True)
    draw = {"normal": rng.standard_normal, "student": lambda size: rng.standard_t(5, size)}[law]
    return draw((n_series, n_days)), var, cvar, draw((4999, n_days))


@pytest.mark.parametrize(("law", "level"), [("normal", 0.99), ("student", 0.95)])
def test_every_backtest_rejects_a_true_model_in_3_to_7_percent_of_2000_series(law, level):
    rng = np.random.default_rng(11)
    loss, var, cvar, simulated = true_model(law, level, 2000, 250, rng)
    hits = loss > var
    chain = christoffersen(hits, level, rng=rng)
    tests = {
        "kupiec": kupiec(hits, level, rng=rng),
        "independence": chain.independence,
        "conditional_coverage": chain.conditional_coverage,
        "dynamic_quantile": dynamic_quantile(hits, np.full(250, var), level, rng=rng),
        "traffic_light": traffic_light(hits, level, rng=rng),
        **acerbi_szekely(loss, var, cvar, level, simulated=simulated, rng=rng)._asdict(),
        "mcneil_frey": mcneil_frey(loss, var, cvar, level, simulated=simulated, rng=rng),
    }
    size = {name: (result.p_value <= 0.05).mean() for name, result in tests.items()}
    assert all(0.03 <= share <= 0.07 for share in size.values()), size


def test_the_chi_square_rejects_too_many_true_models_of_250_days_at_99_percent_and_exact_p_values_do_not():
    number = np.arange(251)
    hits, mass = number[:, None] > np.arange(250), stats.binom.pmf(number, 250, 0.01)
    assert mass[kupiec(hits, 0.99).p_value <= 0.05].sum() == pytest.approx(0.0948, abs=1e-4)
    assert mass[kupiec(hits, 0.99, exact=True).p_value <= 0.05].sum() <= 0.05


@pytest.mark.parametrize(
    ("n_days", "level", "of_kupiec", "of_the_light"),
    [(250, 0.99, 0.0137, 0.0412), (250, 0.95, 0.0462, 0.0474), (500, 0.95, 0.0395, 0.0454)],
)
def test_tests_without_a_coin_reject_fewer_true_models_than_5_percent_and_as_many_as_stated(
    n_days, level, of_kupiec, of_the_light
):
    number = np.arange(n_days + 1)
    hits, mass = number[:, None] > np.arange(n_days), stats.binom.pmf(number, n_days, 1 - level)
    assert mass[kupiec(hits, level, exact=True).p_value <= 0.05].sum() == pytest.approx(of_kupiec, abs=5e-5)
    assert mass[traffic_light(hits, level).p_value <= 0.05].sum() == pytest.approx(of_the_light, abs=5e-5)


@pytest.mark.parametrize(("n_days", "level"), [(250, 0.99), (100, 0.95)])
def test_with_a_coin_a_true_model_is_rejected_in_exactly_5_percent(n_days, level):
    number = np.arange(n_days + 1)
    hits, mass = number[:, None] > np.arange(n_days), stats.binom.pmf(number, n_days, 1 - level)
    for test in (kupiec, traffic_light):
        strict = test(hits, level, rng=_Coin(0.0)).p_value  # the coin's share of rejections is linear in it
        full = test(hits, level, rng=_Coin(1.0)).p_value
        share = np.clip((0.05 - strict) / np.maximum(full - strict, 1e-99), 0, 1)
        assert (mass * share).sum() == pytest.approx(0.05, rel=1e-9)


class _Coin:
    """A generator whose every number is the same."""

    def __init__(self, number):
        self.number = number

    def random(self, shape):
        return np.full(shape, self.number)


def slow_acerbi_szekely(loss, var, cvar, level):
    hits = [t for t in range(len(loss)) if loss[t] > var[t]]
    ratios = [loss[t] / cvar[t] for t in hits]
    beyond = [cvar[t] - var[t] - max(loss[t] - var[t], 0) / (1 - level) for t in range(len(loss))]
    z1 = 1 - np.mean(ratios) if hits else np.nan
    return z1, 1 - sum(ratios) / (len(loss) * (1 - level)), np.mean(beyond)


def test_the_statistics_of_acerbi_and_szekely_are_their_sums_day_by_day():
    rng = np.random.default_rng(2)
    loss, var = rng.normal(size=(4, 60)), rng.uniform(0.5, 1.5, (4, 60))
    cvar = var + rng.uniform(0.1, 1, (4, 60))
    simulated = rng.normal(size=(99, 4, 60))
    result = acerbi_szekely(loss, var, cvar, 0.9, simulated=simulated)
    for i in range(4):
        expected = slow_acerbi_szekely(loss[i], var[i], cvar[i], 0.9)
        drawn = [slow_acerbi_szekely(draw, var[i], cvar[i], 0.9) for draw in simulated[:, i]]
        for test, observed, draws in zip(result, expected, np.transpose(drawn), strict=True):
            assert test.statistic[i] == pytest.approx(observed)
            assert test.p_value[i] == pytest.approx((1 + np.sum(draws <= observed)) / 100)


def test_draws_common_to_all_series_answer_as_draws_of_each():
    rng = np.random.default_rng(2)
    loss, var, simulated = rng.normal(size=(3, 50)), rng.uniform(0.5, 1.5, (3, 50)), rng.normal(size=(99, 50))
    common = acerbi_szekely(loss, var, var + 1, 0.9, simulated=simulated)
    of_each = acerbi_szekely(loss, var, var + 1, 0.9, simulated=np.stack([simulated] * 3, axis=1))
    for one, other in zip(common, of_each, strict=True):
        assert one.p_value.tolist() == other.p_value.tolist()


def test_a_model_that_says_too_little_is_rejected_and_one_that_says_too_much_is_not():
    rng = np.random.default_rng(4)
    loss, simulated = rng.normal(size=1000), rng.normal(size=(999, 1000))
    for scale, rejected in ((0.8, True), (1.25, False)):
        said = scale * np.array([1.644854, 2.062713])
        tests = acerbi_szekely(loss, *said, 0.95, simulated=scale * simulated)
        assert [bool(test.p_value <= 0.05) for test in tests] == [rejected] * 3
        assert all((test.statistic < 0) == rejected for test in tests)


def test_without_hits_there_is_no_evidence_against_the_cvar():
    simulated = np.random.default_rng(0).normal(size=(99, 20))
    z1, z2, ridge = acerbi_szekely(np.zeros(20), 1.6, 2.0, 0.95, simulated=simulated)
    assert np.isnan(z1.statistic) and z1.p_value == 1
    assert (z2.statistic, z2.p_value) == (1, 1)
    assert ridge == pytest.approx((0.4, 1))
    residuals = mcneil_frey(np.zeros(20), 1.6, 2.0, 0.95, simulated=simulated)
    assert np.isnan(residuals.statistic) and residuals.p_value == 1


def test_a_gain_in_the_worst_days_leaves_the_tests_that_do_not_divide_by_it():
    rng = np.random.default_rng(1)
    loss, simulated = rng.normal(size=500), rng.normal(size=(199, 500))
    here = acerbi_szekely(loss, 1.2, 1.7, 0.9, simulated=simulated)
    moved = acerbi_szekely(loss - 9, 1.2 - 9, 1.7 - 9, 0.9, simulated=simulated - 9)
    assert np.isnan([*moved.conditional, *moved.unconditional]).all()
    assert moved.ridge == pytest.approx(here.ridge)
    residuals = mcneil_frey(loss, 1.2, 1.7, 0.9, simulated=simulated)
    assert mcneil_frey(loss - 9, 1.2 - 9, 1.7 - 9, 0.9, simulated=simulated - 9) == pytest.approx(residuals)


def test_mcneil_and_freys_statistic_is_students_and_so_is_its_bootstrap_where_hits_are_many():
    rng = np.random.default_rng(6)
    loss = rng.normal(size=(2, 4000))
    statistic, p_value = mcneil_frey(loss, 1.2816, [[1.7550], [1.72]], 0.9, rng=rng)
    for i, cvar in enumerate((1.7550, 1.72)):
        residuals = (loss[i][loss[i] > 1.2816] - cvar) / (cvar - 1.2816)
        student = stats.ttest_1samp(residuals, 0, alternative="greater")
        assert statistic[i] == pytest.approx(student.statistic)
        assert p_value[i] == pytest.approx(student.pvalue, abs=0.03)


def test_of_two_hits_drawn_again_those_that_are_equal_speak_for_or_against_the_model_without_bound():
    loss = np.array([0.0, 2.6, 0.0, 3.0])
    result = mcneil_frey(loss, 1.0, 2.0, 0.5, rng=np.random.default_rng(0))
    assert result.statistic == pytest.approx(0.8 / 0.2)
    assert result.p_value == pytest.approx(
        0.25, abs=0.02
    )  # twice the larger of two; twice the lesser, and both, do not


def test_residuals_have_no_scale_where_the_cvar_is_the_var():
    result = mcneil_frey([1.0, 3.0, 5.0, 0.0], 2.0, [2.0, 3.0, 3.0, 3.0], 0.5, rng=np.random.default_rng(0))
    assert np.isnan(result).all()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"level": 1.0}, "level must be in"),
        ({"loss": [0.0, np.nan, 1.0]}, "loss must be finite, with no NaN, got nan at .1."),
        ({"cvar": [np.inf] * 3}, "cvar must be finite, with no NaN, got inf at .0."),
        ({"var": [1.0, 2.0]}, "same days"),
        ({"loss": []}, "one value a day"),
        ({"cvar": 0.5}, "0.5 < 1 on 3 days"),
        ({"var": pd.DataFrame({"var": [1.0] * 3})}, "var is a DataFrame"),
        ({"loss": np.ma.masked_equal([0.0, 1.0, 2.0], 1)}, "loss is a masked array"),
        ({"level": 95}, "got 95: write one number"),
        (
            {"loss": pd.Series([0.0, 1.0, 2.0]), "var": pd.Series([1.0] * 3, index=[1, 2, 3])},
            "loss and var must have the same index, got 0 to 2 .3 rows. and 1 to 3",
        ),
        ({"simulated": np.zeros((9, 4))}, "shape .n_simulations, 3., .* got .9, 4."),
        ({"simulated": np.zeros((0, 3))}, "got .0, 3."),
        ({"simulated": np.full((9, 3), np.nan)}, "simulated must be finite"),
        ({"simulated": np.ma.masked_equal(np.zeros((9, 3)), 0)}, "simulated is a masked array"),
    ],
)
def test_measures_that_cannot_be_tested_are_refused_with_their_value(changed, says):
    given_ = {"loss": [0.0, 1.0, 2.0], "var": 1.0, "cvar": 2.0, "level": 0.9, "simulated": np.zeros((9, 3))} | changed
    with pytest.raises(DataError, match=says):
        acerbi_szekely(**given_)
    with pytest.raises(DataError, match=says):
        mcneil_frey(**given_)


def test_residuals_without_anything_to_rank_them_among_are_refused():
    with pytest.raises(DataError, match="simulated under the model, or rng"):
        mcneil_frey([1.0, 2.0, 3.0], 1.0, 2.0, 0.9)


LAWS = {
    "normal": stats.norm(),
    "a gain even in the worst days": stats.norm(-60, 10),
    "heavy tails in thousands": stats.t(3, 0, 4000),
}


@pytest.mark.parametrize("level", [0.9, 0.975])
@pytest.mark.parametrize(
    ("name", "form"),
    [(name, "logistic") for name in LAWS] + [(name, "zero_homogeneous") for name in LAWS if "gain" not in name],
)
def test_the_expected_score_is_least_at_the_true_measures_and_nowhere_else(name, level, form):
    law = LAWS[name]
    loss = law.ppf((np.arange(20_000) + 0.5) / 20_000)
    var = law.ppf(level)
    cvar = loss[loss > var].mean()
    steps = np.linspace(-0.4, 0.4, 9) * (cvar - law.median())
    pairs = [(v, c) for v in var + steps for c in cvar + steps if c >= v and (form == "logistic" or c > 0)]
    expected = [fissler_ziegel(loss, v, c, level, form=form).mean() for v, c in pairs]
    best, next_best = np.argsort(expected)[:2]
    assert pairs[best] == pytest.approx((var, cvar))
    assert expected[best] < expected[next_best]
    alone = [quantile_score(loss, var + step, level).mean() for step in steps]
    assert np.argmin(alone) == 4


def test_the_forms_are_those_of_the_papers_written_for_returns():
    rng = np.random.default_rng(0)
    loss, var = rng.normal(size=50), rng.uniform(0.5, 2, 50)
    cvar, alpha = var + rng.uniform(0.1, 1, 50), 0.025
    y, v, e = -loss, -var, -cvar
    below = y <= v
    patton = -1.0 * below * (v - y) / (alpha * e) + v / e + np.log(-e) - 1
    assert fissler_ziegel(loss, var, cvar, 0.975, form="zero_homogeneous") == pytest.approx(patton)
    bounded = np.exp(e) / (1 + np.exp(e))
    gneiting = (below - alpha) * (v - y) + bounded * (e - v + below * (v - y) / alpha) - np.log(1 + np.exp(e))
    assert fissler_ziegel(loss, var, cvar, 0.975, centre=0.0, scale=1.0) == pytest.approx(gneiting)
    assert quantile_score(loss, var, 0.975) == pytest.approx((below - alpha) * (v - y))


@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e4))
def test_a_sum_added_to_all_and_another_currency_leave_the_comparison_of_two_models(added, rate):
    rng = np.random.default_rng(0)
    loss, var, cvar = rng.normal(size=100), rng.uniform(0, 1, (2, 100)), rng.uniform(1, 2, (2, 100))
    differs = np.subtract(*fissler_ziegel(loss, var, cvar, 0.95))
    moved = np.subtract(*fissler_ziegel(*(rate * values + added for values in (loss, var, cvar)), 0.95))
    assert moved / rate == pytest.approx(differs, rel=1e-6, abs=1e-6 * (1 + abs(added) / rate))


def test_losses_that_never_differ_and_single_days_have_a_score():
    assert np.isfinite(fissler_ziegel(np.full(9, 5.0), 5.0, 5.0, 0.95)).all()
    assert fissler_ziegel([3.0], 1.0, 2.0, 0.95).shape == (1,)


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"form": "zero_homogeneous"}, "above 0, got -1.*form='logistic'"),
        ({"form": "al"}, "got 'al'"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"centre": np.nan}, "centre must be one finite number, got nan"),
    ],
)
def test_scores_that_are_not_defined_are_refused(keywords, says):
    with pytest.raises(DataError, match=says):
        fissler_ziegel([0.0, 1.0], -2.0, -1.0, 0.9, **keywords)


def test_rounding_may_leave_a_cvar_a_hair_below_its_var():
    assert checked_measures([1.0, 2.0], 3.0, 3.0 - 1e-12, 0.9).cvar[0] < 3


@pytest.fixture
def measures():
    dates = pd.date_range("2024-01-01", periods=500, name="date")
    loss = np.random.default_rng(8).normal(size=500)
    return pd.DataFrame({"loss": loss, "var": 1.644854, "cvar": 2.062713}, index=dates)


def test_the_table_has_a_row_for_each_test_with_the_answers_of_each(measures):
    simulated, level = np.random.default_rng(0).normal(size=(999, 500)), 0.95
    table = backtest_measures(measures, level, simulated=simulated)
    loss, var, cvar = (measures[column].to_numpy() for column in ("loss", "var", "cvar"))
    chain, szekely = christoffersen(loss > var, level), acerbi_szekely(loss, var, cvar, level, simulated=simulated)
    expected = {
        "kupiec": kupiec(loss > var, level),
        "independence": chain.independence,
        "conditional_coverage": chain.conditional_coverage,
        "dynamic_quantile": dynamic_quantile(loss > var, var, level)[:2],
        "traffic_light": (np.sum(loss > var), traffic_light(loss > var, level).p_value),
        "acerbi_szekely_z1": szekely.conditional,
        "acerbi_szekely_z2": szekely.unconditional,
        "ridge": szekely.ridge,
        "mcneil_frey": mcneil_frey(loss, var, cvar, level, simulated=simulated),
    }
    assert table.index.tolist() == list(expected)
    assert table.columns[0] == "asks"
    assert table.loc["kupiec", "asks"] == "are there as many hits as there should be?"
    assert table["asks"].is_unique and not (table["asks"] == "").any()
    assert table[["statistic", "p_value"]].to_numpy() == pytest.approx(np.array(list(expected.values()), dtype=float))
    assert table["says"].tolist() == ["holds"] * 4 + ["holds (green zone)"] + ["holds"] * 4
    assert (table[["n_days", "hits"]] == [500, np.sum(loss > var)]).all(axis=None)
    assert table["expected_hits"].tolist() == pytest.approx([25] * 9)


def test_the_table_says_why_a_model_is_rejected(measures):
    simulated, rng = np.random.default_rng(0).normal(size=(999, 500)), np.random.default_rng(1)
    low = backtest_measures(measures.assign(var=1.0, cvar=1.3), 0.95, simulated=0.6 * simulated, rng=rng)["says"]
    assert low["kupiec"] == low["conditional_coverage"] == "rejected: too many hits"
    assert low["traffic_light"] == "rejected: too many hits (red zone)"
    assert low["ridge"] == "rejected: the CVaR is too small"
    assert low["acerbi_szekely_z1"] == "rejected: losses of the hits exceed the CVaR"
    high = backtest_measures(measures.assign(var=4.0, cvar=5.0), 0.95, simulated=2.4 * simulated, exact=True)["says"]
    assert high["kupiec"] == "rejected: too few hits"
    assert high["acerbi_szekely_z1"] == "no answer: there are no hits"
    in_runs = measures.assign(loss=np.where(np.arange(500) % 100 < 5, 2.0, 0.0))
    says = backtest_measures(in_runs, 0.95)["says"]
    assert says["independence"] == "rejected: hits come together"
    assert says["dynamic_quantile"] == "rejected: hits can be foreseen"
    assert says["ridge"] == "no answer: it needs losses simulated under the model"
    assert says["conditional_coverage"] == "rejected: hits come together"
    gains = backtest_measures(measures.assign(loss=-9.0, var=-8.0, cvar=-7.0), 0.95, simulated=simulated - 9)["says"]
    assert gains["acerbi_szekely_z2"] == "no answer: a CVaR is not above 0"
    assert gains["mcneil_frey"] == "no answer: there are fewer than two different hits"


def test_a_table_says_that_hits_avoid_each_other_where_none_follows_another(measures):
    in_turn = measures.assign(loss=np.arange(500) % 2 * 9.0)
    says = backtest_measures(in_turn, 0.5)["says"]
    assert says["kupiec"] == "holds"
    assert says["independence"] == says["conditional_coverage"] == "rejected: hits avoid each other"


def test_hits_of_a_var_merely_too_low_are_too_many_and_not_foreseen(measures):
    rng = np.random.default_rng(0)
    for threshold, why in ((1.1, "rejected: too many hits"), (9.0, "rejected: too few hits")):
        for loss in rng.normal(size=(20, 500)):
            wrong = measures.assign(loss=loss, var=threshold, cvar=threshold + 1)
            assert backtest_measures(wrong, 0.95)["says"]["dynamic_quantile"] == why


def test_a_p_value_at_the_significance_rejects(measures):
    low, simulated = measures.assign(var=1.5, cvar=1.9), np.random.default_rng(0).normal(size=(99, 500))
    p_value = backtest_measures(low, 0.95, simulated=simulated).loc["ridge", "p_value"]
    at, below = (
        backtest_measures(low, 0.95, simulated=simulated, significance=significance).loc["ridge", "says"]
        for significance in (p_value, np.nextafter(p_value, 0))
    )
    assert (at, below) == ("rejected: the CVaR is too small", "holds")


def test_a_test_that_needs_more_days_has_no_answer_and_the_others_do(measures):
    few = measures.iloc[:11]
    table = backtest_measures(few, 0.95, simulated=np.random.default_rng(0).normal(size=(99, 11)))
    assert table.loc["dynamic_quantile", "says"] == "no answer: with 4 lags it needs at least 12 days, got 11"
    assert table.loc["dynamic_quantile", ["statistic", "p_value"]].isna().all()
    assert table.drop("dynamic_quantile")["p_value"].notna().all()
    assert not backtest_measures(measures.iloc[:12], 0.95)["says"]["dynamic_quantile"].startswith("no answer")
    assert np.isnan(compare_measures({"few": few}, 0.95).loc["few", "dynamic_quantile"])
    with pytest.raises(DataError, match="lags must be at least 0"):
        backtest_measures(few, 0.95, lags=-1)


def test_measures_whose_dates_do_not_rise_are_refused(measures):
    for wrong in (measures.iloc[::-1], measures.sample(frac=1, random_state=0), measures.iloc[[0, 1, 1, 2]]):
        for asked in (lambda table: backtest_measures(table, 0.95), lambda table: compare_measures({"a": table}, 0.95)):
            with pytest.raises(DataError, match="dates must rise, got 202"):
                asked(wrong)


def test_var_and_hits_of_other_days_are_not_matched_by_position(measures):
    hits = measures["loss"] > measures["var"]
    with pytest.raises(DataError, match="hits and var must have the same index, got 2024-01-01 to 2025-05-14"):
        dynamic_quantile(hits, measures["var"].shift(freq="D"), 0.95)
    assert dynamic_quantile(hits, measures["var"], 0.95) == dynamic_quantile(hits.to_numpy(), measures["var"], 0.95)


@pytest.mark.parametrize(
    ("law", "says"),
    [
        ((np.nan, [0, 1], [0.5, 0.5]), "a statistic is NaN"),
        ((1, [0, np.nan], [0.5, 0.5]), "values must be"),
        ((1, [0, 1], [0.5]), "one for each scenario"),
        ((1, [0, 1], [0.5, -0.5]), "not negative"),
    ],
)
def test_a_p_value_without_a_law_is_refused(law, says):
    with pytest.raises(DataError, match=says):
        exact_p_value(*law)


def test_a_table_of_exact_p_values_needs_no_coin(measures):
    loss, var = measures["loss"].to_numpy(), measures["var"].to_numpy()
    coverage = ["kupiec", "independence", "conditional_coverage", "traffic_light"]
    tables = [backtest_measures(measures, 0.95, exact=True, rng=np.random.default_rng(seed)) for seed in (0, 1)]
    assert tables[0]["p_value"][coverage].tolist() == tables[1]["p_value"][coverage].tolist()
    assert tables[0].loc["kupiec", "p_value"] == kupiec(loss > var, 0.95, exact=True).p_value
    foreseen = dynamic_quantile(loss > var, var, 0.95, rng=np.random.default_rng(0))
    assert tables[0].loc["dynamic_quantile", "p_value"] == pytest.approx(foreseen.p_value, abs=1e-3)


def test_the_comparison_has_the_right_model_first_and_hands_its_days_to_tests_of_difference(measures):
    models = {"low": measures.assign(var=1.2, cvar=1.5), "right": measures, "high": measures.assign(cvar=4.0)}
    table, scores = compare_measures(models, 0.95), daily_scores(models, 0.95)
    assert table.index[0] == "right"
    assert table["fissler_ziegel"].to_dict() == pytest.approx(scores.mean().to_dict())
    assert table.loc["low", "kupiec"] == kupiec(measures["loss"] > 1.2, 0.95).p_value
    assert table.loc["right", "hits"] == (measures["loss"] > 1.644854).sum()
    assert diebold_mariano(scores["low"], scores["right"]).p_value < 0.05
    assert compare_measures(models, 0.95, form="zero_homogeneous").index[0] == "right"


def test_tables_that_cannot_be_compared_are_refused(measures):
    for models, says in (
        ({}, "nothing to compare"),
        ({"a": measures, "b": measures.iloc[1:]}, "model 'b' differ"),
        ({"a": measures, "b": measures.assign(loss=0.0)}, "model 'b' differ"),
        ({"a": measures.drop(columns="cvar")}, "no column 'cvar' .it has loss, var."),
        ({"a": measures.assign(var=np.nan)}, "var must be finite, with no NaN, got nan at .0."),
    ):
        with pytest.raises(DataError, match=says):
            compare_measures(models, 0.95)
    with pytest.raises(DataError, match="significance"):
        backtest_measures(measures, 0.95, significance=5)
