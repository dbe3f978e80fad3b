"""Laws of a day's loss: what all keep, then each against its slow form, other libraries and published answers."""

import numpy as np
import pandas as pd
import pytest
from arch.univariate import GARCH, StudentsT, ZeroMean
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from gridlab.errors import DataError
from gridlab.risk.filtered import (
    FilteredLoss,
    fit_filtered,
    fit_filtered_history,
    fit_garch_normal,
    fit_garch_student,
)
from gridlab.risk.generalised_pareto import GeneralisedPareto, fit_generalised_pareto, mean_excess
from gridlab.risk.historical import cvar, var
from gridlab.risk.laws import History, fit_history
from gridlab.risk.models import LOSS_MODELS, foresee
from gridlab.risk.monte_carlo import monte_carlo
from gridlab.risk.parametric import (
    CornishFisher,
    Normal,
    Student,
    fit_cornish_fisher,
    fit_normal,
    fit_student,
)
from gridlab.volatility import Garch

LEVELS = (0.5, 0.9, 0.95, 0.975, 0.99)


def losses(seed=0, n=400, nu=4):
    """Losses that are skewed, with heavy tails and volatility that clusters."""
    rng = np.random.default_rng(seed)
    volatility = np.exp(0.7 * np.sin(np.arange(n) / 25))
    shocks = rng.standard_t(nu, size=n)
    return 2.0 + volatility * (shocks + 0.3 * np.maximum(shocks, 0))


def mean_beyond(model, level):
    """The mean of the VaR over the levels beyond, which is what a CVaR is."""
    total, _ = integrate.quad(lambda s: model.var(1 - np.exp(-s)) * np.exp(-s), -np.log(1 - level), 36, limit=400)
    return total / (1 - level)


# all models


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_the_measures_rise_with_the_level_and_the_mean_beyond_the_var_is_not_below_it(name):
    model = LOSS_MODELS[name](losses())
    stated = np.array([(model.var(level), model.cvar(level)) for level in np.linspace(0.02, 0.995, 60)])
    assert (np.diff(stated, axis=0) >= -1e-9).all()
    assert (stated[:, 1] >= stated[:, 0]).all()


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_level_zero_gives_the_mean_of_the_law(name):
    model = LOSS_MODELS[name](losses())
    drawn = model.sample(200_000, rng=np.random.default_rng(1))
    assert model.cvar(0.0) == pytest.approx(drawn.mean(), abs=6 * drawn.std() / 200_000**0.5)


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_many_draws_have_the_measures_that_the_model_states(name):
    model = LOSS_MODELS[name](losses())
    for level in (0.8, 0.95):
        found = monte_carlo(np.asarray, model.sample(200_000, rng=np.random.default_rng(2)), level=level)
        assert model.var(level) == pytest.approx(found.var, abs=4 * found.var_error + 1e-9)
        assert model.cvar(level) == pytest.approx(found.cvar, abs=4 * found.cvar_error)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("name", LOSS_MODELS)
def test_losses_in_another_unit_have_the_same_measures_in_that_unit(name, scale):
    plain, scaled = LOSS_MODELS[name](losses()), LOSS_MODELS[name](scale * losses())
    tolerance = 1e-3 if "garch" in name or name == "fhs" else 1e-6  # the optimiser of arch stops at its own steps
    for measure in ("var", "cvar"):
        wanted = scale * getattr(plain, measure)(0.95)
        assert getattr(scaled, measure)(0.95) == pytest.approx(wanted, rel=tolerance)


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_an_amount_paid_every_day_is_added_to_the_measures(name):
    plain, moved = LOSS_MODELS[name](losses()), LOSS_MODELS[name](losses() + 50)
    assert moved.var(0.95) == pytest.approx(plain.var(0.95) + 50, abs=1e-4)
    assert moved.cvar(0.95) == pytest.approx(plain.cvar(0.95) + 50, abs=1e-4)


@pytest.mark.parametrize("name", LOSS_MODELS)
@pytest.mark.parametrize("level", [-0.1, 1.0, 95, float("nan")])
def test_a_level_outside_its_range_is_refused_with_its_value(name, level):
    model = LOSS_MODELS[name](losses())
    for measure in (model.var, model.cvar):
        with pytest.raises(DataError, match=r"level must be in \[0, 1\), got"):
            measure(level)


