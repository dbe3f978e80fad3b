import pickle
import sys
from dataclasses import replace
from itertools import count

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gridlab import evaluate
from gridlab.days import Days, fold
from gridlab.errors import DataError, MissingExtraError
from gridlab.forecast import MODELS
from gridlab.forecast.lear import regressors as lear_regressors
from gridlab.forecast.neural import VIEWS, DeepEnsemble, Mlp, regressors
from gridlab.forecast.neural_numpy import Network, Plan, Task, _gelu, _gradients, best_epoch, networks_after, train_each
from gridlab.schema import mock_prices

DAYS = fold(mock_prices(days=60))
SMALL = {"hidden": (8,), "n_epochs": 10}


def tasks(n_tasks, n_rows=150):
    """Tasks of which every second shares its data with the one before, with and without a shortcut."""
    rng = np.random.default_rng(5)
    data = [rng.normal(size=(n_rows, 9)).astype(np.float32) for _ in range(0, n_tasks, 2)]
    target = [np.abs(X[:, :3]) * X[:, 3:6] for X in data]
    return [Task(data[i // 2], target[i // 2], shortcut=i % 3 == 0, seed=(7, i)) for i in range(n_tasks)]


def last_of(epochs):
    *_, networks = epochs
    return networks


def arrays(network):
    shortcut = [] if network.shortcut is None else [network.shortcut]
    return [*network.weights, *network.biases, *shortcut]


def test_networks_trained_side_by_side_are_those_trained_one_by_one():
    pytest.importorskip("torch")
    from gridlab.forecast.neural_torch import train_together

    for plan in (Plan((12, 5), n_epochs=6), Plan((7,), n_epochs=4, dropout=0.0, weight_decay=0.1)):
        epochs = zip(train_each(tasks(5), plan), train_together(tasks(5), plan), strict=True)
        for alone, together in epochs:
            for one, other in zip(alone, together, strict=True):
                assert (one.shortcut is None) == (other.shortcut is None)
                for ours, theirs in zip(arrays(one), arrays(other), strict=True):
                    assert theirs == pytest.approx(ours, abs=2e-5)


def test_the_company_of_a_network_changes_nothing_of_it():
    pytest.importorskip("torch")
    from gridlab.forecast.neural_torch import train_together

    order = [2, 0, 3, 1]
    several, plan = tasks(4), Plan((6,), n_epochs=3)
    for train in (train_each, train_together):
        straight, shuffled = last_of(train(several, plan)), last_of(train([several[i] for i in order], plan))
        (by_itself,) = last_of(train(several[:1], plan))
        pairs = [(straight[i], shuffled[place]) for place, i in enumerate(order)] + [(straight[0], by_itself)]
        for one, other in pairs:
            for ours, theirs in zip(arrays(one), arrays(other), strict=True):
                assert theirs == pytest.approx(ours, abs=1e-6)


def test_the_order_of_the_networks_of_an_expert_changes_nothing():
    expert = DeepLike(views=("scaled",)).fit_part(DAYS[:50])[0]
    days = DAYS[30:50].followed_by(np.zeros(24), DAYS.inputs[50])
    turned = replace(expert, networks=expert.networks[::-1])
    assert turned.forecast(days) == pytest.approx(expert.forecast(days), rel=1e-12)
    assert len(expert.networks) == 3


def test_the_gradient_is_the_slope_of_the_loss():
    rng = np.random.default_rng(3)
    draws = tasks(1, n_rows=40)[0].draws()
    network = draws.first(4, 2, (5, 3), shortcut=True)
    X, Y = rng.normal(size=(2, 4)), rng.normal(size=(2, 2))
    kept = [np.array([[1.25] * n, [1.25] * (n - 1) + [0.0]]) for n in (5, 3)]
    flat = [*network.weights, network.shortcut, *network.biases]
    doubles = [array + rng.normal(0, 0.1, array.shape) for array in flat]

    def rebuilt():
        return Network(tuple(doubles[:3]), tuple(doubles[4:]), doubles[3])

    def loss():
        net, activity = rebuilt(), X
        for weight, bias, factor in zip(net.weights[:-1], net.biases[:-1], kept, strict=True):
            values = activity @ weight + bias
            activity = values * norm.cdf(values) * factor
        return np.abs(activity @ net.weights[-1] + net.biases[-1] + X @ net.shortcut - Y).mean()

    gradients = _gradients(rebuilt(), X, Y, kept)
    for array, gradient in zip(doubles, gradients, strict=True):
        for place in [(0, 0), (-1, -1)]:
            was = array[place]
            array[place] = was + 1e-6
            above = loss()
            array[place] = was - 1e-6
            below = loss()
            array[place] = was
            assert gradient[place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_gelu_is_its_definition_by_the_normal_distribution():
    values = np.linspace(-4, 4, 33)
    assert _gelu(values)[0] == pytest.approx(values * norm.cdf(values), abs=1e-6)


def test_a_network_learns_what_no_linear_model_can():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(600, 6)).astype(np.float32)
    Y = np.abs(X[:, :2]) - np.abs(X[:, 2:4])
    (network,) = last_of(train_each([Task(X[:500], Y[:500], False, (0,))], Plan((48, 24), dropout=0.0)))
    design = np.column_stack([X, np.ones(len(X))])
    linear = design[500:] @ np.linalg.lstsq(design[:500], Y[:500], rcond=None)[0]
    assert np.abs(network.predict(X[500:]) - Y[500:]).mean() < 0.5 * np.abs(linear - Y[500:]).mean()


def test_a_shortcut_carries_more_lines_than_there_are_hidden_units():
    X = np.random.default_rng(1).normal(size=(400, 3)).astype(np.float32)
    several = [Task(X, 2 * X, shortcut, (0,)) for shortcut in (True, False)]
    with_it, without = last_of(train_each(several, Plan((1,), learning_rate=0.02, weight_decay=0.1)))
    assert np.abs(with_it.predict(X) - 2 * X).mean() < 0.1
    assert np.abs(without.predict(X) - 2 * X).mean() > 1.0


def constant(value):
    return Network((np.zeros((1, 1), np.float32),), (np.full((1, 1), value, np.float32),))


@settings(max_examples=50)
@given(losses=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=30), patience=st.integers(1, 8))
def test_early_stopping_asks_for_no_epoch_after_its_patience_and_gives_the_best_so_far(losses, patience):
    asked = []
    zero = Task(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32), False, ())
    epochs = (asked.append(loss) or [constant(loss)] for loss in losses)
    best = best_epoch(epochs, [zero], patience)
    assert losses[best - 1] == min(asked)
    assert len(asked) == min(len(losses), best + patience)


def test_no_more_epochs_are_trained_than_are_wanted():
    counted = count(1)
    assert networks_after(([number] for number in counted), 3) == [3]
    assert next(counted) == 4


def test_pilots_of_pure_noise_stop_long_before_pilots_of_a_law():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 30)).astype(np.float32)
    plan = Plan((64,), n_epochs=60, dropout=0.0, weight_decay=0.01)

    def stopped(Y):
        task = Task(X, Y.astype(np.float32), False, (0,))
        held_out = np.arange(60)
        unseen = replace(task, X=X[:60], Y=task.Y[:60])
        return best_epoch(train_each([task.without(held_out)], plan), [unseen], 10)

    assert stopped(rng.normal(size=(300, 2))) < 15 < 30 < stopped(X[:, :2] + X[:, 2:4])


