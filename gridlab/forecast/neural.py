"""Perceptrons on LEAR's regressors, each seeing the prices in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridlab.days import Days, Floats
from gridlab.errors import DataError
from gridlab.features import LAG_DAYS, before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.neural_numpy import Integers, Network, Plan, Task, Trainer, best_epoch, networks_after, train_each
from gridlab.forecast.transform import AsinhScale, asinh_scale, hourly

INPUT_LAG_DAYS = (0, 1, 7)
SCALE_DAYS = 14
LEAST_SCALE = 0.1
MARGIN = 0.5

HELD_OUT_SHARE = 0.15
PATIENCE = 15


@dataclass(frozen=True)
class View:
    """
    How prices and inputs of a day are seen: less a level, the prices in units of a scale.

    Parameters
    ----------
    level : {"none", "mean", "median"}
        Of the prices of the day before.
    scaled : bool
        Whether the scale is the usual distance of the last fourteen days' prices from that level (their mean distance
        from a mean, their median distance from a median); otherwise it is 1.
    input_days : int
        Days before the day itself whose mean is the level of an input. [d]
    shortcut : bool
        Whether the regressors also go straight to the outputs, as a level that is not taken away needs.
    """

    level: Literal["none", "mean", "median"]
    scaled: bool
    input_days: int
    shortcut: bool = False


VIEWS = MappingProxyType(
    {
        "plain": View("none", scaled=False, input_days=1, shortcut=True),
        "level": View("mean", scaled=False, input_days=1),
        "scaled": View("mean", scaled=True, input_days=1),
        "robust": View("median", scaled=True, input_days=1),
        "level_week": View("mean", scaled=False, input_days=7),
        "scaled_week": View("mean", scaled=True, input_days=7),
        "robust_week": View("median", scaled=True, input_days=7),
    }
)
"""Name of a view to what it does; each view of a forecaster makes one expert."""


@dataclass(frozen=True)
class Seen:
    """Of each day: regressors to be scaled, weekday dummies, and the view's level and scale, (n_days, 1) each."""

    lags: Floats
    weekday: Floats
    level: Floats
    scale: Floats


@dataclass(frozen=True)
class Bounds:
    """Of each column, the least and the greatest value to be let through: what was met, and a little more."""

    least: Floats
    greatest: Floats

    def clip(self, values: Floats) -> Floats:
        """Move values beyond the bounds to them."""
        return np.clip(values, self.least, self.greatest)


@dataclass(frozen=True)
class Expert:
    """The networks of one view, and the transforms around them."""

    view: View
    least_scale: float
    regressors: AsinhScale
    target: AsinhScale
    seen_regressors: Bounds
    seen_target: Bounds
    networks: tuple[Network, ...] = ()

    def rows(self, seen: Seen) -> Floats:
        """Regressors as the networks take them, shape (n_days, n_regressors)."""
        lags = self.seen_regressors.clip(self.regressors.forward(seen.lags))
        return np.hstack([lags, seen.weekday])

    def forecast(self, days: Days) -> Floats:
        """Mean of what the networks say of the last of the days, shape (n_slots,)."""
        seen = regressors(days, self.view, self.least_scale)
        last = self.rows(seen)[-1:]
        each = self.seen_target.clip(np.vstack([network.predict(last) for network in self.networks]))
        return np.asarray(self.target.back(each).mean(axis=0) * seen.scale[-1] + seen.level[-1])