@pytest.mark.parametrize("name", LOSS_MODELS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_refused_with_its_place(name, value):
    history = losses()
    history[7] = value
    with pytest.raises(DataError, match=r"at \[7\]: leave such days out"):
        LOSS_MODELS[name](history)


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_a_history_that_is_too_short_is_refused(name):
    with pytest.raises(DataError, match="at least"):
        LOSS_MODELS[name](losses(n=0 if name == "history" else 19))


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_equal_losses_are_the_measures_or_are_refused_with_another_model(name):
    constant = np.full(300, 0.1)
    if name in ("history", "normal", "cornish_fisher"):
        model = LOSS_MODELS[name](constant)
        assert model.var(0.95) == model.var(0.0) == 0.1
        assert model.cvar(0.95) == pytest.approx(0.1, abs=1e-15)
    else:
        with pytest.raises(DataError, match=r"every loss is 0\.1"):
            LOSS_MODELS[name](constant)


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_a_spike_of_a_hundred_times_the_rest_leaves_finite_measures(name):
    history = losses()
    history[350] = 100 * np.abs(history).max()
    model = LOSS_MODELS[name](history)
    assert np.isfinite([model.var(0.95), model.cvar(0.95)]).all()
    assert model.cvar(0.95) >= model.var(0.95)


@pytest.mark.parametrize("name", LOSS_MODELS)
def test_a_model_keeps_its_measures_when_its_history_is_written_over(name):
    history = losses()
    model = LOSS_MODELS[name](history)
    before = model.var(0.9), model.cvar(0.3)
    history[:] = 0.0
    assert (model.var(0.9), model.cvar(0.3)) == before


def test_a_model_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(DataError, match="did you mean 'student'"):
        LOSS_MODELS["studnet"]


# normal, Student, Cornish-Fisher


@pytest.mark.parametrize(
    ("level", "quantile", "shortfall"),
    [(0.95, 1.644854, 2.062713), (0.975, 1.959964, 2.337803), (0.99, 2.326348, 2.665214)],
)
def test_the_normal_has_its_published_measures(level, quantile, shortfall):
    model = Normal(mean=0.0, std=1.0)
    assert (round(model.var(level), 6), round(model.cvar(level), 6)) == (quantile, shortfall)


@pytest.mark.parametrize("nu", [1.5, 3.0, 8.0, 300.0])
@pytest.mark.parametrize("level", [*LEVELS, 0.01, 0.9999])
def test_the_student_agrees_with_scipy(nu, level):
    model = Student(mean=3.0, scale=2.0, nu=nu)
    law = stats.t(nu, 3.0, 2.0)
    assert model.var(level) == pytest.approx(law.ppf(level), rel=1e-8)
    quantile = stats.t.ppf(level, nu)  # McNeil, Frey and Embrechts (2015), Example 2.15
    shortfall = stats.t.pdf(quantile, nu) / (1 - level) * (nu + quantile**2) / (nu - 1)
    assert model.cvar(level) == pytest.approx(3 + 2 * shortfall, rel=1e-8)


def test_the_student_shortfall_is_the_mean_of_the_quantiles_beyond():
    model = Student(mean=3.0, scale=2.0, nu=3.5)
    assert model.cvar(0.95) == pytest.approx(mean_beyond(model, 0.95), rel=1e-6)


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([2.2, 3.0, 6.0, 40.0]), st.integers(-6, 6))
def test_no_student_that_scipy_finds_is_likelier(seed, nu, exponent):
    sample = 10.0**exponent * (5 + stats.t.rvs(nu, size=120, random_state=seed))
    model = fit_student(sample, least_nu=1.05)
    unit = sample / 10.0**exponent
    theirs = stats.t.fit(unit)
    ours = stats.t.logpdf(unit, model.nu, model.mean / 10.0**exponent, model.scale / 10.0**exponent).sum()
    assert ours >= stats.t.logpdf(unit, *theirs).sum() - 1e-5 or not 1.05 <= theirs[0] <= 1000


def test_the_students_degrees_of_freedom_keep_to_their_bound():
    sample = np.random.default_rng(0).standard_t(1.3, size=2000)
    assert fit_student(sample).nu == pytest.approx(2.0)
    assert 1.2 < fit_student(sample, least_nu=1.05).nu < 1.4


def test_losses_of_which_two_thirds_are_equal_have_no_student_law():
    history = np.concatenate([np.zeros(200), np.arange(1.0, 101.0)])
    with pytest.raises(DataError, match="200 of 300 losses are 0"):
        fit_student(history)
    assert fit_student(np.concatenate([np.zeros(150), np.arange(1.0, 151.0)])).scale > 0


def test_laws_without_a_mean_or_with_a_negative_scale_are_refused():
    with pytest.raises(DataError, match="nu must be above 1"):
        Student(0.0, 1.0, 1.0)
    with pytest.raises(DataError, match="std must be finite and not negative, got -1"):
        Normal(0.0, -1.0)
    with pytest.raises(DataError, match="least_nu must be in"):
        fit_student(losses(), least_nu=0.5)


