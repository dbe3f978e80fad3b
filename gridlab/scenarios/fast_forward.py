"""Fast forward selection over a matrix of distances, compiled."""

import numba
import numpy as np


@numba.njit(cache=True)
def fast_forward(distance, weights, n_keep):  # type: ignore[no-untyped-def]
    """Scenarios in the order chosen: each brings the others, by weight, as near to the chosen ones as one can."""
    n = len(weights)
    nearest, chosen, is_chosen = np.full(n, np.inf), np.empty(n_keep, np.int64), np.zeros(n, np.bool_)
    for k in range(n_keep):
        total = np.zeros(n)
        for i in range(n):
            if weights[i] > 0.0:
                reach, weight, row = nearest[i], weights[i], distance[i]
                for candidate in range(n):
                    total[candidate] += weight * min(row[candidate], reach)
        total[is_chosen] = np.inf
        chosen[k] = np.argmin(total)
        is_chosen[chosen[k]] = True
        nearest = np.minimum(nearest, distance[chosen[k]])
    return chosen
