"""Filters of a hidden state: linear, unscented, by particles; and forecasters of a price that reverts and jumps."""

from gridlab.forecast.filters.gaussian import Filtered, LinearModel, NonlinearModel, kalman, unscented
from gridlab.forecast.filters.particle import Cloud, ParticleModel, particle, systematic
from gridlab.forecast.filters.reverting import ParticleFilter, UnscentedKalman

__all__ = [
    "Cloud",
    "Filtered",
    "LinearModel",
    "NonlinearModel",
    "ParticleFilter",
    "ParticleModel",
    "UnscentedKalman",
    "kalman",
    "particle",
    "systematic",
    "unscented",
]
