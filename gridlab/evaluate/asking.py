"""Asking a model about many days: what must be fitted for which day, done here, in processes or on Dask, and kept."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from gridlab.days import Days, Said, filled
from gridlab.files import replacing


@dataclass(frozen=True)
class Question:
    """Days to ask one fit about: rows of the table, of which the first follows all that the fit may see."""

    part: Any
    rows: tuple[int, ...]


Answer = list[Said] | Exception


def questions(part: Any, rehearsal: Iterable[Sequence[int]], rows: Sequence[int]) -> list[Question]:
    """What to ask of one part: the blocks of the rehearsal, then the rows, those that share a fit together."""
    first = rows[0]
    blocks = [list(block) for _, block in groupby(rows, key=lambda row: (row - first) // part.refit_days)]
    return [Question(part, tuple(block)) for block in [*rehearsal, *blocks]]


def answers(
    asked: Sequence[Question], known: Days, *, n_jobs: int, client: Any, store: str | Path | None, progress: bool
) -> list[Answer]:
    """What is said of each day, or the error that kept a part from saying it, in the order of the questions."""
    from tqdm import tqdm

    run = _Run(known, None if store is None else Path(store))
    return list(tqdm(_mapped(run, asked, n_jobs, client), total=len(asked), disable=not progress, unit="fit"))


class _Run:
    """Answers one question, from the store if it is there."""

    def __init__(self, known: Days, store: Path | None) -> None:
        self.known, self.store = known, store
        self.closed = filled(known)  # a gap is closed by what stands above it, so no row knows of a later one
        self.n_dropped = len(known) - len(self.closed)

    def __call__(self, question: Question) -> Answer:
        try:
            return self._stored(question) if self.store else self._asked(question)
        except Exception as error:  # a model may fail in any way; the caller counts it and names the day
            return error

    def _asked(self, question: Question) -> list[Said]:
        model = question.part.fit_part(self.known[: question.rows[0]])
        return [
            question.part.say(model, self.closed[: row - self.n_dropped], self.known.inputs[row])
            for row in question.rows
        ]

    def _stored(self, question: Question) -> list[Said]:
        assert self.store is not None
        path = self.store / f"{_name(question, self.known)}.npz"
        if path.is_file():
            with np.load(path) as kept:
                return [Said(*pair) for pair in zip(kept["experts"], kept["spread"], strict=True)]
        said = self._asked(question)
        experts, spread = np.stack([one.experts for one in said]), np.stack([one.spread for one in said])
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, experts=experts, spread=spread)
        return said


def _mapped(run: _Run, asked: Sequence[Question], n_jobs: int, client: Any) -> Iterator[Answer]:
    if client is not None:
        return (future.result() for future in client.map(run, asked, pure=False))
    if n_jobs == 1 or len(asked) == 1:
        return map(run, asked)
    from joblib import Parallel, delayed

    return iter(Parallel(n_jobs=n_jobs, return_as="generator")(delayed(run)(question) for question in asked))


def _name(question: Question, known: Days) -> str:
    """Hash of all that an answer depends on: the part and its parameters, the days before, and the day's inputs."""
    part, seen = question.part, known[: question.rows[-1] + 1]
    said = f"{type(part).__module__}.{type(part).__qualname__} {part.get_params()} {question.rows} {seen.names}"
    digest = hashlib.sha256(f"{said} {seen.dates[0]}".encode())
    digest.update(np.ascontiguousarray(seen.price[:-1]).tobytes())
    digest.update(np.ascontiguousarray(seen.inputs).tobytes())
    return digest.hexdigest()[:32]
