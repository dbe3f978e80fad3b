"""
Price forecasters, each a sktime ``BaseForecaster`` with quantiles: ``MODELS[name]()`` makes one.

Every factory takes ``market_tz`` by keyword, the time zone that says when a day begins, and passes other keywords on.
"""

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import Any

from gridlab.family import Family


def _factory(module: str, name: str, **fixed: Any) -> Callable[..., Any]:
    def make(**parameters: Any) -> Any:
        return getattr(import_module(f"gridlab.forecast.{module}"), name)(**{**fixed, **parameters})

    make.__doc__ = f"Make a `gridlab.forecast.{module}.{name}`."
    return make


MODELS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    Family(
        "model",
        {
            "naive": _factory("naive", "Naive"),
            "naive_day": _factory("naive", "Naive", rule="day"),
            "naive_week": _factory("naive", "Naive", rule="week"),
            "arima": _factory("arima", "Arima"),
            "linear": _factory("linear", "Linear"),
            "ets": _factory("smoothing", "Ets"),
            "ucm": _factory("components", "UnobservedComponents"),
            "gp": _factory("gaussian_process", "GaussianProcess"),
            "sktime": _factory("registry", "Sktime"),
            "lear": _factory("lear", "Lear"),
            "boosting": _factory("trees", "Boosting"),
            "xgboost": _factory("trees", "XGBoost"),
            "forest": _factory("trees", "Forest"),
            "mlp": _factory("neural", "Mlp"),
            "deep": _factory("neural", "DeepEnsemble"),
            "wavelet": _factory("wavelet", "Wavelet"),
            "multiscale": _factory("wavelet", "MultiScale"),
            "garch": _factory("garch", "RegressionGarch"),
            "ukf": _factory("filters", "UnscentedKalman"),
            "particle": _factory("filters", "ParticleFilter"),
            "mean": _factory("ensemble", "Ensemble", combination="mean"),
            "inverse_error": _factory("ensemble", "Ensemble", combination="inverse_error"),
            "online": _factory("ensemble", "Ensemble", combination="online"),
            "ensemble": _factory("ensemble", "Ensemble", members=("lear", "gp", "boosting", "mlp")),
            "ensemble_deep": _factory("ensemble", "Ensemble", members=("lear", "gp", "boosting", "deep")),
        },
    )
)
"""Name of a model to its factory."""
