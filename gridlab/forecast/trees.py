"""Trees on long-form features: gradient boosting, boosting by xgboost on bootstrapped days, and a random forest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlab.days import Days, Floats
from gridlab.errors import DataError, MissingExtraError
from gridlab.features import LAG_DAYS, before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, hourly

Integers = NDArray[np.int64]

WEEK = 7

MEMORY_DAYS = 4 * WEEK + 1
"""Days before a day that its features reach back: four weeks, and the day before them to see the first one change."""

MOST_ROWS = 40_000
"""Rows of a training set, at most: of more, every n-th slot of a day is kept, by turns."""

MOST_MEDIANS = 20.0
"""Medians of the daily variation that one day may count for in the scale."""

SHARE_OF_DAYS = 0.25
"""Days that a tree of the forest draws, as a share of all."""

XGBOOST_OPTIONS = {"tree_method": "hist", "max_depth": 7, "colsample_bynode": 0.4, "min_child_weight": 10, "nthread": 1}
"""One thread, for the same sums in the same order on every machine."""


@dataclass(frozen=True)
class View:
    """
    How the prices of a day are seen: less a level, in units of a scale.

    The level is the median hourly price of the last `level_days` days, 0 without any. The scale is the mean variation
    within and between the last `scale_days` days, 1 without any; a day counts for 20 times their median at most, so
    that one spike does not set it.
    """

    level_days: int
    scale_days: int


VIEWS = MappingProxyType(
    {
        "plain": View(level_days=0, scale_days=0),
        "scaled": View(level_days=0, scale_days=4 * WEEK),
        "day": View(level_days=1, scale_days=0),
        "week": View(level_days=WEEK, scale_days=2 * WEEK),
        "month": View(level_days=4 * WEEK, scale_days=4 * WEEK),
    }
)
"""Name of a view to what it does; each view of a forecaster makes one expert."""


@dataclass(frozen=True)
class LongForm:
    """Features by name, each of shape (n_days, n_slots), and each day's level and scale, of shape (n_days, 1)."""

    columns: dict[str, Floats]
    level: Floats
    scale: Floats

    def rows(self, day: Integers, slot: Integers) -> Floats:
        """Features of some slots, shape (n_rows, n_columns)."""
        return np.column_stack([column[day, slot] for column in self.columns.values()])


@dataclass(frozen=True)
class Expert:
    """The estimators of one view, the transform of their target with its range, and their usual disagreement."""

    view: View
    estimators: tuple[Any, ...]
    transform: AsinhScale
    least: float
    greatest: float
    usual_spread: float


