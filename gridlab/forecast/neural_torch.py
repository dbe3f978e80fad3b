"""Perceptrons of one shape trained side by side by torch, one matrix product for all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from gridlab.errors import MissingExtraError
from gridlab.forecast.neural_numpy import BETAS, EPSILON, Draws, Integers, Network, Plan, Singles, Task


def train_together(tasks: Sequence[Task], plan: Plan) -> Iterator[Sequence[Network]]:
    """
    Train networks side by side, by the same draws as `gridlab.forecast.neural_numpy.train_each`.

    Parameters
    ----------
    tasks : sequence of Task
        What each is to learn, all with the same number of rows, columns and outputs.
    plan : Plan
        How all of them learn.

    Yields
    ------
    sequence of Network
        The averages of the weights so far, after each epoch.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    """
    torch = import_torch()
    draws = [task.draws() for task in tasks]
    stack = _Stack(torch, tasks, draws, plan)
    n_steps = plan.n_epochs * draws[0].n_batches
    for epoch in range(plan.n_epochs):
        with _one_thread(torch):
            batches = np.stack([each.batches() for each in draws], axis=1)
            for step, rows in enumerate(batches, start=epoch * len(batches)):
                kept = [np.stack([each.kept(n_units, plan.dropout) for each in draws]) for n_units in plan.hidden]
                stack.learn(rows, kept, step, plan.rate(step, n_steps))
        yield stack.networks()


def import_torch() -> Any:
    """Import torch, or say how to get it."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch is not installed: pip install 'gridlab[deep]'") from error
    return torch


class _Stack:
    """Networks side by side: a leading axis for the network in every array."""

    def __init__(self, torch: Any, tasks: Sequence[Task], draws: Sequence[Draws], plan: Plan) -> None:
        self.torch, self.plan = torch, plan
        first = [
            each.first(task.X.shape[1], task.Y.shape[1], plan.hidden, task.shortcut)
            for each, task in zip(draws, tasks, strict=True)
        ]
        self.X, self.Y = (self._distinct([getattr(task, name) for task in tasks]) for name in "XY")
        self.has_shortcut = torch.tensor([float(task.shortcut) for task in tasks])[:, None, None]
        depth = range(len(plan.hidden) + 1)
        self.weights = [self._parameter([network.weights[layer] for network in first]) for layer in depth]
        self.biases = [self._parameter([network.biases[layer] for network in first]) for layer in depth]
        self.shortcut = torch.zeros(len(tasks), tasks[0].X.shape[1], tasks[0].Y.shape[1], requires_grad=True)
        decaying = [*self.weights, self.shortcut]
        groups = [
            {"params": decaying, "weight_decay": plan.weight_decay},
            {"params": self.biases, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON, fused=True)
        self.average = [array.detach().clone() for array in (*decaying, *self.biases)]

    def learn(self, rows: Integers, kept: Sequence[Singles], step: int, rate: float) -> None:
        """One step on some rows of each network's, shape (n_networks, n_rows)."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        X, Y = (values[which[:, None], self.torch.from_numpy(rows)] for values, which in (self.X, self.Y))
        error = self._outputs(X, [self.torch.from_numpy(factor) for factor in kept]) - Y
        self.optimiser.zero_grad()
        error.abs().mean(dim=(1, 2)).sum().backward()
        self.optimiser.step()
        now = [array.detach() for array in (*self.weights, self.shortcut, *self.biases)]
        self.torch._foreach_lerp_(self.average, now, 1 - self.plan.past_weight(step))

    def networks(self) -> list[Network]:
        """The averages so far."""
        depth = len(self.weights)
        arrays = [array.numpy().copy() for array in self.average]
        return [
            Network(
                tuple(array[i] for array in arrays[:depth]),
                tuple(array[i] for array in arrays[depth + 1 :]),
                arrays[depth][i] if self.has_shortcut[i] else None,
            )
            for i in range(len(self.has_shortcut))
        ]

    def _outputs(self, X: Any, kept: Sequence[Any]) -> Any:
        activity = X
        for weight, bias, factor in zip(self.weights[:-1], self.biases[:-1], kept, strict=True):
            activity = self.torch.nn.functional.gelu(self.torch.baddbmm(bias, activity, weight)) * factor
        outputs = self.torch.baddbmm(self.biases[-1], activity, self.weights[-1])
        return self.torch.baddbmm(outputs, X * self.has_shortcut, self.shortcut) if self.has_shortcut.any() else outputs

    def _parameter(self, arrays: Sequence[Singles]) -> Any:
        return self.torch.from_numpy(np.stack(arrays)).requires_grad_()

    def _distinct(self, arrays: Sequence[Singles]) -> tuple[Any, Any]:
        """Arrays stacked, each object once, and the place of each task's."""
        distinct = {id(array): array for array in arrays}
        places = {key: i for i, key in enumerate(distinct)}
        which = self.torch.tensor([places[id(array)] for array in arrays])
        return self.torch.from_numpy(np.stack(list(distinct.values()))), which


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """Let torch add in one order, and leave the other cores to other fits."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
