"""
The process of one run: a script that papermills one notebook and tells its parent, line by line, how far it is.

It takes its job from the first line of its standard input and dies, with the kernel, when that input ends, so that no
notebook outlives the process that asked for it.
"""

import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gridlab.batch.declared import cell_name
from gridlab.batch.process import KERNEL_DIED

Tell = Callable[..., None]

# jsonschema and papermill import these where they are installed and do without them where not: 1 s of 2 s to start
_UNUSED = ("rfc3987_syntax", "pyarrow")


def main() -> None:
    """Run the job on standard input; tell of each cell, and at last how it ended, on standard output."""
    tell = _own_stdout()
    job = json.loads(sys.stdin.buffer.readline())
    kernels: list[int] = []
    threading.Thread(target=_die_with_parent, args=(kernels,), daemon=True).start()
    tell(**_execute(job, tell, kernels))


def _own_stdout() -> Tell:
    """Keep standard output for our lines alone: what the kernel and its libraries print goes to the log."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(**message: Any) -> None:
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    return tell


def _die_with_parent(kernels: list[int]) -> None:
    os.read(0, 1)  # returns when the parent closes it or is gone
    for group in kernels:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


def _execute(job: Mapping[str, Any], tell: Tell, kernels: list[int]) -> dict[str, Any]:
    """Papermill the notebook and say how it ended: `error` is None or one line, `retry` whether to try again."""
    for name in _UNUSED:
        sys.modules[name] = None  # type: ignore[assignment]
    from papermill.exceptions import PapermillExecutionError

    try:
        _papermill(job, _engine(tell, kernels))
    except PapermillExecutionError as error:
        name = cell_name(error.source)
        return {"error": f"cell {error.exec_count} ({name}) raised {error.ename}: {error.evalue}", "retry": False}
    except Exception as error:
        traceback.print_exc()
        is_dead = "Kernel died" in str(error)  # a DeadKernelError, or a RuntimeError where it died as it started
        what = KERNEL_DIED if is_dead else f"the notebook could not be run ({type(error).__name__}: {error})"
        return {"error": what, "retry": is_dead or _is_ours(error)}
    return {"error": None, "retry": False}


def _papermill(job: Mapping[str, Any], engine: type) -> None:
    from papermill.engines import papermill_engines
    from papermill.execute import execute_notebook

    papermill_engines.register("gridlab", engine)
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of parameters that it misreads
    execute_notebook(
        _unformatted(job["notebook"]),
        _unformatted(job["output"]),
        job["parameters"],
        engine_name="gridlab",
        kernel_name="python3",
        language="python",
        progress_bar=False,
        stdout_file=sys.stderr,
        stderr_file=sys.stderr,
        iopub_timeout=60,
    )


def _engine(tell: Tell, kernels: list[int]) -> type:
    """The engine of papermill, with a line a cell, and this interpreter for a kernel whatever the kernelspecs say."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from papermill.engines import NBClientEngine, NotebookExecutionManager

    class Kernel(AsyncKernelManager):
        kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

        async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
            self.transport, self.ip = "ipc", str(Path(os.environ["IPYTHONDIR"], "kernel"))  # no ports to race for
            await super().start_kernel(**kwargs)
            group = self.provisioner.pid  # type: ignore[union-attr] # it leads a process group of its own
            kernels.append(group)
            tell(kernel=group)

    class Engine(NBClientEngine):  # type: ignore[misc]
        @classmethod
        def execute_managed_notebook(cls, nb_man: NotebookExecutionManager, kernel_name: str, **kwargs: Any) -> None:
            start = nb_man.cell_start

            def cell_start(cell: Mapping[str, Any], cell_index: int, **rest: Any) -> None:
                name = cell_name(cell["source"])
                print(f"--- cell {cell_index + 1} of {len(nb_man.nb.cells)}: {name}", file=sys.stderr)  # noqa: T201
                tell(cell=[cell_index + 1, len(nb_man.nb.cells), name])
                start(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
            super().execute_managed_notebook(nb_man, kernel_name, kernel_manager_class=Kernel, **kwargs)

    return Engine


def _unformatted(path: str) -> str:
    """A path that papermill, which formats it with the parameters, leaves as it is."""
    return path.replace("{", "{{").replace("}", "}}")


def _is_ours(error: Exception) -> bool:
    """Whether the machinery failed and not the notebook: the kernel did not start, or its port was taken."""
    return any(sign in str(error) for sign in ("Kernel didn't respond", "Address already in use"))


if __name__ == "__main__":
    main()