class Perceptrons(DayAheadForecaster):
    """What `Mlp` and `DeepEnsemble` share: views of the prices, and networks trained on them by `_trainer`."""

    min_history_days = 28
    refit_days = 56

    views: Sequence[str]
    window_days: int
    n_epochs: int
    seed: int

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Names of the experts: the views."""
        return tuple(self.views)

    def _trainer(self) -> Trainer:
        """Give what trains networks of one shape."""
        raise NotImplementedError

    def _plans(self) -> tuple[Plan, ...]:
        """Give the shapes of the networks, each with the way they learn."""
        raise NotImplementedError

    def _n_seeds(self) -> int:
        """Give the number of networks of each shape in each view."""
        raise NotImplementedError

    def _fit_model(self, history: Days) -> tuple[Expert, ...]:
        unknown = [view for view in self.views if view not in VIEWS]
        if unknown or not len(self.views):
            raise DataError(f"views must be names of {', '.join(VIEWS)}, got {list(self.views)}")
        first = np.flatnonzero(history.is_whole)[-self.window_days - SCALE_DAYS :][0]
        closed, whole = past_closed(history[first:])
        prepared = [_prepared(closed, whole, VIEWS[view], self.window_days) for view in self.views]
        networks = self._train([task for _, task in prepared])
        return tuple(replace(expert, networks=nets) for (expert, _), nets in zip(prepared, networks, strict=True))

    def _train(self, tasks: Sequence[Task]) -> list[tuple[Network, ...]]:
        """Networks of each task, of all shapes and seeds, on all days for as long as the first shape shows."""
        train, (first, *_) = self._trainer(), self._plans()
        held_out = _held_out_rows(len(tasks[0].X), self.seed)
        pilots = [replace(task, seed=(self.seed, number)) for number, task in enumerate(tasks)]
        unseen = [replace(task, X=task.X[held_out], Y=task.Y[held_out]) for task in pilots]
        n_epochs = best_epoch(train([task.without(held_out) for task in pilots], first), unseen, PATIENCE)
        networks: list[tuple[Network, ...]] = [() for _ in tasks]
        for shape, plan in enumerate(self._plans()):
            seeded = [replace(t, seed=(*t.seed, shape, number)) for t in pilots for number in range(self._n_seeds())]
            trained = tuple(networks_after(train(seeded, plan), n_epochs))
            for place in range(len(tasks)):
                networks[place] += trained[place * self._n_seeds() : (place + 1) * self._n_seeds()]
        return networks

    def _experts(self, model: tuple[Expert, ...], history: Days, inputs: Floats) -> Floats:
        """Forecast of each view, shape (n_slots, n_experts)."""
        days = history[-SCALE_DAYS:].followed_by(np.zeros(history.n_slots), inputs)
        return np.column_stack([expert.forecast(days) for expert in model])


class Mlp(Perceptrons):
    """
    Multi-layer perceptron on LEAR's regressors, with early stopping: one network for all slots of the day.

    The regressors are LEAR's: every hour's price of 1, 2, 3 and 7 days before, every hour's inputs of the day itself,
    the day before and the week before, and the weekday; but prices are seen less a level and in units of a scale
    (`views`), and inputs less their mean of the day before, so that what was learned at one level serves at another.
    The level, the scale and the inputs' means are regressors too. All pass through ``asinh`` of the deviation from
    the median in scaled median absolute deviations, as does the target, and no value passes what training has met by
    more than half a unit of that scale. The loss is absolute.

    Early stopping: first networks, one a view, learn without a seventh of the days, drawn at random, and show after
    how many epochs they err least on these; those that are kept learn for as long from all days.

    Parameters
    ----------
    views : sequence of str
        Names in `VIEWS`; the forecast is the mean over them.
    hidden : sequence of int
        Units of each hidden layer.
    window_days : int
        Days of history used, at most. [d]
    n_epochs : int
        Times that a network sees each day, at most.
    seed : int
        Seeds the weights to begin with, the order of the days and the units left out.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices: a review of
       state-of-the-art algorithms, best practices and an open-access benchmark," Applied Energy 293, 2021,
       doi:10.1016/j.apenergy.2021.116983.
    .. [2] T. Kim et al., "Reversible instance normalization for accurate time-series forecasting against distribution
       shift," ICLR 2022.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Mlp(hidden=(32,), n_epochs=20).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    def __init__(
        self,
        views: Sequence[str] = ("level", "scaled", "robust"),
        hidden: Sequence[int] = (192, 128),
        window_days: int = 1456,
        n_epochs: int = 40,
        seed: int = 0,
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.views = views
        self.hidden = hidden
        self.window_days = window_days
        self.n_epochs = n_epochs
        self.seed = seed
        super().__init__(market_tz=market_tz)

    def _trainer(self) -> Trainer:
        return train_each

    def _plans(self) -> tuple[Plan, ...]:
        return (Plan(tuple(self.hidden), self.n_epochs),)

    def _n_seeds(self) -> int:
        return 1

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests a small network."""
        return [{"views": ("level",), "hidden": (8,), "n_epochs": 8}]


class DeepEnsemble(Perceptrons):
    """
    Mean of perceptrons of several shapes and seeds in several views, trained side by side by torch.

    Each is what `Mlp` has; early stopping is by the first shape.

    Parameters
    ----------
    views : sequence of str
        Names in `VIEWS`; each makes one expert, the mean of its networks.
    shapes : sequence of sequence of int
        Units of each hidden layer, shape by shape.
    n_seeds : int
        Networks of each shape in each view.
    window_days : int
        Days of history used, at most. [d]
    n_epochs : int
        Times that a network sees each day, at most.
    seed : int
        Seeds every network's draws.
    market_tz : str
        Time zone that says when a day begins.

    Raises
    ------
    MissingExtraError
        On fitting, if torch is not installed.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive uncertainty estimation using
       deep ensembles," NeurIPS 30, 2017, arXiv:1612.01474.
    """

    def __init__(
        self,
        views: Sequence[str] = tuple(VIEWS),
        shapes: Sequence[Sequence[int]] = ((192, 128), (256,)),
        n_seeds: int = 1,
        window_days: int = 1456,
        n_epochs: int = 40,
        seed: int = 0,
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.views = views
        self.shapes = shapes
        self.n_seeds = n_seeds
        self.window_days = window_days
        self.n_epochs = n_epochs
        self.seed = seed
        super().__init__(market_tz=market_tz)

    def _trainer(self) -> Trainer:
        from gridlab.forecast.neural_torch import train_together

        return train_together

    def _plans(self) -> tuple[Plan, ...]:
        return tuple(Plan(tuple(hidden), self.n_epochs) for hidden in self.shapes)

    def _n_seeds(self) -> int:
        return self.n_seeds

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests small networks."""
        return [{"views": ("plain", "level"), "shapes": ((8,),), "n_seeds": 1, "n_epochs": 8}]