@pytest.mark.parametrize(
    ("law", "parameters", "named"),
    [
        (Normal, (np.nan, 1.0), "mean"),
        (Normal, (np.inf, 1.0), "mean"),
        (Student, (np.nan, 1.0, 4.0), "mean"),
        (CornishFisher, (np.nan, 1.0, 0.0, 0.0), "mean"),
        (CornishFisher, (0.0, 1.0, np.nan, 1.0), "skewness"),
        (CornishFisher, (0.0, 1.0, 0.0, np.inf), "excess_kurtosis"),
        (GeneralisedPareto, (np.nan, 1.0, 0.0, 0.1), "xi"),
        (GeneralisedPareto, (0.1, 1.0, np.nan, 0.1), "threshold"),
    ],
)
def test_a_law_of_parameters_that_are_not_finite_is_refused_with_their_name(law, parameters, named):
    with pytest.raises(DataError, match=f"{named} must be one finite number, got (nan|inf)"):
        law(*parameters)


def test_levels_of_single_precision_are_asked_as_the_decimal_they_print_as():
    single = np.float32(0.6)
    for model in (Normal(1.0, 2.0), Student(0.0, 1.0, 4.0), fit_history(losses()), LOSS_MODELS["pot"](losses())):
        assert (model.var(single), model.cvar(single)) == (model.var(0.6), model.cvar(0.6))
    for model in (CornishFisher(0.0, 1.0, 0.5, 1.0), CornishFisher(0.0, 1.0, 3.0, 1.0)):
        assert (model.var(single), model.cvar(single)) == (model.var(0.6), model.cvar(0.6))


def test_a_history_of_more_than_one_axis_or_with_a_mask_is_refused():
    for history, says in (
        (pd.DataFrame({"loss": losses()}), "history is a DataFrame"),
        (np.ma.masked_less(losses(), 0), "history is a masked array"),
        (losses().reshape(2, -1), r"one axis.*got shape \(2, 200\)"),
    ):
        with pytest.raises(DataError, match=says):
            fit_normal(history)


skewnesses = st.floats(-6, 6)
kurtoses = st.floats(-2, 40)


def expansion(z, skewness, kurtosis):
    return z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36


@pytest.mark.parametrize(("skewness", "kurtosis"), [(0.0, 0.0), (0.5, 1.0), (-0.8, 2.5), (1.0, 3.0)])
@pytest.mark.parametrize("level", LEVELS)
def test_within_the_domain_the_var_is_the_expansion_and_the_cvar_its_mean_beyond(skewness, kurtosis, level):
    model = CornishFisher(2.0, 3.0, skewness, kurtosis)
    z = stats.norm.ppf(level)
    mean, _ = integrate.quad(lambda z: expansion(z, skewness, kurtosis) * stats.norm.pdf(z), z, 12, epsabs=1e-13)
    assert model.is_monotone
    assert model.var(level) == pytest.approx(2 + 3 * expansion(z, skewness, kurtosis), abs=1e-12)
    assert model.cvar(level) == pytest.approx(2 + 3 * mean / (1 - level), abs=1e-9)


@pytest.mark.parametrize(("skewness", "kurtosis"), [(3.0, 1.0), (0.0, 12.0), (-2.0, 5.0), (0.0, -1.5), (8.0, 60.0)])
def test_outside_the_domain_the_quantiles_are_those_of_the_expansion_in_rising_order(skewness, kurtosis):
    model = CornishFisher(0.0, 1.0, skewness, kurtosis)
    rising = np.sort(expansion(stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000), skewness, kurtosis))
    assert not model.is_monotone
    for level in (0.05, *LEVELS):
        worse = rising[round(level * 400_000) :]
        assert model.var(level) == pytest.approx(worse[0], rel=1e-3, abs=1e-3)
        assert model.cvar(level) == pytest.approx(worse.mean(), rel=1e-3, abs=1e-3)


@given(skewnesses, kurtoses)
def test_the_domain_is_where_the_expansion_rises(skewness, kurtosis):
    z = np.concatenate([-np.geomspace(1e-3, 1e4, 4000), np.geomspace(1e-3, 1e4, 4000)])
    slope = 1 + z * skewness / 3 + (z**2 - 1) * kurtosis / 8 - (6 * z**2 - 5) * skewness**2 / 36
    least = (slope / (1 + z**2)).min()
    assert least > -1e-9 if CornishFisher(0.0, 1.0, skewness, kurtosis).is_monotone else least < 1e-3


