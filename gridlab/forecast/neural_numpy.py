"""
A multi-layer perceptron in plain numpy: what it says, how it learns, and when it stops.

`gridlab.forecast.neural_torch` trains many of them at once, by the same draws and so to the same weights.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from gridlab.days import Floats

Singles = NDArray[np.float32]
Integers = NDArray[np.int64]

BETAS = (0.9, 0.99)
EPSILON = 1e-8
BATCHES = 20
BATCH_ROWS = (4, 64)


@dataclass(frozen=True)
class Network:
    """
    A perceptron with GELU units [1]_.

    Parameters
    ----------
    weights : tuple of ndarray, each of shape (n_in, n_out)
        Of each layer.
    biases : tuple of ndarray, each of shape (1, n_out)
    shortcut : ndarray, shape (n_regressors, n_outputs), or None
        Straight from the regressors to the outputs.

    References
    ----------
    .. [1] D. Hendrycks and K. Gimpel, "Gaussian error linear units," arXiv:1606.08415, 2016.
    """

    weights: tuple[Singles, ...]
    biases: tuple[Singles, ...]
    shortcut: Singles | None = None

    def predict(self, X: Floats | Singles) -> Floats:
        """Outputs of the rows of `X`, shape (n_rows, n_outputs)."""
        rows = activity = X.astype(np.float32)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            activity = _gelu(activity @ weight + bias)[0]
        outputs = activity @ self.weights[-1] + self.biases[-1]
        return np.asarray(outputs if self.shortcut is None else outputs + rows @ self.shortcut, dtype=float)


@dataclass(frozen=True)
class Plan:
    """
    How networks learn: AdamW [1]_ on the absolute error, with dropout; what is kept is the average of the weights.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    n_epochs : int
        Times, at most, that each row is seen.
    dropout : float
        Share of hidden units that a step leaves out. [-]
    learning_rate : float
        Greatest size of a step, reached after 15 % of them; from there it falls to 1 % of it along a cosine.
    weight_decay : float
        Share of the learning rate by which a step shrinks the weights. [-]
    memory : float
        Weight of the past in the moving average of the weights. [-]

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization," ICLR 2019, arXiv:1711.05101.
    """

    hidden: tuple[int, ...] = (192, 128)
    n_epochs: int = 40
    dropout: float = 0.2
    learning_rate: float = 2e-3
    weight_decay: float = 1.0
    memory: float = 0.98

    def rate(self, step: int, n_steps: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = max(1, round(0.15 * n_steps))
        if step < warm:
            return self.learning_rate * step / warm
        fall = 0.5 * (1 + np.cos(np.pi * (step - warm) / (n_steps - warm)))
        return float(self.learning_rate * (0.01 + 0.99 * fall))

    def past_weight(self, step: int) -> float:
        """Weight of the past in the average after a step, counted from 0: less while there is little of it."""
        return min(self.memory, (2 + step) / (11 + step)) if step else 0.0


@dataclass(frozen=True)
class Draws:
    """
    What chance gives to one network, in the order in which training asks for it.

    Parameters
    ----------
    rng : Generator
        The network's own.
    n_rows : int
        Rows to learn from.
    """

    rng: np.random.Generator
    n_rows: int

    @property
    def batch_rows(self) -> int:
        """Rows of a step: a twentieth of all, within limits."""
        return int(np.clip(self.n_rows // BATCHES, min(BATCH_ROWS[0], self.n_rows), BATCH_ROWS[1]))

    @property
    def n_batches(self) -> int:
        """Steps of an epoch; the few rows left over wait for another."""
        return self.n_rows // self.batch_rows

    def first(self, n_regressors: int, n_outputs: int, hidden: Sequence[int], shortcut: bool) -> Network:
        """Give the weights to begin with: uniform, by Glorot and Bengio's rule; the shortcut is 0."""
        sizes = [n_regressors, *hidden, n_outputs]
        weights = tuple(self._uniform(n_in, n_out) for n_in, n_out in pairwise(sizes))
        biases = tuple(np.zeros((1, size), np.float32) for size in sizes[1:])
        return Network(weights, biases, np.zeros((n_regressors, n_outputs), np.float32) if shortcut else None)

    def batches(self) -> Integers:
        """Rows of each step of an epoch, shape (n_batches, batch_rows)."""
        shuffled = self.rng.permutation(self.n_rows)[: self.n_batches * self.batch_rows]
        return shuffled.reshape(self.n_batches, self.batch_rows)

    def kept(self, n_units: int, dropout: float) -> Singles:
        """Factors of one layer's units in a step, shape (batch_rows, n_units): 0 where left out, mean 1."""
        chance = self.rng.random((self.batch_rows, n_units), dtype=np.float32)
        return (chance >= dropout).astype(np.float32) / np.float32(1 - dropout)

    def _uniform(self, n_in: int, n_out: int) -> Singles:
        limit = np.float32(np.sqrt(6 / (n_in + n_out)))
        return limit * (2 * self.rng.random((n_in, n_out), dtype=np.float32) - 1)


