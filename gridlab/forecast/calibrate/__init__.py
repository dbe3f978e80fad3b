"""
Calibration: distributions around a point forecast, learned day by day from the errors that came.

``CALIBRATIONS[name]()`` makes one: ``bands`` gives the quantiles of the day to come, ``observe`` learns a day that
came.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from gridlab.family import Family
from gridlab.forecast.calibrate.bands import Calibration
from gridlab.forecast.calibrate.uncertainty import bootstrap_errors, disagreement

__all__ = ["CALIBRATIONS", "Calibration", "bootstrap_errors", "disagreement"]

ADAPTIVE_RATE = 0.01


def _factory(**fixed: Any) -> Callable[..., Calibration]:
    def make(**parameters: Any) -> Calibration:
        return Calibration(**{**fixed, **parameters})

    make.__doc__ = f"Make a `Calibration` with {', '.join(f'{key} {value!r}' for key, value in fixed.items())}."
    return make


CALIBRATIONS: MappingProxyType[str, Callable[..., Calibration]] = MappingProxyType(
    Family(
        "calibration",
        {
            "split": _factory(shapes=("split",), scaled=False, rate=0.0, window_days=182),
            "normalised": _factory(shapes=("split",), rate=0.0),
            "adaptive": _factory(shapes=("split",), rate=ADAPTIVE_RATE),
            "qra": _factory(shapes=("qra",), rate=0.0),
            "idr": _factory(shapes=("idr",), rate=0.0),
            "average": _factory(shapes=("split", "qra", "idr"), rate=ADAPTIVE_RATE),
        },
    )
)
"""Name of a calibration to its factory: keywords are the parameters of `Calibration`."""