class Trees(DayAheadForecaster):
    """
    What forecasters of trees share: one row a slot, seen in one or several views, each with estimators of its own.

    `long_form` has the columns. The target passes through ``asinh`` of its deviation from the median in scaled median
    absolute deviations, and a forecast stays within a unit of what was seen on that scale.
    """

    min_history_days = 28
    refit_days = 56

    views: Sequence[str]
    window_days: int
    seed: int

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Names of the experts: the views."""
        return tuple(self.views)

    def _fit_estimators(self, X: Floats, y: Floats, day: Integers) -> tuple[Any, ...]:
        """Learn from the rows of the days numbered in `day`; the mean of the estimators is the forecast."""
        raise NotImplementedError

    def _predict_each(self, estimators: tuple[Any, ...], X: Floats) -> Floats:
        """What each estimator says, shape (n_estimators, n_rows)."""
        return np.array([estimator.predict(X) for estimator in estimators], dtype=float)

    def _fit_model(self, history: Days) -> tuple[Expert, ...]:
        unknown = [view for view in self.views if view not in VIEWS]
        if unknown or not len(self.views):
            raise DataError(f"views must be names of {', '.join(VIEWS)}, got {list(self.views)}")
        closed, whole = past_closed(history[-self.window_days - MEMORY_DAYS :])
        return tuple(self._fit_expert(closed, whole, VIEWS[view]) for view in self.views)

    def _fit_expert(self, closed: Days, whole: NDArray[np.bool_], view: View) -> Expert:
        form = long_form(closed, view)
        day, slot = training_cells(whole, closed.n_slots, self.window_days)
        X, target = form.rows(day, slot), ((closed.price - form.level) / form.scale)[day, slot]
        transform = asinh_scale(target)
        y = transform.forward(target)
        estimators = self._fit_estimators(X, y, day)
        some = slice(None, None, max(1, len(y) // 2000))
        spread = transform.back(self._predict_each(estimators, X[some])).std(axis=0)
        return Expert(view, estimators, transform, y.min() - 1, y.max() + 1, float(np.median(spread)))

    def _predict_day(self, model: tuple[Expert, ...], history: Days, inputs: Floats) -> Floats:
        return np.asarray(self._experts(model, history, inputs).mean(axis=1))

    def _experts(self, model: tuple[Expert, ...], history: Days, inputs: Floats) -> Floats:
        """Forecast of each view, shape (n_slots, n_experts)."""
        return np.column_stack([self._forecast(expert, history, inputs)[0] for expert in model])

    def _forecast(self, expert: Expert, history: Days, inputs: Floats) -> tuple[Floats, Floats]:
        """Forecast of one view and the spread of its estimators."""
        days = history[-MEMORY_DAYS:].followed_by(np.zeros(history.n_slots), inputs)
        form = long_form(days, expert.view)
        X = form.rows(np.full(days.n_slots, len(days) - 1), np.arange(days.n_slots))
        each = np.clip(self._predict_each(expert.estimators, X), expert.least, expert.greatest)
        level, scale = form.level[-1, 0], form.scale[-1, 0]
        spread = np.maximum(expert.transform.back(each).std(axis=0), expert.usual_spread / 10 or 1.0)
        return level + scale * expert.transform.back(each.mean(axis=0)), scale * spread


class BaggedTrees(Trees):
    """Trees whose estimators were fitted on different days, so that their disagreement says how sure they are."""

    def _spread(self, model: tuple[Expert, ...], history: Days, inputs: Floats) -> Floats:
        """
        Standard deviation of what the estimators say, root mean square over the views, shape (n_slots,). [$/MWh].

        At least a tenth of what it usually is, so that errors can be divided by it.
        """
        spreads = [self._forecast(expert, history, inputs)[1] for expert in model]
        return np.asarray(np.sqrt(np.mean(np.square(spreads), axis=0)))


class Boosting(Trees):
    """
    Gradient boosting by scikit-learn's histogram booster, the mean of several views of the prices.

    One model for all slots of the day, with the slot among its columns (`long_form` has them). A tree cannot say a
    price that it has not seen, so each view takes a recent mean from the prices: a level that is new is then none to
    extrapolate to. Divided by their recent variation, calm and wild times share what they teach. The squared loss is
    on the asinh of the prices so seen, and a split tries a quarter of the columns.

    Parameters
    ----------
    views : sequence of str
        Names in `VIEWS`; the forecast is the mean over them.
    window_days : int
        Days of history used, at most. [d]
    n_trees : int
        Trees of each view.
    learning_rate : float
        Share of each tree that is taken. [-]
    seed : int
        Seeds the draws of columns.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] J. H. Friedman, "Greedy function approximation: a gradient boosting machine," Annals of Statistics 29(5),
       2001, doi:10.1214/aos/1013203451.
    .. [2] G. Ke et al., "LightGBM: a highly efficient gradient boosting decision tree," NeurIPS 30, 2017.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Boosting(n_trees=30).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    def __init__(
        self,
        views: Sequence[str] = ("day", "week", "month"),
        window_days: int = 1456,
        n_trees: int = 400,
        learning_rate: float = 0.04,
        seed: int = 0,
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.views = views
        self.window_days = window_days
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.seed = seed
        super().__init__(market_tz=market_tz)

    def _fit_estimators(self, X: Floats, y: Floats, day: Integers) -> tuple[Any, ...]:
        from sklearn.ensemble import HistGradientBoostingRegressor

        booster = HistGradientBoostingRegressor(
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_features=0.25,
            l2_regularization=20.0,
            max_bins=128,
            early_stopping=False,
            random_state=self.seed,
        )
        return (booster.fit(X, y),)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests few trees."""
        quick = {"n_trees": 5, "learning_rate": 0.3}
        return [quick, {**quick, "views": ("plain",), "window_days": 56}]


class XGBoost(BaggedTrees):
    """
    Gradient boosting by xgboost, the mean of boosters fitted on bootstrap resamples of the days.

    Whole days are drawn with replacement, not hours, since the errors of a day go together. How the boosters disagree
    is the spread of the forecast.

    Parameters
    ----------
    views : sequence of str
        Names in `VIEWS`; the forecast is the mean over them.
    window_days : int
        Days of history used, at most. [d]
    n_resamples : int
        Boosters of each view.
    n_trees : int
        Trees of each booster.
    learning_rate : float
        Share of each tree that is taken. [-]
    seed : int
        Seeds the resamples.
    market_tz : str
        Time zone that says when a day begins.

    Raises
    ------
    MissingExtraError
        On fitting, if xgboost is not installed.

    References
    ----------
    .. [1] T. Chen and C. Guestrin, "XGBoost: a scalable tree boosting system," KDD 2016, doi:10.1145/2939672.2939785.
    .. [2] L. Breiman, "Bagging predictors," Machine Learning 24, 1996, doi:10.1007/BF00058655.
    """

    def __init__(
        self,
        views: Sequence[str] = ("week", "month"),
        window_days: int = 1456,
        n_resamples: int = 4,
        n_trees: int = 150,
        learning_rate: float = 0.08,
        seed: int = 0,
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.views = views
        self.window_days = window_days
        self.n_resamples = n_resamples
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.seed = seed
        super().__init__(market_tz=market_tz)

    def _fit_estimators(self, X: Floats, y: Floats, day: Integers) -> tuple[Any, ...]:
        xgboost, rng = _xgboost(), np.random.default_rng(self.seed)
        data = xgboost.QuantileDMatrix(X, y, nthread=1)
        boosters = []
        for weight in day_draws(day, self.n_resamples, rng):
            data.set_weight(weight)
            options = {**XGBOOST_OPTIONS, "eta": self.learning_rate, "seed": int(rng.integers(2**31))}
            boosters.append(xgboost.train(options, data, num_boost_round=self.n_trees))
        return tuple(boosters)

    def _predict_each(self, estimators: tuple[Any, ...], X: Floats) -> Floats:
        return np.array([booster.inplace_predict(X) for booster in estimators], dtype=float)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests few trees."""
        quick = {"n_resamples": 2, "n_trees": 5, "learning_rate": 0.3}
        return [quick, {**quick, "views": ("plain", "day"), "window_days": 56}]


class Forest(BaggedTrees):
    """
    Random forest: trees on bootstrap resamples of the days, each split the best among a third of the columns.

    A tree draws a quarter as many whole days, with replacement, as there are: the errors of a day go together, and
    trees that share few days err less alike. How they disagree is the spread of the forecast.

    Parameters
    ----------
    views : sequence of str
        Names in `VIEWS`; the forecast is the mean over them.
    window_days : int
        Days of history used, at most. [d]
    n_trees : int
        Trees of each view.
    seed : int
        Seeds the draws.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] L. Breiman, "Random forests," Machine Learning 45, 2001, doi:10.1023/A:1010933404324.

    Examples
    --------
    >>> from gridlab.forecast.trees import Forest
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Forest(n_trees=10).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    def __init__(
        self,
        views: Sequence[str] = ("week",),
        window_days: int = 1456,
        n_trees: int = 100,
        seed: int = 0,
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.views = views
        self.window_days = window_days
        self.n_trees = n_trees
        self.seed = seed
        super().__init__(market_tz=market_tz)

    def _fit_estimators(self, X: Floats, y: Floats, day: Integers) -> tuple[Any, ...]:
        from sklearn.tree import DecisionTreeRegressor

        rng, trees = np.random.default_rng(self.seed), []
        for weight in day_draws(day, self.n_trees, rng, share=SHARE_OF_DAYS):
            tree = DecisionTreeRegressor(max_features=1 / 3, min_samples_leaf=3, random_state=int(rng.integers(2**31)))
            drawn = weight > 0
            trees.append(tree.fit(X[drawn], y[drawn], sample_weight=weight[drawn]))
        return tuple(trees)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests few trees."""
        return [{"n_trees": 5}, {"n_trees": 3, "views": ("plain", "day"), "window_days": 56}]


def long_form(days: Days, view: View) -> LongForm:
    """
    Features of every slot of every day, from what is known when the day opens.

    Columns: the hour, the weekday (Monday 0) and the day of the year; the price of the same slot 1, 2, 3, 7 and 14
    days before and on average over the last 7; of the day before the mean, least, greatest and last price; the mean
    of 2 and 7 days before, of the last week and of the last 28 days, and the standard deviation of the last week's
    daily means; the level and the scale of the view. Of each input: its value, those an hour before and after and 1
    and 7 days before; its differences from those of 1 and 7 days before, from the mean of the slot's last 7 and from
    the day's mean; the day's mean, least and greatest, and the differences of the mean from those of 1 and 7 days
    before and of the last week.

    Parameters
    ----------
    days : Days
        Without gaps in the prices.
    view : View
        How prices are seen, in the columns too.

    Returns
    -------
    LongForm
        NaN in the first 7 days, where the history is too short, and where an input is; means are of what there is.

    Examples
    --------
    >>> from gridlab.days import fold
    >>> from gridlab.schema import mock_prices
    >>> days = fold(mock_prices(days=9))
    >>> form = long_form(days, VIEWS["day"])
    >>> bool(form.level[8, 0] == np.median(days.price[7])), form.columns["price_lag_7d"].shape
    (True, (9, 24))
    """
    daily = days.price.mean(axis=1, keepdims=True)
    level, scale = _level_and_scale(days, daily, view)
    prices = {name: (values - level) / scale for name, values in _price_columns(days, daily).items()}
    deviation = _mean(np.square(_above(daily, WEEK) - mean_of_last(daily, WEEK)))
    view_columns = {"sd_of_means_7d": np.sqrt(deviation) / scale, "level": level, "scale": scale}
    columns = _clock_columns(days) | prices | view_columns
    for i in range(days.inputs.shape[2]):
        columns |= {f"input_{i}_{name}": values for name, values in _input_columns(days.inputs[:, :, i]).items()}
    shape = days.price.shape
    return LongForm({name: np.broadcast_to(values, shape) for name, values in columns.items()}, level, scale)


def training_cells(whole: NDArray[np.bool_], n_slots: int, window_days: int) -> tuple[Integers, Integers]:
    """
    Days and slots to learn from: the whole days of the window that a week precedes, thinned to `MOST_ROWS`.

    Examples
    --------
    >>> day, slot = training_cells(np.ones(9, dtype=bool), 24, 364)
    >>> len(day), int(day[0]), slot[:3].tolist()
    (48, 7, [0, 1, 2])
    """
    first = max(max(LAG_DAYS), len(whole) - window_days)
    days = first + np.flatnonzero(whole[first:])
    step = -(-len(days) * n_slots // MOST_ROWS)
    day, slot = np.repeat(days, n_slots), np.tile(np.arange(n_slots), len(days))
    kept = (day + slot) % max(step, 1) == 0
    return day[kept], slot[kept]


def day_draws(day: Integers, n_draws: int, rng: np.random.Generator, *, share: float = 1.0) -> Integers:
    """
    Bootstrap draws of whole days: how often the day of each row is drawn, shape (n_draws, n_rows).

    A draw takes `share` of the number of days, with replacement, and one at least.

    Examples
    --------
    >>> draws = day_draws(np.array([3, 3, 5, 5, 8, 8]), 2, np.random.default_rng(1))
    >>> draws.shape, bool((draws[:, ::2] == draws[:, 1::2]).all()), draws.sum(axis=1).tolist()
    ((2, 6), True, [6, 6])
    """
    days, row_day = np.unique(day, return_inverse=True)
    draws = rng.integers(len(days), size=(n_draws, max(1, round(share * len(days)))))
    return np.array([np.bincount(draw, minlength=len(days))[row_day] for draw in draws])


def _level_and_scale(days: Days, daily: Floats, view: View) -> tuple[Floats, Floats]:
    """What the view takes from the prices of each day and divides them by, each of shape (n_days, 1)."""
    level, scale = np.zeros_like(daily), np.ones_like(daily)
    if view.level_days:
        level = _over_last(view.level_days, np.median, hourly(days.price))
    if view.scale_days:
        within = np.abs(days.price - daily).mean(axis=1, keepdims=True)
        variation = within + np.abs(np.diff(daily, axis=0, prepend=daily[:1]))
        scale = _over_last(view.scale_days, _capped_mean, variation)
    negligible = scale <= 1e-9 * (1 + np.abs(mean_of_last(daily, 4 * WEEK)))
    return level, np.where(negligible, 1.0, scale)


def _over_last(n_days: int, statistic: Callable[[Floats], Any], values: Floats) -> Floats:
    """A statistic of the `n_days` rows above each row, or of as many as there are, (n_rows, 1); NaN in the first."""
    of_rows = [statistic(values[max(row - n_days, 0) : row]) for row in range(1, len(values))]
    return np.array([np.nan, *of_rows], dtype=float)[:, None]


def _capped_mean(variation: Floats) -> float:
    """Mean of values of which none counts for more than `MOST_MEDIANS` medians."""
    cap = MOST_MEDIANS * np.median(variation) or np.inf
    return float(np.minimum(variation, cap).mean())


def _clock_columns(days: Days) -> dict[str, Floats]:
    return {
        "hour": 24 / days.n_slots * np.arange(days.n_slots)[None, :],
        "weekday": days.dates.weekday.to_numpy(float)[:, None],
        "day_of_year": days.dates.dayofyear.to_numpy(float)[:, None],
    }


def _price_columns(days: Days, daily: Floats) -> dict[str, Floats]:
    yesterday, last_week = before(days.price, 1), mean_of_last(days.price, WEEK)
    week_before, fortnight_before = before(days.price, WEEK), before(days.price, 2 * WEEK)
    return {f"price_lag_{n}d": before(days.price, n) for n in LAG_DAYS} | {
        "price_lag_14d": np.where(np.isnan(fortnight_before), week_before, fortnight_before),
        "slot_mean_7d": last_week,
        "min_1d": yesterday.min(axis=1, keepdims=True),
        "max_1d": yesterday.max(axis=1, keepdims=True),
        "last_1d": yesterday[:, -1:],
        "mean_1d": before(daily, 1),
        "mean_lag_2d": before(daily, 2),
        "mean_lag_7d": before(daily, WEEK),
        "mean_7d": last_week.mean(axis=1, keepdims=True),
        "mean_28d": mean_of_last(daily, 4 * WEEK),
    }


def _input_columns(values: Floats) -> dict[str, Floats]:
    slots = np.arange(values.shape[1])
    hour = max(1, len(slots) // 24)
    mean = values.mean(axis=1, keepdims=True)
    return {
        "now": values,
        "hour_before": values[:, np.maximum(slots - hour, 0)],
        "hour_after": values[:, np.minimum(slots + hour, slots[-1])],
        "lag_1d": before(values, 1),
        "lag_7d": before(values, WEEK),
        "less_1d": values - before(values, 1),
        "less_7d": values - before(values, WEEK),
        "less_slot_mean_7d": values - mean_of_last(values, WEEK),
        "less_mean": values - mean,
        "mean": mean,
        "min": values.min(axis=1, keepdims=True),
        "max": values.max(axis=1, keepdims=True),
        "mean_less_1d": mean - before(mean, 1),
        "mean_less_7d": mean - before(mean, WEEK),
        "mean_less_mean_7d": mean - mean_of_last(mean, WEEK),
    }


def mean_of_last(values: Floats, n_days: int) -> Floats:
    """
    Mean of the `n_days` rows above, or of as many as there are; NaN in the first row.

    Examples
    --------
    >>> mean_of_last(np.array([[1.0], [3.0], [5.0], [0.0]]), 2).ravel().tolist()
    [nan, 1.0, 2.0, 4.0]
    """
    return _mean(_above(values, n_days))


def _above(values: Floats, n_days: int) -> Floats:
    """The rows above each row, nearest first, shape (n_days, n_rows, ...); fewer days if there are fewer rows."""
    reach = min(n_days, max(len(values) - 1, 1))
    return np.stack([before(values, lag) for lag in range(1, reach + 1)])


def _mean(values: Floats) -> Floats:
    """Mean along the first axis of what is there; NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtraError("xgboost is not installed: pip install 'gridlab[trees]'") from error
    return xgboost
