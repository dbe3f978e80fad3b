"""Plans under uncertainty: a re-solve from the basis before against cvxpy's own, and the price of more scenarios."""

from itertools import cycle

import numpy as np
import pytest

from gridlab.assets import Battery
from gridlab.mpc import robust, stochastic
from gridlab.mpc.segments import Segments

BATTERY = Battery(1.0, 2.0, 0.922, 0.922, degradation_cost=2.0)
END = Segments.flat(BATTERY, 30.0)


def _markets(n_scenarios, n_steps=24, count=20):
    """Scenarios of days like each other, as windows that follow each other are; prices stay positive."""
    rng = np.random.default_rng(7)
    shape = 60 + 25 * np.sin(np.arange(n_steps) * np.pi / 12)
    paths = np.abs(shape + rng.normal(0, 10, (n_scenarios, n_steps)).cumsum(axis=1) / 2) + 1
    return [np.abs(paths + rng.normal(0, 3, paths.shape)) for _ in range(count)]


def _data(planner, paths, n_committed):
    weights = np.full(len(paths), 1 / len(paths))
    tree = stochastic._tree(*paths.shape, n_committed)
    ends = stochastic._by_scenario(END, len(paths))
    return planner._data(paths, weights, tree, 0.0, (0.0, 2.0), ends, 0.0), tree


def _session_and_data(risk_weight, n_scenarios=10, n_committed=6):
    planner = stochastic._TreePlanner(BATTERY, 1.0, stochastic._Aim(risk_weight, 0.9))
    found = [_data(planner, paths, n_committed) for paths in _markets(n_scenarios)]
    data, tree = [one for one, _ in found], found[0][1]
    return planner._session(data[0], tree, np.zeros(len(tree.step), dtype=bool)), data


@pytest.mark.parametrize("risk_weight", [0.0, 0.3])
@pytest.mark.benchmark(group="two stages, 10 scenarios of 24 hours, re-solved")
def bench_two_stages_from_the_basis_before(benchmark, risk_weight):
    session, data = _session_and_data(risk_weight)
    after = cycle(data)
    session.solve(next(after))
    benchmark(lambda: session.solve(next(after)))


@pytest.mark.parametrize("risk_weight", [0.0, 0.3])
@pytest.mark.benchmark(group="two stages, 10 scenarios of 24 hours, re-solved")
def bench_two_stages_by_cvxpy(benchmark, risk_weight):
    session, data = _session_and_data(risk_weight)
    programme, after = session.programme, cycle(data)

    def solve():
        values = next(after)
        for name, parameter in programme.parameters.items():
            parameter.value = values[name]
        return programme.problem.solve(solver="HIGHS")

    assert solve() == pytest.approx(session.solve(data[0]).objective, abs=1e-5)
    benchmark.pedantic(solve, rounds=30)


@pytest.mark.parametrize("n_scenarios", [1, 5, 10, 20, 50, 100])
@pytest.mark.parametrize("n_committed", [6, 24])
@pytest.mark.benchmark(group="a plan of 24 hours by the number of scenarios")
def bench_plan_by_scenarios(benchmark, n_scenarios, n_committed):
    planner = stochastic._TreePlanner(BATTERY, 1.0, stochastic._Aim(0.3, 0.9))
    after, weights = cycle(_markets(n_scenarios)), np.full(n_scenarios, 1 / n_scenarios)

    def plan():
        return planner.plan(next(after), weights, n_committed, 0.0, (0.0, 2.0), END, 0.0)

    plan()
    benchmark.pedantic(plan, rounds=30)


@pytest.mark.parametrize("uncertainty", ["budget", "ellipsoid"])
@pytest.mark.benchmark(group="a robust plan of 24 hours")
def bench_robust_plan(benchmark, uncertainty):
    planner = robust._RobustPlanner(BATTERY, 1.0, robust._Aim(uncertainty, 4.0, 1.0))
    after = cycle(_markets(1))

    def plan():
        mean = next(after)[0]
        return planner.plan(mean, mean - 8, mean + 12, 0.0, (0.0, 2.0), END, 0.0)

    plan()
    benchmark.pedantic(plan, rounds=30)
