"""A loop in a thread, beside a notebook's cells."""

import threading
from types import TracebackType
from typing import Self

from gridlab.live.loop import Loop


class Background:
    """
    Runs a loop in a thread until it is stopped.

    Parameters
    ----------
    loop : Loop
        The loop.
    steps : int, optional
        Decisions after which it stops by itself.

    Examples
    --------
    >>> import tempfile
    >>> from gridlab.live.starting import simulated
    >>> with tempfile.TemporaryDirectory() as folder, simulated(f"{folder}/live.db") as loop:
    ...     with Background(loop, steps=2) as running:
    ...         running.join()
    ...     running.made
    2
    """

    def __init__(self, loop: Loop, *, steps: int | None = None) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(loop, steps), name="gridlab live", daemon=True)
        self.made = 0
        self._error: BaseException | None = None
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the loop still runs."""
        return self._thread.is_alive()

    def join(self) -> None:
        """
        Wait until the loop has ended.

        Raises
        ------
        Exception
            What ended it, where it did not end as it should.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Stop the loop after the step it is in, and wait for that."""
        self._stop.set()
        self.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, loop: Loop, steps: int | None) -> None:
        try:
            self.made = loop.run(steps=steps, stop=self._stop)
        except BaseException as error:
            self._error = error
