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
            "lear": _factory("lear", "Lear"),
            "wavelet": _factory("wavelet", "Wavelet"),
            "mean": _factory("mean", "Mean"),
        },
    )
)
"""Name of a model to its factory."""