@given(st.floats(0.01, 6), st.floats(0.01, 12))
def test_the_domain_is_maillards(skewness, kurtosis):
    left = skewness**2 / 9 - 4 * (kurtosis / 8 - skewness**2 / 6) * (1 - kurtosis / 8 + 5 * skewness**2 / 36)
    for sign in (-1, 1):
        assert CornishFisher(0.0, 1.0, sign * skewness, kurtosis).is_monotone == (left <= 0)


@given(skewnesses, kurtoses, st.floats(0.01, 0.98))
def test_whatever_the_moments_the_bent_normal_is_a_law(skewness, kurtosis, level):
    model = CornishFisher(0.0, 1.0, skewness, kurtosis)
    higher = min(level + 0.015, 0.995)
    assert model.var(level) <= model.var(higher) + 1e-9
    assert model.var(level) <= model.cvar(level) + 1e-9
    assert model.cvar(level) <= model.cvar(higher) + 1e-9


def test_the_bent_normal_takes_the_moments_of_the_losses_on_request():
    history = stats.t.rvs(9, size=5000, random_state=0) + stats.gamma.rvs(2.0, size=5000, random_state=1)
    plain, matched = fit_cornish_fisher(history), fit_cornish_fisher(history, match_moments=True)
    assert plain.skewness == pytest.approx(stats.skew(history))
    assert plain.excess_kurtosis == pytest.approx(stats.kurtosis(history))
    z = stats.norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)
    law = matched.mean + matched.std * expansion(z, matched.skewness, matched.excess_kurtosis)
    assert [law.mean(), law.std()] == pytest.approx([history.mean(), history.std()], rel=1e-3)
    assert [stats.skew(law), stats.kurtosis(law)] == pytest.approx([plain.skewness, plain.excess_kurtosis], rel=2e-3)


def test_moments_that_no_bent_normal_has_are_refused():
    with pytest.raises(DataError, match="no Cornish-Fisher law of the domain has skewness"):
        fit_cornish_fisher(np.concatenate([np.zeros(50), np.ones(150)]), match_moments=True)


def test_the_normal_fit_is_the_mean_and_the_deviation_of_the_sample():
    history = losses()
    assert fit_normal(history) == Normal(history.mean(), history.std(ddof=1))


# peaks over threshold


@pytest.mark.parametrize(("level", "quantile", "shortfall"), [(0.99, 3.898648, 5.623310), (0.995, 4.924466, 6.905583)])
def test_the_generalised_pareto_tail_has_its_known_measures(level, quantile, shortfall):
    model = GeneralisedPareto(xi=0.2, beta=1.0, threshold=2.0, share_above=0.05)
    assert (model.var(level), model.cvar(level)) == pytest.approx((quantile, shortfall), rel=0, abs=1e-6)


@pytest.mark.parametrize("xi", [-0.4, -1e-9, 0.0, 1e-12, 0.3, 0.9])
def test_the_tail_agrees_with_scipy(xi):
    model = GeneralisedPareto(xi=xi, beta=1.5, threshold=2.0, share_above=0.1)
    law = stats.genpareto(xi, scale=1.5)
    for level in (0.9, 0.95, 0.999):
        assert model.var(level) == pytest.approx(2 + law.isf((1 - level) / 0.1), rel=1e-8)
    if xi < 0.5:
        assert model.cvar(0.95) == pytest.approx(mean_beyond(model, 0.95), rel=1e-8)


@given(st.integers(0, 500), st.floats(0, 0.99))
def test_below_the_threshold_the_measures_are_those_of_history_with_the_tail_in_place_of_its_worst(seed, level):
    history = losses(seed)
    model = fit_generalised_pareto(history, estimator="moments")
    edge = 1 - model.share_above
    if level < edge:
        tail_mean = model.threshold + model.beta / (1 - model.xi)
        assert model.var(level) == var(history, level)
        assert model.cvar(level) == pytest.approx(cvar(np.where(history > model.threshold, tail_mean, history), level))
    assert model.var(edge - 1e-13) == pytest.approx(model.var(edge + 1e-13))
    assert model.cvar(edge - 1e-12) == pytest.approx(model.cvar(edge + 1e-12), rel=1e-9)


@given(st.integers(0, 10_000), st.sampled_from([-0.3, 0.0, 0.4, 1.2]), st.sampled_from([20, 60, 300]))
def test_no_tail_that_scipy_finds_is_likelier(seed, xi, n):
    excess = stats.genpareto.rvs(xi, scale=3.0, size=n, random_state=seed)
    history = np.concatenate([-1 - np.arange(9.0 * n), excess])
    model = fit_generalised_pareto(history)
    above = history[history > model.threshold] - model.threshold
    theirs = stats.genpareto.fit(above, floc=0)
    ours = stats.genpareto.logpdf(above, model.xi, 0, model.beta).sum()
    assert ours >= stats.genpareto.logpdf(above, *theirs).sum() - 1e-7 or theirs[0] < -0.5


