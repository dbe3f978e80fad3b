"""Rolling-origin evaluation: forecasts as they would have been made, and their scores."""

from gridlab.evaluate.rolling import last_days, roll, roll_many
from gridlab.evaluate.scores import score

__all__ = ["last_days", "roll", "roll_many", "score"]