@dataclass(frozen=True)
class Task:
    """
    One network to train.

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_regressors)
    Y : ndarray, shape (n_rows, n_outputs)
    shortcut : bool
        Whether the regressors also go straight to the outputs.
    seed : sequence of int
        Seeds the network's draws.
    """

    X: Singles
    Y: Singles
    shortcut: bool
    seed: tuple[int, ...]

    def draws(self) -> Draws:
        """Make the network's source of chance, from its beginning."""
        return Draws(np.random.default_rng(self.seed), len(self.X))

    def without(self, rows: Integers) -> "Task":
        """Make the same task without some rows."""
        return Task(np.delete(self.X, rows, axis=0), np.delete(self.Y, rows, axis=0), self.shortcut, self.seed)


Trainer = Callable[[Sequence[Task], Plan], Iterator[Sequence[Network]]]
"""Tasks with one number of rows and of columns, and a plan, to the networks after each epoch."""


def train_each(tasks: Sequence[Task], plan: Plan) -> Iterator[Sequence[Network]]:
    """
    Train networks one by one.

    Parameters
    ----------
    tasks : sequence of Task
        What each is to learn.
    plan : Plan
        How all of them learn.

    Yields
    ------
    sequence of Network
        The averages of the weights so far, after each epoch.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 2)).astype(np.float32)
    >>> task = Task(X, np.abs(X[:, :1]) * X[:, 1:], shortcut=False, seed=(0,))
    >>> *_, (network,) = train_each([task], Plan((16,), dropout=0.0, learning_rate=0.02, weight_decay=0.01))
    >>> bool(np.abs(network.predict(X) - task.Y).mean() < 0.3 * np.abs(task.Y).mean())
    True
    """
    return zip(*(_train(task, plan) for task in tasks), strict=True)


def networks_after(epochs: Iterator[Sequence[Network]], n_epochs: int) -> Sequence[Network]:
    """
    Networks after a number of epochs, no more of which are asked for.

    Examples
    --------
    >>> networks_after(iter([("a1", "b1"), ("a2", "b2"), ("a3", "b3")]), 2)
    ('a2', 'b2')
    """
    return next(islice(epochs, n_epochs - 1, None))


def best_epoch(epochs: Iterator[Sequence[Network]], held_out: Sequence[Task], patience: int) -> int:
    """
    Early stopping [1]_: the epoch, counted from 1, after which the networks err least on rows that they have not seen.

    Parameters
    ----------
    epochs : iterator
        Networks after each epoch; no more are asked for once there were `patience` without a new best.
    held_out : sequence of Task
        The rows not seen, of each network; the absolute errors of all count alike.
    patience : int
        Epochs to wait for a new best.

    References
    ----------
    .. [1] L. Prechelt, "Early stopping: but when?," Neural Networks: Tricks of the Trade, 1998,
       doi:10.1007/3-540-49430-8_3.
    """
    best, least = 1, np.inf
    for epoch, networks in enumerate(epochs, start=1):
        errors = [network.predict(task.X) - task.Y for network, task in zip(networks, held_out, strict=True)]
        loss = float(np.mean([np.abs(error).mean() for error in errors]))
        best, least = (epoch, loss) if loss < least else (best, least)
        if epoch >= best + patience:
            break
    return best