@given(st.integers(0, 10_000), st.sampled_from([-2.0, -0.3, 0.0, 0.7, 3.0]))
def test_the_tail_by_moments_has_a_finite_mean_and_holds_the_worst_loss(seed, xi):
    history = stats.genpareto.rvs(xi, size=120, random_state=seed)
    model = fit_generalised_pareto(history, estimator="moments")
    assert model.xi < 1
    assert model.beta / (1 - model.xi) == pytest.approx((history[history > model.threshold] - model.threshold).mean())
    assert model.threshold + (-model.beta / model.xi if model.xi < 0 else np.inf) >= history.max() * (1 - 1e-12)


def test_the_moments_of_a_tail_are_those_of_hosking_and_wallis():
    excess = np.array([0.1, 0.2, 0.4, 0.5, 0.9, 1.3, 1.4, 2.5, 4.0, 7.0])
    model = fit_generalised_pareto(np.concatenate([-np.arange(90.0), excess]), estimator="moments")
    first = np.mean(excess)
    second = np.mean([(1 - (rank - 0.35) / 10) * value for rank, value in enumerate(excess, start=1)])
    assert model.xi == pytest.approx(2 - first / (first - 2 * second))
    assert model.beta == pytest.approx(2 * first * second / (first - 2 * second))


def test_a_tail_by_moments_that_would_end_before_the_worst_loss_ends_at_it():
    excess = np.append(np.linspace(0.8, 1.2, 19), 4.0)
    model = fit_generalised_pareto(np.concatenate([-np.arange(180.0), excess]), estimator="moments")
    assert -0.5 < model.xi < 0
    assert model.threshold - model.beta / model.xi == pytest.approx(4.0)


@pytest.mark.parametrize("excess", [np.ones(10), np.linspace(1.0, 1.001, 10)], ids=["equal", "nearly equal"])
def test_a_tail_by_moments_has_no_shape_below_the_least(excess):
    model = fit_generalised_pareto(np.concatenate([-np.arange(90.0), excess]), estimator="moments")
    assert (model.xi, model.beta) == (-0.5, pytest.approx(1.5 * excess.mean()))


def test_an_infinite_shortfall_is_refused_with_the_shape_and_the_var_is_kept():
    model = GeneralisedPareto(xi=1.3, beta=1.0, threshold=2.0, share_above=0.05)
    assert model.var(0.99) == pytest.approx(2 + (5**1.3 - 1) / 1.3)
    with pytest.raises(DataError, match=r"xi is 1\.3, and from 1 on"):
        model.cvar(0.99)


def test_a_tail_without_a_body_answers_from_its_threshold_on():
    model = GeneralisedPareto(xi=0.2, beta=1.0, threshold=2.0, share_above=0.05)
    for ask in (model.var, model.cvar):
        with pytest.raises(DataError, match="below the threshold's"):
            ask(0.9)
    with pytest.raises(DataError, match="no body"):
        model.sample(5, rng=np.random.default_rng(0))


def test_ties_at_the_threshold_do_not_count_as_above_it():
    history = np.concatenate([np.zeros(290), np.arange(1.0, 11.0)])
    assert fit_generalised_pareto(history).share_above == pytest.approx(10 / 300)
    with pytest.raises(DataError, match="9 of 299 losses lie above the threshold 0"):
        fit_generalised_pareto(history[:-1])


def test_options_of_a_tail_out_of_their_range_are_refused():
    with pytest.raises(DataError, match="threshold_share must be in"):
        fit_generalised_pareto(losses(), threshold_share=1.0)
    with pytest.raises(DataError, match="no estimator 'guess'"):
        fit_generalised_pareto(losses(), estimator="guess")
    with pytest.raises(DataError, match="share_above must be in"):
        GeneralisedPareto(0.1, 1.0, 0.0, 0.0)
    with pytest.raises(DataError, match="beta must be above 0"):
        GeneralisedPareto(0.1, 0.0, 0.0, 0.1)


def test_the_mean_excess_is_that_of_the_losses_above_each_threshold():
    history = losses(n=800)
    table = mean_excess(history)
    assert table.index.is_monotonic_increasing
    assert (table["n_above"] >= 10).all()
    for threshold, row in table.iterrows():
        above = history[history > threshold]
        assert row["mean_excess"] == pytest.approx(above.mean() - threshold)
        assert row["share_above"] == len(above) / 800
        assert row["xi"] == pytest.approx(fit_generalised_pareto(history, threshold_share=len(above) / 800).xi)


