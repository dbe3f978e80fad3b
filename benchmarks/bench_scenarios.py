"""Scenarios: the simulation beside the plain loop and the drawing of normals alone. Run with ``make bench``."""

import numpy as np
import pytest

from gridlab import scenarios

SHAPE = (10_000, 1_000)
STEPS = SHAPE[0] * SHAPE[1]
OU = scenarios.OUParams(30.0, 0.1, 2.0, 1.0)
MERTON = scenarios.MertonParams(0.0, 0.02, 0.05, 0.03, 0.12, 1.0)
GROUP = "Ornstein-Uhlenbeck: 10,000 paths of 1,000 steps"


def _timed(benchmark, call, rounds=5):
    call()
    benchmark.pedantic(call, rounds=rounds)
    if benchmark.stats is not None:
        benchmark.extra_info["million steps a second"] = round(STEPS / benchmark.stats.stats.min / 1e6, 1)


@pytest.mark.benchmark(group=GROUP)
def bench_simulate_ou(benchmark):
    rng = np.random.default_rng(0)
    _timed(benchmark, lambda: scenarios.simulate_ou(OU, start=30.0, n_steps=SHAPE[1], n_paths=SHAPE[0], rng=rng))


@pytest.mark.benchmark(group=GROUP)
def bench_ou_standard_normals_alone(benchmark):
    rng = np.random.default_rng(0)
    _timed(benchmark, lambda: rng.standard_normal(SHAPE))


@pytest.mark.benchmark(group=GROUP)
def bench_ou_by_a_loop_over_time(benchmark):
    rng = np.random.default_rng(0)

    def loop():
        x, paths = np.full(SHAPE[0], 30.0), np.empty(SHAPE)
        for step in range(SHAPE[1]):
            x = OU.mean + OU.decay * (x - OU.mean) + OU.step_sd * rng.standard_normal(SHAPE[0])
            paths[:, step] = x
        return paths

    _timed(benchmark, loop, rounds=3)


@pytest.mark.benchmark(group=GROUP)
def bench_ou_by_lfilter(benchmark):
    from scipy.signal import lfilter

    rng = np.random.default_rng(0)
    _timed(
        benchmark,
        lambda: OU.mean + lfilter([OU.step_sd], [1.0, -OU.decay], rng.standard_normal(SHAPE), axis=1),
        rounds=3,
    )


@pytest.mark.benchmark(group="Merton: 10,000 paths of 1,000 steps")
def bench_simulate_merton(benchmark):
    rng = np.random.default_rng(0)
    _timed(benchmark, lambda: scenarios.simulate_merton(MERTON, start=0.0, n_steps=SHAPE[1], n_paths=SHAPE[0], rng=rng))


@pytest.mark.benchmark(group="calibration: 8,760 steps")
def bench_calibrate_merton(benchmark):
    x = scenarios.simulate_merton(MERTON, start=0.0, n_steps=8760, n_paths=1, rng=np.random.default_rng(0))[0]
    scenarios.calibrate_merton(x, dt=1.0)
    benchmark.pedantic(scenarios.calibrate_merton, (x,), {"dt": 1.0}, rounds=5)


@pytest.mark.benchmark(group="calibration: 8,760 steps")
def bench_calibrate_ou(benchmark):
    x = scenarios.simulate_ou(OU, start=30.0, n_steps=8760, n_paths=1, rng=np.random.default_rng(0))[0]
    benchmark(scenarios.calibrate_ou, x, dt=1.0)