def _train(task: Task, plan: Plan) -> Iterator[Network]:
    draws = task.draws()
    network = draws.first(task.X.shape[1], task.Y.shape[1], plan.hidden, task.shortcut)
    weights = _flat(network)
    average = [weight.copy() for weight in weights]
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    step, n_steps = 0, plan.n_epochs * draws.n_batches
    for _ in range(plan.n_epochs):
        for rows in draws.batches():
            kept = [draws.kept(n_units, plan.dropout) for n_units in plan.hidden]
            gradients = _gradients(network, task.X[rows], task.Y[rows], kept)
            rate = plan.rate(step, n_steps)
            for weight in weights[: -len(network.biases)]:
                weight *= np.float32(1 - rate * plan.weight_decay)
            _adam(weights, gradients, means, squares, step, rate)
            past = np.float32(plan.past_weight(step))
            for mean, weight in zip(average, weights, strict=True):
                mean += (1 - past) * (weight - mean)
            step += 1
        yield _like(network, [mean.copy() for mean in average])


def _flat(network: Network) -> list[Singles]:
    """All arrays of a network; those that decay are first."""
    shortcut = [] if network.shortcut is None else [network.shortcut]
    return [*network.weights, *shortcut, *network.biases]


def _like(network: Network, arrays: Sequence[Singles]) -> Network:
    """Put the arrays of `_flat` back in their places."""
    depth = len(network.weights)
    shortcut = None if network.shortcut is None else arrays[depth]
    return Network(tuple(arrays[:depth]), tuple(arrays[-depth:]), shortcut)


def _gradients(network: Network, X: Singles, Y: Singles, kept: Sequence[Singles]) -> list[Singles]:
    """Of the mean absolute error, by backpropagation, in the order of `_flat`."""
    activities, slopes = [X], []
    for weight, bias, factor in zip(network.weights[:-1], network.biases[:-1], kept, strict=True):
        activity, slope = _gelu(activities[-1] @ weight + bias)
        activities.append(activity * factor)
        slopes.append(slope * factor)
    outputs = activities[-1] @ network.weights[-1] + network.biases[-1]
    outputs = outputs if network.shortcut is None else outputs + X @ network.shortcut
    error = np.sign(outputs - Y) / np.float32(Y.size)
    shortcut = [] if network.shortcut is None else [X.T @ error]
    of_weights: list[Singles] = []
    of_biases: list[Singles] = []
    for depth in range(len(network.weights) - 1, -1, -1):
        of_weights.insert(0, activities[depth].T @ error)
        of_biases.insert(0, error.sum(axis=0, keepdims=True))
        if depth:
            error = (error @ network.weights[depth].T) * slopes[depth - 1]
    return [*of_weights, *shortcut, *of_biases]


def _gelu(values: Singles) -> tuple[Singles, Singles]:
    """``x Phi(x)`` and its slope, Phi the standard normal distribution."""
    from scipy.special import erf

    below = 0.5 * (1 + erf(values * np.float32(np.sqrt(0.5))))
    density = np.exp(-0.5 * values * values) * np.float32(1 / np.sqrt(2 * np.pi))
    return values * below, below + values * density


def _adam(
    weights: Sequence[Singles],
    gradients: Sequence[Singles],
    means: Sequence[Singles],
    squares: Sequence[Singles],
    step: int,
    rate: float,
) -> None:
    """One step, in place."""
    correction = [1 - beta ** (step + 1) for beta in BETAS]
    for weight, gradient, mean, square in zip(weights, gradients, means, squares, strict=True):
        mean += np.float32(1 - BETAS[0]) * (gradient - mean)
        square += np.float32(1 - BETAS[1]) * (gradient * gradient - square)
        scale = np.sqrt(square) / np.float32(np.sqrt(correction[1])) + np.float32(EPSILON)
        weight -= np.float32(rate / correction[0]) * mean / scale