def test_above_a_pareto_threshold_shape_and_scale_stay_level():
    history = stats.genpareto.rvs(0.3, scale=2.0, size=20_000, random_state=1)
    table = mean_excess(history, n_thresholds=10).query("n_above > 2000")
    assert len(table) > 5
    assert (abs(table["xi"] - 0.3) < 3 * table["xi_error"]).all()
    assert table["scale"].to_numpy() == pytest.approx(2.0, abs=0.3)


# filtered by a GARCH volatility


def by_hand(history, garch, mean):
    """Variances of every day and of the next, one at a time."""
    variance = [garch.omega + (garch.alpha[0] + garch.beta[0]) * garch.start]
    for loss in history:
        variance.append(garch.omega + garch.alpha[0] * (loss - mean) ** 2 + garch.beta[0] * variance[-1])
    return np.array(variance)


def test_filtered_history_standardises_by_the_volatility_of_the_day_and_rescales_by_todays():
    history = losses()
    model = fit_filtered_history(history)
    variance = by_hand(history, model.garch, history.mean())
    shocks = (history - history.mean()) / np.sqrt(variance[:-1])
    for level in LEVELS:
        assert model.var(level) == pytest.approx(history.mean() + np.sqrt(variance[-1]) * var(shocks, level))
        assert model.cvar(level) == pytest.approx(history.mean() + np.sqrt(variance[-1]) * cvar(shocks, level))
    drawn = (model.sample(500, rng=np.random.default_rng(0)) - history.mean()) / np.sqrt(variance[-1])
    assert all(np.abs(shocks - value).min() < 1e-9 for value in drawn)


def test_a_filtered_model_after_another_history_has_its_shocks_by_the_old_mean_and_recursion():
    first, then = losses(), losses(seed=3)
    fitted = fit_filtered_history(first)
    followed = fitted.updated(then)
    variance = by_hand(then, fitted.garch, first.mean())
    assert followed.garch is fitted.garch
    assert followed.mean == first.mean()
    assert followed.shock.losses == pytest.approx((then - first.mean()) / np.sqrt(variance[:-1]), rel=1e-12)
    assert followed.variance == pytest.approx(variance[-1], rel=1e-12)


def test_the_next_variance_is_that_of_arch():
    garch = Garch(0.2, np.array([0.15]), np.array([0.75]), nu=6.0, start=2.0)
    start = FilteredLoss(1.0, garch, np.array([2.0]), np.array([2.0]), Student(0.0, (4 / 6) ** 0.5, 6.0))
    history = start.paths(1500, 1, rng=np.random.default_rng(0))[0]
    deviations = history - history.mean()
    unit = np.sqrt(np.mean(deviations**2))
    theirs = ZeroMean(deviations / unit, volatility=GARCH(p=1, q=1), distribution=StudentsT()).fit(disp="off")
    ahead = theirs.forecast(horizon=1, reindex=False).variance.to_numpy()[-1, 0] * unit**2
    model = fit_garch_student(history)
    # arch starts from a weighted mean of the first squares; 1,500 days later nothing is left of the difference
    assert model.variance == pytest.approx(ahead, rel=1e-8)
    nu = theirs.params["nu"]
    assert model.shock.nu == pytest.approx(nu, rel=1e-8)
    quantile = StudentsT().ppf(0.99, [nu])
    assert model.var(0.99) == pytest.approx(history.mean() + np.sqrt(ahead) * quantile, rel=1e-8)


def test_wild_days_at_the_end_raise_the_filtered_measures_and_leave_the_plain_ones():
    rng = np.random.default_rng(0)
    quiet, wild = rng.normal(0, 1, 300), rng.normal(0, 4, 30)
    ends_wild, ends_quiet = np.concatenate([quiet, wild]), np.concatenate([wild, quiet])
    assert fit_filtered_history(ends_wild).var(0.95) > 2 * fit_filtered_history(ends_quiet).var(0.95)
    assert fit_history(ends_wild).var(0.95) == fit_history(ends_quiet).var(0.95)


@pytest.mark.parametrize(("p", "q"), [(1, 1), (2, 1), (1, 2), (1, 0)])
def test_the_state_after_the_history_gives_the_next_variance_at_any_order(p, q):
    history = losses()
    model = fit_filtered(history, fit_history, p=p, q=q)
    assert model.variance == pytest.approx(model.garch.variance(history - history.mean())[-1], rel=1e-12)


