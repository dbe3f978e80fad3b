"""Plans: the programmes of a battery and a site, and the policies that turn a state and a forecast into a schedule."""

from gridlab.assets import SiteState
from gridlab.mpc.allocation import Allocation, allocate
from gridlab.mpc.base import Decision, Planner, PlanningPolicy, Policy, State, Window
from gridlab.mpc.battery import BatteryPlanner, Plan, plan_battery
from gridlab.mpc.coalitions import (
    CoalitionPlan,
    CoalitionPlanner,
    Member,
    Tariff,
    coalition_values,
    values_by_count,
)
from gridlab.mpc.family import POLICIES
from gridlab.mpc.policies import DayAhead, Idle, ModelPredictive, PerfectForesight, Threshold, ValueFunction
from gridlab.mpc.robust import Robust, RobustPlan, plan_robust
from gridlab.mpc.site import SitePlan, SitesPlan, plan_site, plan_sites
from gridlab.mpc.stochastic import Stochastic, StochasticPlan, plan_stochastic
from gridlab.mpc.value import (
    ExpectedValue,
    Segments,
    Value,
    act,
    expected_value_of_energy,
    terminal_segments,
    value_of_energy,
)

__all__ = [
    "POLICIES",
    "Allocation",
    "BatteryPlanner",
    "CoalitionPlan",
    "CoalitionPlanner",
    "DayAhead",
    "Decision",
    "ExpectedValue",
    "Idle",
    "Member",
    "ModelPredictive",
    "PerfectForesight",
    "Plan",
    "Planner",
    "PlanningPolicy",
    "Policy",
    "Robust",
    "RobustPlan",
    "Segments",
    "SitePlan",
    "SiteState",
    "SitesPlan",
    "State",
    "Stochastic",
    "StochasticPlan",
    "Tariff",
    "Threshold",
    "Value",
    "ValueFunction",
    "Window",
    "act",
    "allocate",
    "coalition_values",
    "expected_value_of_energy",
    "plan_battery",
    "plan_robust",
    "plan_site",
    "plan_sites",
    "plan_stochastic",
    "terminal_segments",
    "value_of_energy",
    "values_by_count",
]
