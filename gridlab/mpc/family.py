"""The policies by name."""

from collections.abc import Callable
from types import MappingProxyType

from gridlab.family import Family
from gridlab.mpc.base import Policy
from gridlab.mpc.policies import DayAhead, Idle, ModelPredictive, PerfectForesight, Threshold, ValueFunction
from gridlab.mpc.robust import Robust
from gridlab.mpc.stochastic import Stochastic

POLICIES: MappingProxyType[str, Callable[..., Policy]] = MappingProxyType(
    Family(
        "policy",
        {
            "idle": Idle,
            "threshold": Threshold,
            "day_ahead": DayAhead,
            "mpc": ModelPredictive,
            "stochastic": Stochastic,
            "robust": Robust,
            "value": ValueFunction,
            "perfect_foresight": PerfectForesight,
        },
    )
)
"""Policies by name."""
