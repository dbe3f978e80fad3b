"""Any forecaster of sktime, by the name of its class, as a member with our quantiles."""

import difflib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import Days, Floats, filled
from gridlab.errors import DataError, MissingExtraError
from gridlab.forecast.base import DayAheadForecaster
from gridlab.forecast.transform import intervals

SEASON_OF_DAYS = 7
ANNOUNCEMENT = "The default of config ``remember_data``"


@dataclass(frozen=True)
class SktimeModel:
    """A forecaster of sktime, and the last date that it was fitted on; none if it is yet to be fitted."""

    forecaster: Any
    fitted_to: pd.Timestamp | None


class Sktime(DayAheadForecaster):
    """
    A forecaster of sktime, asked for each market day, with quantiles from its errors on days held out.

    The forecaster sees the slots of the last `window_days` as one series in periods of the market's clock, gaps
    closed by what was known, and the inputs as `X` where it takes any. Prices are not transformed: compose a pipeline
    for that, such as sktime's `TransformedTargetForecaster`. A package that the forecaster needs and that is missing
    is named when the fit begins.

    Parameters
    ----------
    forecaster : str or BaseForecaster
        Name of a class in sktime's registry, or a forecaster made, which is cloned.
    parameters : mapping, optional
        Parameters of the class that is named. A season ``sp`` that is not given is the slots of a day, or 7 where
        a day is one slot.
    window_days : int
        Days of history used, at most. [d]
    refit_days : int
        Days for which a fit is kept. With 1 the forecaster is fitted anew for every day that is asked for. With
        more it is shown the days since by its own ``update`` without learning, which is faster and only good for
        forecasters that heed it; those without an update are refused.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] M. Löning, A. Bagnall, S. Ganesh, V. Kazakov, J. Lines and F. J. Király, "sktime: a unified interface for
       machine learning with time series," 2019, arXiv:1909.07872.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> y = mock_prices(days=30)["price"].tz_localize(None)
    >>> forecast = Sktime("NaiveForecaster", {"sp": 168}).fit(y[:-24]).predict(fh=range(1, 25))
    >>> bool((forecast.to_numpy() == y[-192:-168].to_numpy()).all())
    True
    """

    min_history_days = 28

    def __init__(
        self,
        forecaster: Any = "STLForecaster",
        parameters: Mapping[str, Any] | None = None,
        window_days: int = 56,
        refit_days: int = 1,
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.forecaster = forecaster
        self.parameters = parameters
        self.window_days = window_days
        self.refit_days = refit_days
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> SktimeModel:
        with _without_announcements():
            return self._model(history)

    def _predict_day(self, model: SktimeModel, history: Days, inputs: Floats) -> Floats:
        tomorrow = history[-1:].followed_by(np.zeros(history.n_slots), inputs)[1:]
        with _without_announcements():
            forecaster = self._brought_forward(model, history)
            said = forecaster.predict(X=_exogenous(forecaster, tomorrow))
        return np.asarray(said, dtype=float).reshape(history.n_slots)

    def _model(self, history: Days) -> SktimeModel:
        forecaster = self._made(history.n_slots)
        if self.refit_days == 1:
            return SktimeModel(forecaster, None)
        if not forecaster.get_tag("capability:update"):
            raise DataError(f"{type(forecaster).__name__} has no update: leave refit_days at 1, got {self.refit_days}")
        return SktimeModel(_fitted(forecaster, filled(history)[-self.window_days :]), history.dates[-1])

    def _brought_forward(self, model: SktimeModel, history: Days) -> Any:
        """The forecaster, fitted to the end of the history or shown what has come since its fit."""
        if model.fitted_to is None:
            return _fitted(model.forecaster.clone(), history[-self.window_days :])
        since = history[int((history.dates <= model.fitted_to).sum()) :]
        if not len(since):
            return model.forecaster
        forecaster = deepcopy(model.forecaster)
        return forecaster.update(_series(since), X=_exogenous(forecaster, since), update_params=False)

    def _made(self, n_slots: int) -> Any:
        """The forecaster, with the season of the market's days where it has one that is not given."""
        parameters = dict(self.parameters or {})
        if not isinstance(self.forecaster, str):
            if parameters:
                raise DataError("parameters go with the name of a class: give a forecaster made with them instead")
            return self.forecaster.clone()
        if "sp" in sktime_class(self.forecaster).get_param_names():
            parameters.setdefault("sp", n_slots if n_slots > 1 else SEASON_OF_DAYS)
        return sktime_forecaster(self.forecaster, **parameters)

    def _check_history(self, history: Days) -> None:
        super()._check_history(history)
        with _without_announcements():
            self._made(history.n_slots)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests forecasters that are quick, one refitted and one updated."""
        refitted = {"forecaster": "TrendForecaster", "window_days": 14}
        return [refitted, {"parameters": {"strategy": "mean"}, "forecaster": "NaiveForecaster", "refit_days": 7}]


def sktime_forecaster(name: str, **parameters: Any) -> Any:
    """
    Make a forecaster of sktime by the name of its class.

    Parameters
    ----------
    name : str
        As in ``sktime.registry.all_estimators("forecaster")``.
    **parameters
        Passed on.

    Returns
    -------
    BaseForecaster

    Raises
    ------
    DataError
        If there is no such forecaster, it has no such parameter, or one that it needs is not given.
    MissingExtraError
        If it needs a package that is not installed, or another version of Python.

    Examples
    --------
    >>> sktime_forecaster("NaiveForecaster", sp=24)
    NaiveForecaster(sp=24)
    >>> sktime_forecaster("NaiveForcaster")
    Traceback (most recent call last):
    gridlab.errors.DataError: sktime has no forecaster 'NaiveForcaster', did you mean NaiveForecaster?
    """
    made = sktime_class(name)
    unknown = sorted(set(parameters) - set(made.get_param_names()))
    if unknown:
        raise DataError(f"{name} has no parameter {unknown[0]!r}: it has {', '.join(made.get_param_names())}")
    lacking = sorted(set(made.get_param_names()) - set(made.get_param_defaults()) - set(parameters))
    if lacking:
        raise DataError(f"{name} needs the parameter {lacking[0]!r}: give it, or a forecaster made with it")
    with _without_announcements():
        return made(**parameters)


def sktime_class(name: str) -> Any:
    """The class of a forecaster of sktime, once all that it needs is known to be installed; refused as above."""
    classes = _forecasters()
    if name not in classes:
        near = difflib.get_close_matches(name, classes, n=1)
        hint = f"did you mean {near[0]}?" if near else "see sktime.registry.all_estimators('forecaster')"
        raise DataError(f"sktime has no forecaster {name!r}, {hint}")
    _check_installed(classes[name])
    return classes[name]


@cache
def _forecasters() -> dict[str, Any]:
    """Forecasters of sktime by name, from the lookup that its registry uses, in the one package where they are."""
    from skbase.lookup import all_objects  # type: ignore[import-untyped]
    from sktime.forecasting.base import BaseForecaster

    found = all_objects(
        object_types=BaseForecaster, package_name="sktime.forecasting", modules_to_ignore=("tests", "all")
    )
    return dict(found)


def _check_installed(forecaster: Any) -> None:
    from sktime.utils.dependencies import _check_estimator_deps

    missing = missing_packages(forecaster.get_class_tag("python_dependencies"))
    name = forecaster.__name__
    if missing:
        command = " ".join(f"'{package}'" for package in missing)
        raise MissingExtraError(f"sktime's {name} needs {' and '.join(missing)}: pip install {command}")
    if not _check_estimator_deps(forecaster, severity="none"):
        version = forecaster.get_class_tag("python_version")
        raise MissingExtraError(f"sktime's {name} does not run here: it needs Python {version}, or another system")


def missing_packages(dependencies: Any) -> list[str]:
    """
    Those requirements that are not met; of alternatives, the first if none is.

    Parameters
    ----------
    dependencies : None, str or sequence
        sktime's tag ``python_dependencies``: requirements, or sequences of alternatives.

    Examples
    --------
    >>> missing_packages(["numpy", "no-such-package>=2", ["no-such-package", "scipy"]])
    ['no-such-package>=2']
    """
    from sktime.utils.dependencies import _check_soft_dependencies

    required = [dependencies] if isinstance(dependencies, str) else dependencies or []
    alternatives = [[one] if isinstance(one, str) else list(one) for one in required]
    met = [any(_check_soft_dependencies(one, severity="none") for one in group) for group in alternatives]
    return [group[0] for group, is_met in zip(alternatives, met, strict=True) if not is_met]


@contextmanager
def _without_announcements() -> Iterator[None]:
    """
    Silence what sktime says whenever one of its own forecasters is made or copied: that a default will change.

    A filter does not do: sktime sets the filter of all such warnings back while it works.
    """
    with warnings.catch_warnings(record=True) as heard:
        yield
    for one in heard:
        if not str(one.message).startswith(ANNOUNCEMENT):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _fitted(forecaster: Any, days: Days) -> Any:
    return forecaster.fit(_series(days), X=_exogenous(forecaster, days), fh=np.arange(1, days.n_slots + 1))


def _series(days: Days) -> pd.Series:
    """Prices as one series, in periods of a clock without daylight saving."""
    return pd.Series(days.price.ravel(), _periods(days), name="price")


def _exogenous(forecaster: Any, days: Days) -> pd.DataFrame | None:
    """Inputs as `_series` has the prices, None for a forecaster that takes none."""
    if not days.names or not forecaster.get_tag("capability:exogenous"):
        return None
    return pd.DataFrame(intervals(days.inputs), _periods(days), columns=list(days.names))


def _periods(days: Days) -> pd.PeriodIndex:
    freq = pd.tseries.frequencies.to_offset(pd.Timedelta(days=1) / days.n_slots)
    return pd.period_range(days.dates[0], periods=len(days) * days.n_slots, freq=freq, name="time")
