"""
Compiled recursions of the processes: normals are drawn in the loop over time, in the order in which numpy draws them.

Every one fills ``paths``, shape (n_paths, n_steps), path after path; the first column is a step after ``start``.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def revert(rng, paths, start, decay, shift, scale):  # type: ignore[no-untyped-def]
    """``x = decay x + shift + scale z``."""
    for path in range(paths.shape[0]):
        x = start[path]
        for step in range(paths.shape[1]):
            x = decay * x + (shift + scale * rng.standard_normal())
            paths[path, step] = x


@numba.njit(cache=True)
def jump_normal(rng, paths, start, decay, shift, scale, rate, mean, sd):  # type: ignore[no-untyped-def]
    """``x = decay x + shift + scale z`` and normal jumps, `rate` a step in the mean, at the end of the step."""
    for path in range(paths.shape[0]):
        x = start[path]
        wait = rng.standard_exponential() / rate
        for step in range(paths.shape[1]):
            x = decay * x + (shift + scale * rng.standard_normal())
            wait -= 1.0
            while wait < 0.0:
                x += mean + sd * rng.standard_normal()
                wait += rng.standard_exponential() / rate
            paths[path, step] = x


@numba.njit(cache=True)
def jump_exponential(rng, paths, start, shift, scale, rate, up_share, up_mean, down_mean):  # type: ignore[no-untyped-def]
    """``x = x + shift + scale z`` and double-exponential jumps, `rate` a step in the mean."""
    for path in range(paths.shape[0]):
        x = start[path]
        wait = rng.standard_exponential() / rate
        for step in range(paths.shape[1]):
            x += shift + scale * rng.standard_normal()
            wait -= 1.0
            while wait < 0.0:
                size = up_mean if rng.random() < up_share else -down_mean
                x += size * rng.standard_exponential()
                wait += rng.standard_exponential() / rate
            paths[path, step] = x


@numba.njit(cache=True)
def revert_together(rng, paths, start, decay, shift, root):  # type: ignore[no-untyped-def]
    """``x = decay x + shift + root z`` of k series, paths of shape (n_paths, n_steps, k)."""
    k = len(start)
    x, normal = np.empty(k), np.empty(k)
    for path in range(paths.shape[0]):
        x[:] = start
        for step in range(paths.shape[1]):
            for i in range(k):
                normal[i] = rng.standard_normal()
            for i in range(k):
                noise = shift[i]
                for j in range(k):
                    noise += root[i, j] * normal[j]
                x[i] = decay[i] * x[i] + noise
                paths[path, step, i] = x[i]
