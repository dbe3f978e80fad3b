"""Plans: the battery's linear programme, and the policies that turn a state and a forecast into a schedule."""

from gridlab.mpc.battery import SOLVERS, Plan, plan_battery
from gridlab.mpc.policies import (
    POLICIES,
    Idle,
    ModelPredictive,
    PerfectForesight,
    Policy,
    State,
    Threshold,
)

__all__ = [
    "POLICIES",
    "SOLVERS",
    "Idle",
    "ModelPredictive",
    "PerfectForesight",
    "Plan",
    "Policy",
    "State",
    "Threshold",
    "plan_battery",
]