def test_views_keep_or_take_away_a_level_and_a_scale():
    moved = replace(DAYS, price=5 * DAYS.price + 300)
    for name, view in VIEWS.items():
        seen, of_moved = regressors(DAYS, view), regressors(moved, view)
        prices = slice(0, 96)
        expected = {"none": 5 * seen.lags[20:, prices] + 300}.get(
            view.level, seen.lags[20:, prices] * (1 if view.scaled else 5)
        )
        assert of_moved.lags[20:, prices] == pytest.approx(expected), name
        target, of_target = ((d.price - s.level) / s.scale for d, s in ((DAYS, seen), (moved, of_moved)))
        assert np.isfinite(target[7:]).all()
        if view.scaled:
            assert of_target[20:] == pytest.approx(target[20:])


def test_the_plain_view_has_lears_regressors_less_the_level_of_inputs():
    ours, lears = regressors(DAYS, VIEWS["plain"]).lags[7:], lear_regressors(DAYS).lags[7:]
    level = ours[:, 168:169]
    assert ours[:, :96] == pytest.approx(lears[:, :96])
    assert ours[:, 96:168] + level == pytest.approx(lears[:, 96:])
    assert (ours[:, 169:] == 0).all()


@pytest.mark.parametrize("view", VIEWS)
def test_the_last_day_looks_the_same_with_as_little_history_as_a_forecast_takes(view):
    whole, short = (regressors(days, VIEWS[view], 0.5) for days in (DAYS, DAYS[-15:]))
    assert (whole.lags[-1] == short.lags[-1]).all()
    assert whole.level[-1] == short.level[-1]
    assert whole.scale[-1] == short.scale[-1]


class DeepLike(Mlp):
    """Three networks a view, by numpy."""

    def _n_seeds(self):
        return 3

    def _plans(self):
        return (Plan((6,), 4),)


def test_deep_is_the_same_by_numpy_and_every_time_and_its_model_needs_no_torch(monkeypatch):
    pytest.importorskip("torch")
    parameters = {"views": ("scaled", "plain"), "shapes": ((6,), (4, 3)), "n_seeds": 2, "n_epochs": 5}
    forecaster = DeepEnsemble(**parameters)
    fit = forecaster.fit_part(DAYS[:50])
    said = [
        forecaster.say(model, DAYS[:50], DAYS.inputs[50]).experts for model in (fit, forecaster.fit_part(DAYS[:50]))
    ]
    assert (said[0] == said[1]).all()
    assert said[0].shape == (24, 2)
    assert forecaster.expert_names == ("scaled", "plain")
    assert [len(expert.networks) for expert in fit] == [4, 4]
    monkeypatch.setattr(DeepEnsemble, "_trainer", lambda self: train_each)
    by_numpy = forecaster.say(forecaster.fit_part(DAYS[:50]), DAYS[:50], DAYS.inputs[50]).experts
    assert by_numpy == pytest.approx(said[0], abs=0.01)
    monkeypatch.setitem(sys.modules, "torch", None)
    again = pickle.loads(pickle.dumps(fit))
    assert (forecaster.say(again, DAYS[:50], DAYS.inputs[50]).experts == said[0]).all()