def test_an_update_keeps_the_parameters_and_follows_the_days():
    history = losses(n=430)
    for fit in (fit_filtered_history, fit_garch_normal, fit_garch_student):
        model = fit(history[:400])
        later = model.updated(history[30:])
        assert (later.mean, later.garch) == (model.mean, model.garch)
        assert later.variance == pytest.approx(by_hand(history[30:], model.garch, model.mean)[-1])
        again = model.updated(history[:400])
        assert (again.var(0.95), again.cvar(0.95)) == (model.var(0.95), model.cvar(0.95))
    assert fit_garch_student(history[:400]).updated(history[30:]).shock == fit_garch_student(history[:400]).shock
    shocks = fit_filtered_history(history[:400]).updated(history[30:]).shock.losses
    assert len(shocks) == 400


def test_each_path_moves_its_own_variance_by_its_own_shocks():
    garch = Garch(0.2, np.array([0.15, 0.1]), np.array([0.6, 0.1]), nu=8.0, start=4.0)
    shock = Normal(0.0, 1.0)
    model = FilteredLoss(1.0, garch, np.array([9.0, 2.0]), np.array([5.0, 3.0]), shock)
    paths = model.paths(4, 50, rng=np.random.default_rng(3))
    drawn = np.random.default_rng(3).normal(size=(4, 50)).T
    for path, shocks in zip(paths, drawn, strict=True):
        squares, variances = [9.0, 2.0], [5.0, 3.0]
        for loss, standard in zip(path, shocks, strict=True):
            variance = 0.2 + 0.15 * squares[0] + 0.1 * squares[1] + 0.6 * variances[0] + 0.1 * variances[1]
            assert loss == pytest.approx(1 + np.sqrt(variance) * standard)
            squares, variances = [(loss - 1) ** 2, squares[0]], [variance, variances[0]]


def test_the_variance_of_simulated_days_is_the_recursions_forecast():
    history = losses()
    model = fit_garch_normal(history)
    unit = FilteredLoss(model.mean, model.garch, model.squares, model.variances, Normal(0.0, 1.0))
    paths = unit.paths(5, 200_000, rng=np.random.default_rng(0))
    forecast = model.garch.forecast(history - history.mean(), n_steps=5)
    assert paths.var(axis=0) == pytest.approx(forecast, rel=0.05)
    assert paths[:, 0].var() == pytest.approx(forecast[0], rel=0.01)


def test_the_first_simulated_day_has_the_law_of_the_next():
    model = fit_filtered_history(losses())
    first = model.paths(3, 1000, rng=np.random.default_rng(0))[:, 0]
    assert first == pytest.approx(model.sample(1000, rng=np.random.default_rng(0)), rel=1e-12)
    with pytest.raises(DataError, match="n_steps and n_paths must be at least 1, got 0 and 5"):
        model.paths(0, 5, rng=np.random.default_rng(0))


def test_normal_shocks_have_the_mean_square_of_the_standardised_losses():
    history = losses()
    model = fit_garch_normal(history)
    shocks = fit_filtered_history(history).shock.losses
    assert (model.shock.mean, model.shock.std) == (0.0, pytest.approx(np.sqrt(np.mean(shocks**2))))


def test_a_history_shorter_than_the_recursion_needs_is_refused_with_both_numbers():
    with pytest.raises(DataError, match="at least 50 losses, one a day, got 49:"):
        fit_filtered_history(losses(n=49))


# Monte Carlo


def test_the_measures_are_those_of_the_losses_of_the_paths():
    paths = np.random.default_rng(0).normal(size=(3000, 7, 2))
    weights = np.random.default_rng(1).random(3000)
    loss = paths.max(axis=(1, 2))
    found = monte_carlo(lambda paths: paths.max(axis=(1, 2)), paths, level=0.9, weights=weights)
    assert (found.var, found.cvar) == (var(loss, 0.9, weights=weights), cvar(loss, 0.9, weights=weights))


@pytest.mark.parametrize("law", [stats.norm(), stats.t(4), stats.expon()], ids=["normal", "student", "exponential"])
def test_two_standard_errors_hold_the_truth_19_times_in_20(law):
    rng = np.random.default_rng(5)
    quantile = law.ppf(0.95)
    shortfall = law.expect(lambda loss: loss, lb=quantile, conditional=True)
    found = [monte_carlo(np.asarray, law.rvs(2000, random_state=rng)) for _ in range(400)]
    var_held = np.mean([abs(risk.var - quantile) < 1.96 * risk.var_error for risk in found])
    cvar_held = np.mean([abs(risk.cvar - shortfall) < 1.96 * risk.cvar_error for risk in found])
    assert 0.92 <= var_held <= 0.98
    assert 0.91 <= cvar_held <= 0.98


