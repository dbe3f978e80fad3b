"""Scenarios: price paths that a plan may meet, drawn from a price process or around a forecast."""

from gridlab.scenarios.bootstrap import BootstrapParams, calibrate_bootstrap, simulate_bootstrap

__all__ = ["BootstrapParams", "calibrate_bootstrap", "simulate_bootstrap"]