def regressors(days: Days, view: View, least_scale: float = 0.0) -> Seen:
    """
    Regressors of each day, as a view sees them; NaN where the history is too short.

    Parameters
    ----------
    days : Days
        Days whose gaps are closed.
    view : View
        How prices are seen.
    least_scale : float
        The scale is not less. [$/MWh]

    Examples
    --------
    >>> from gridlab.days import fold
    >>> from gridlab.schema import mock_prices
    >>> days = fold(mock_prices(days=9))
    >>> seen = regressors(days, VIEWS["level"])
    >>> seen.lags.shape, bool(seen.level[8, 0] == days.price[7].mean())
    ((9, 171), True)
    """
    price = hourly(days.price)
    level, scale = _level_and_scale(price, view, least_scale)
    blocks = [(before(price, lag) - level) / scale for lag in LAG_DAYS]
    for i in range(days.inputs.shape[2]):
        values = hourly(days.inputs[:, :, i])
        mean = _mean_before(values, view.input_days)
        blocks += [*(before(values, lag) - mean for lag in INPUT_LAG_DAYS), mean]
    return Seen(np.hstack([*blocks, level, np.log(scale)]), np.eye(7)[days.dates.weekday], level, scale)


def _mean_before(values: Floats, n_days: int) -> Floats:
    """Mean over the days before each, up to `n_days` of them, shape (n_days, 1); NaN in the first row."""
    daily = values.mean(axis=1, keepdims=True)
    past = np.hstack([before(daily, lag) for lag in range(1, n_days + 1)])
    known = (~np.isnan(past)).sum(axis=1, keepdims=True)
    return np.asarray(np.where(known > 0, np.nansum(past, axis=1, keepdims=True) / np.maximum(known, 1), np.nan))


def _level_and_scale(price: Floats, view: View, least_scale: float) -> tuple[Floats, Floats]:
    yesterday, ones = before(price, 1), np.ones((len(price), 1))
    if view.level == "none":
        return 0 * ones, ones
    middle, middle_known = (np.mean, np.nanmean) if view.level == "mean" else (np.median, np.nanmedian)
    level = middle(yesterday, axis=1, keepdims=True)
    if not view.scaled or len(price) < 2:
        return level, ones
    past = np.hstack([before(price, lag) for lag in range(1, SCALE_DAYS + 1)])
    scale = ones * np.nan
    scale[1:] = middle_known(np.abs(past[1:] - level[1:]), axis=1, keepdims=True)
    scale = np.maximum(scale, least_scale)
    return level, np.where(scale == 0, 1.0, scale)


def _prepared(closed: Days, whole: NDArray[np.bool_], view: View, window_days: int) -> tuple[Expert, Task]:
    """One view's transforms, and its rows to learn from."""
    seen = regressors(closed, view)
    rows = np.flatnonzero(whole & ~np.isnan(seen.lags).any(axis=1))[-window_days:]
    if not len(rows):
        raise DataError(f"no day of the history has all its inputs and those of {max(INPUT_LAG_DAYS)} days before")
    least_scale = LEAST_SCALE * float(np.median(seen.scale[rows])) if view.scaled else 0.0
    seen = regressors(closed, view, least_scale)
    lags, target = seen.lags[rows], ((closed.price - seen.level) / seen.scale)[rows]
    scale, target_scale = asinh_scale(lags), asinh_scale(target)
    Y = target_scale.forward(target)
    expert = Expert(view, least_scale, scale, target_scale, _bounds(scale.forward(lags)), _bounds(Y))
    X = expert.rows(seen)[rows]
    return expert, Task(X.astype(np.float32), Y.astype(np.float32), view.shortcut, ())


def _bounds(values: Floats) -> Bounds:
    least, greatest = values.min(axis=0), values.max(axis=0)
    margin = np.minimum(MARGIN, greatest - least)
    return Bounds(least - margin, greatest + margin)


def _held_out_rows(n_rows: int, seed: int) -> Integers:
    """Rows to stop by, the same in all views."""
    n_held_out = max(1, round(HELD_OUT_SHARE * n_rows))
    return np.random.default_rng(seed).choice(n_rows, n_held_out, replace=False)