def test_without_torch_deep_says_how_to_get_it_and_mlp_does_without(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch is not installed: pip install 'gridlab\[deep\]'"):
        DeepEnsemble(n_epochs=1).fit_part(DAYS[:40])
    Mlp(**SMALL).fit_part(DAYS[:40])


def test_the_mean_of_the_views_is_the_forecast_and_another_seed_another_one():
    forecaster = Mlp(("level", "robust"), **SMALL)
    model = forecaster.fit_part(DAYS[:50])
    experts = forecaster.say(model, DAYS[:50], DAYS.inputs[50]).experts
    assert forecaster._predict_day(model, DAYS[:50], DAYS.inputs[50]) == pytest.approx(experts.mean(axis=1))
    other = Mlp(("level", "robust"), **SMALL, seed=1)
    assert np.abs(other.say(other.fit_part(DAYS[:50]), DAYS[:50], DAYS.inputs[50]).experts - experts).max() > 0.01


def test_a_fit_depends_on_the_window_and_on_nothing_before_it():
    forecaster = Mlp(("level",), **SMALL, window_days=20)
    changed = replace(DAYS[:50], price=DAYS.price[:50].copy())
    changed.price[:15] += 100
    one, other = (forecaster.fit_part(days)[0] for days in (DAYS[:50], changed))
    for ours, theirs in zip(arrays(one.networks[0]), arrays(other.networks[0]), strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize("price", [0.0, -5.0])
def test_a_price_that_never_changes_is_forecast_as_it_is_in_every_view(price):
    still = replace(DAYS[:40], price=np.full((40, 24), price))
    forecaster = Mlp(tuple(VIEWS), **SMALL)
    said = forecaster.say(forecaster.fit_part(still), still, DAYS.inputs[40])
    assert said.experts == pytest.approx(np.full((24, len(VIEWS)), price), abs=1e-9)


def test_spikes_calm_and_inputs_that_wake_leave_every_view_finite_and_within_reason():
    wild = DAYS[:50]
    price, inputs = wild.price.copy(), np.concatenate([wild.inputs, np.zeros((50, 24, 1))], axis=2)
    price[5:22] = 20.0
    price[[30, 49], 18] = 100 * np.median(price)
    days = Days(wild.dates, price, inputs, ("load_forecast", "wind_forecast"))
    forecaster = Mlp(tuple(VIEWS), **SMALL)
    said = forecaster.say(forecaster.fit_part(days), days, np.full((24, 2), 1e6))
    assert np.isfinite(said.experts).all()
    assert np.abs(said.experts).max() < price.max()


@pytest.mark.parametrize(("freq", "n_slots"), [("5min", 288), ("1D", 1)])
def test_days_of_any_number_of_slots_are_forecast_in_every_view(freq, n_slots):
    prices = mock_prices(days=30, freq=freq if n_slots > 1 else "1h")
    days = fold(prices)
    if n_slots == 1:
        days = Days(days.dates, days.price[:, :1], days.inputs[:, :1], days.names)
    forecaster = Mlp(tuple(VIEWS), **SMALL)
    said = forecaster.say(forecaster.fit_part(days[:29]), days[:29], days.inputs[29])
    assert said.experts.shape == (n_slots, len(VIEWS))
    assert np.isfinite(said.experts).all()


def test_inputs_that_begin_late_are_learned_from_where_they_are_and_refused_where_they_never_are():
    late = replace(DAYS[:50], inputs=DAYS.inputs[:50].copy())
    late.inputs[:20] = np.nan
    forecaster = Mlp(tuple(VIEWS), **SMALL)
    assert np.isfinite(forecaster.say(forecaster.fit_part(late), late, DAYS.inputs[50]).experts).all()
    late.inputs[:45] = np.nan
    with pytest.raises(DataError, match="no day of the history has all its inputs and those of 7 days before"):
        forecaster.fit_part(late)


def test_views_that_are_not_there_are_refused_with_those_that_are():
    for views in (("level", "sideways"), ()):
        with pytest.raises(DataError, match=r"views must be names of plain, level, scaled, robust.*got \["):
            Mlp(views).fit_part(DAYS)


def test_mlp_beats_the_naive_on_four_weeks_of_a_real_market(data_dir):
    from gridlab.sources import read_prices

    prices = read_prices(data_dir / "epf" / "NP.csv").iloc[: 24 * 480]
    first_day = str((prices.index[0] + pd.Timedelta(days=420)).date())
    mae = {
        name: evaluate.score(evaluate.roll(forecaster, prices, first_day=first_day, days=28), prices)["mae"].item()
        for name, forecaster in {"mlp": Mlp(hidden=(64,), n_epochs=20), "naive": MODELS["naive"]()}.items()
    }
    assert mae["mlp"] < 0.75 * mae["naive"]