def test_two_standard_errors_hold_the_truth_under_weights_that_favour_the_tail():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        drawn = rng.normal(1.5, 1.0, size=1000)
        weights = stats.norm.pdf(drawn) / stats.norm.pdf(drawn, 1.5)
        found.append(monte_carlo(np.asarray, drawn, level=0.99, weights=weights))
    assert 0.91 <= np.mean([abs(risk.var - 2.326348) < 1.96 * risk.var_error for risk in found]) <= 0.98
    assert 0.91 <= np.mean([abs(risk.cvar - 2.665214) < 1.96 * risk.cvar_error for risk in found]) <= 0.98
    plain = [monte_carlo(np.asarray, rng.normal(size=1000), level=0.99) for _ in range(20)]
    assert np.mean([risk.cvar_error for risk in found]) < 0.6 * np.mean([risk.cvar_error for risk in plain])


def test_a_weight_of_two_is_one_path_counted_twice_and_worth_less_than_two():
    drawn = np.random.default_rng(0).normal(size=400)
    weighted = monte_carlo(np.asarray, drawn, weights=np.tile([0, 1], 200))
    half = monte_carlo(np.asarray, drawn[1::2])
    assert (weighted.var, weighted.n_effective) == (half.var, pytest.approx(200))
    assert weighted.cvar_error == pytest.approx(half.cvar_error)


def test_a_loss_that_never_varies_has_no_error():
    found = monte_carlo(lambda paths: np.full(len(paths), 3.0), np.zeros((50, 2)))
    assert (found.var, found.var_error) == (3.0, 0.0)
    assert [found.cvar, found.cvar_error] == pytest.approx([3.0, 0.0], abs=1e-12)


def test_errors_from_too_few_scenarios_in_the_tail_are_refused_with_the_number_needed():
    with pytest.raises(DataError, match=r"worth of 6 scenarios.*draw at least 200"):
        monte_carlo(np.asarray, np.arange(100.0))
    with pytest.raises(DataError, match="worth of 1 scenarios"):
        monte_carlo(np.asarray, [4.0])
    weights = np.ones(1000)
    weights[-1] = 900
    with pytest.raises(DataError, match="worth of 1 scenarios"):
        monte_carlo(np.asarray, np.arange(1000.0), weights=weights)


def test_losses_that_are_not_one_finite_number_a_path_are_refused():
    with pytest.raises(DataError, match=r"one finite loss for each of 40 paths, got shape \(40, 3\)"):
        monte_carlo(np.asarray, np.zeros((40, 3)))
    with pytest.raises(DataError, match="paths is a masked array"):
        monte_carlo(np.asarray, np.ma.masked_equal(np.zeros(40), 0))
    with pytest.raises(DataError, match="the loss of path 3 is nan"):
        monte_carlo(lambda paths: np.where(np.arange(40) == 3, np.nan, paths), np.zeros(40))
    with pytest.raises(DataError, match="at least one scenario"):
        monte_carlo(np.asarray, np.zeros((0, 3)))
    with pytest.raises(DataError, match="level must be above 0"):
        monte_carlo(np.asarray, np.zeros(40), level=0.0)


def test_the_risk_of_a_week_is_asked_of_simulated_days():
    model = fit_filtered_history(losses())
    week = monte_carlo(lambda paths: paths.sum(axis=1), model.paths(5, 20_000, rng=np.random.default_rng(0)))
    assert 5 * model.mean < week.var < 5 * model.cvar(0.999)
    assert week.cvar - week.var > 0


def test_history_is_the_plain_measures():
    history = losses()
    assert isinstance(fit_history(history), History)
    assert fit_history(history).var(0.95) == var(history, 0.95)
    assert fit_history(history).cvar(0.95) == cvar(history, 0.95)


def test_foreseen_measures_are_those_of_each_model_and_a_refusal_stands_in_its_row():
    history = np.random.default_rng(5).standard_t(4, 60)
    table = foresee(history, level=0.9)
    assert table.index.tolist() == list(LOSS_MODELS)
    for name in ("history", "normal", "fhs"):
        law = LOSS_MODELS[name](history)
        assert (table.loc[name, "var"], table.loc[name, "cvar"]) == (law.var(0.9), law.cvar(0.9))
    refused = table[table["refused"] != ""]
    assert refused.index.tolist() == ["pot", "garch_pot"]
    assert refused[["var", "cvar"]].isna().all(axis=None)
    with pytest.raises(DataError, match="losses lie above the threshold"):
        LOSS_MODELS["pot"](history)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 1.0}, "level"),
        ({"models": ["gauss"]}, "there is no loss model 'gauss'"),
        ({"history": [np.nan]}, "finite"),
    ],
)
def test_foreseeing_refuses_what_no_model_could_take(options, says):
    with pytest.raises(DataError, match=says):
        foresee(**{"history": [1.0, 2.0]} | options)
