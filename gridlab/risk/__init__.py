"""Risk: measures of a loss, and tests of them. A loss is money paid, positive; it is minus a profit."""

from gridlab.risk.historical import as_probabilities, cvar, var

__all__ = ["as_probabilities", "cvar", "var"]
