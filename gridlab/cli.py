"""The ``gridlab`` command: each of its commands prints what a function of the library gives."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gridlab import __version__, batch
from gridlab.errors import DataError, MissingExtraError, PlanError, RunError

OURS = (DataError, PlanError, RunError, MissingExtraError, OSError)
INTERRUPTED = 128 + signal.SIGINT


class _Commands(click.Group):
    """Commands whose errors end as one sentence on standard error, and an exit status that is not 0."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # the reader has enough: click ends quietly
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted: the runs that ended are kept, and the same command goes on from there.", err=True)
            context.exit(INTERRUPTED)
        except OURS as error:
            raise click.ClickException(" ".join(str(error).split())) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="gridlab", message="%(prog)s %(version)s")
def main() -> None:
    """Price forecasts, plans, auctions and risk for people who trade energy and run power-hungry sites."""


@main.command()
@click.argument("notebook")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="Params file (YAML).")
@click.option("-p", "--param", "given", multiple=True, metavar="NAME=VALUE", help="One parameter; it beats the file's.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of all reports.  [default: the project's reports]")
@click.option("--force", is_flag=True, help="Run even where the same run stands.")
def run(notebook: str, file: Path | None, given: tuple[str, ...], out: Path | None, force: bool) -> None:
    """Run NOTEBOOK (a name or a path) and print where its report is."""
    study = batch.load_study(file, notebook) if file else None
    if study and study.grid:
        raise DataError(f"{file} has a grid: run it with `gridlab sweep {file}`")
    params = {**(study.params if study else {}), **_parsed(notebook, given)}
    limit = {"timeout_s": study.timeout_s, "study": study.name} if study else {}
    with batch.cell_bar(Path(notebook).stem) as on_progress:
        done = batch.run(notebook, params, _out(out), force=force, on_progress=on_progress, **limit)  # type: ignore[arg-type]
    _print_run(done)
    if done.status == "failed":
        raise RunError(_why(done))


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time on this machine.")
@click.option("--dask", metavar="ADDRESS", help="Run on the Dask scheduler at this address instead.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of all reports.  [default: the project's reports]")
@click.option("--force", is_flag=True, help="Run even the cases that are unchanged.")
def sweep(study: Path, jobs: int, dask: str | None, out: Path | None, force: bool) -> None:
    """Run the grid of STUDY, a params file; cases that stand unchanged are not run again."""
    loaded = batch.load_study(study)
    with batch.run_bar(loaded.name, len(loaded.points)) as on_progress:
        runs = batch.sweep(loaded, jobs=jobs, dask=dask, out_dir=_out(out), force=force, on_progress=on_progress)
    for done in runs:
        click.echo(f"{done.status:9}  {done.duration_s:8.1f} s  {done.case}  {done.report or done.folder}")
    failed = [done for done in runs if done.status == "failed"]
    click.echo(f"{len(runs)} runs, {len(failed)} failed; the list is {runs[0].folder.parents[1] / 'index.html'}")
    if failed:
        raise RunError(f"{len(failed)} of {len(runs)} runs failed, the first being {failed[0].case}: {_why(failed[0])}")


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where they lie.  [default: the project's notebooks]")
def notebooks(folder: Path | None) -> None:
    """List the notebooks, the question of each and its parameters."""
    for notebook in batch.notebooks(folder):
        click.secho(f"{notebook.name}: {notebook.question}", bold=True)
        if notebook.problem:
            click.echo(f"  cannot be run: {notebook.problem}")
        _print_table([[f"  {p.name}", p.type, repr(p.default), p.help] for p in notebook.parameters], left=4)
        click.echo()


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--time", help="Column of the times.")
@click.option("--price", help="Column of the prices.")
@click.option("--tz", help="Time zone of times that state no offset.")
@click.option("--price-unit", type=click.Choice(["$/MWh", "$/kWh"]), help="Unit of the prices.")
@click.option("--node", help="The node to read, of a CAISO file that holds several.")
@click.option("--location", help="The location to read, of a gridstatus file that holds several.")
@click.option("--market-tz", help="Time zone that says when a day begins.  [default: that of --tz, else UTC]")
@click.option(
    "--save", type=click.Path(path_type=Path), help="Write what was read to this parquet file, for notebooks."
)
def data(file: Path, market_tz: str | None, save: Path | None, **options: str | None) -> None:
    """Read FILE, a price file of any format, and show what it is, its range, gaps and statistics."""
    from gridlab import sources

    prices = sources.read_prices(file, **{name: value for name, value in options.items() if value is not None})
    click.echo(sources.describe(prices, market_tz=market_tz or options["tz"] or "UTC"))
    if save is not None:
        sources.write_parquet(prices, save)
        click.echo(f"\nSaved: {save.absolute()}")


@main.command()
@click.option("--site", "settings", type=click.Path(path_type=Path), help="The site's settings (YAML).")
@click.option("--journal", type=click.Path(path_type=Path), help="Its journal.  [default: reports/live/<site>.db]")
@click.option("--url", help="The server.  [default: the API where there is a key, else a simulated one]")
@click.option("--key-file", type=click.Path(path_type=Path), help="File of the key.  [default: $MARA_API_KEY]")
@click.option("--steps", type=click.IntRange(1), help="Decisions after which to stop.")
@click.option("--readings", type=click.Path(path_type=Path), help="File of what the sensors say (JSON).")
@click.option("--bids", type=click.Path(path_type=Path), help="File of bids for services.")
@click.option("--webhook", envvar="GRIDLAB_WEBHOOK", help="Where alerts are posted.  [default: $GRIDLAB_WEBHOOK]")
@click.option("--speed", type=click.FloatRange(0, min_open=True), default=1.0, help="Of a simulated site's clock.")
@click.option("--report/--no-report", default=True, help="Whether each day that ends gets its report.")
@click.option("--seed", type=int, default=0, help="Of a simulated site's prices.")
def live(settings: Path | None, journal: Path | None, key_file: Path | None, **options: Any) -> None:
    """Run a site every five minutes, until Ctrl-C; without a key a simulated one."""
    from gridlab.files import project_path
    from gridlab.live.config import Config
    from gridlab.live.running import run_site
    from gridlab.live.settings import read_config

    config = Config() if settings is None else read_config(settings)
    path = journal or project_path(f"reports/live/{config.site}.db")
    paths = {f"{name}_path": options.pop(name) for name in ("readings", "bids")}
    made = run_site(config, path, key_path=key_file, echo=click.echo, **paths, **options)
    click.echo(f"{made} decisions made; the journal is {path}")


@main.command("live-page")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), default=8866, show_default=True, help="Port, on this machine.")
@click.option("--market-tz", default="UTC", show_default=True, help="Time zone of the page.")
def live_page(journal: Path, port: int, market_tz: str) -> None:
    """Serve the page of a site, whose JOURNAL a loop writes, at http://127.0.0.1:PORT."""
    from gridlab.live.page.journal_page import serve_journal

    serve_journal(journal, port=port, market_tz=market_tz, echo=click.echo)


@main.command("serve-mara")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="Port; 0 for a free one.")
@click.option("--prices", type=click.Path(path_type=Path), help="Price file to replay.  [default: simulated prices]")
@click.option("--after", type=click.Choice(["loop", "simulate"]), default="loop", help="What follows its end.")
@click.option("--clock", type=click.Choice(["wall", "fast", "manual"]), default="wall", show_default=True)
@click.option("--start", help="When a clock that is not the machine's starts (UTC).")
@click.option("--speed", type=float, default=1.0, help="Of a fast clock.")
@click.option("--inventory", type=click.Choice(["event", "documented"]), default="event", show_default=True)
@click.option("--cap-power", type=int, default=1_000_000, show_default=True, help="What a site may draw.")
@click.option("--fault-rate", type=float, default=0.0, help="Share of the calls that something goes wrong with.")
@click.option("--seed", type=int, default=0, help="Of prices and faults.")
def serve_mara(**options: Any) -> None:
    """Serve a simulated MARA API on this machine, until Ctrl-C."""
    from gridlab.live.simulator import serve

    serve(**options, echo=click.echo)


def _out(out: Path | None) -> Path:
    """A folder that is typed is taken from the current folder, the default from the project."""
    return Path("reports") if out is None else out.absolute()


def _parsed(notebook: str, given: Sequence[str]) -> dict[str, Any]:
    """The values typed as name=value, read as the notebook's types say; the run refuses undeclared names."""
    declared = {parameter.name: parameter for parameter in batch.parameters(notebook)}
    pairs = [text.partition("=") for text in given]
    malformed = [text for text, (_, sign, _) in zip(given, pairs, strict=True) if not sign]
    if malformed:
        raise click.UsageError(f"-p needs name=value, got {malformed[0]!r}")
    return {name: batch.parse(text, declared[name]) if name in declared else text for name, _, text in pairs}


def _why(done: batch.Run) -> str:
    return f"{done.notebook.stem} failed: {done.error}; its notebook and log are in {done.folder}"


def _print_run(done: batch.Run) -> None:
    """The headline table and the verdict of a run, and where its report is."""
    record = done.record if done.status != "failed" else None
    if record:
        _print_record(record)
    if done.status == "unchanged":
        click.echo("Nothing has changed since this run; --force runs it again.")
    if done.status != "failed":
        click.echo(
            f"Report: {done.report}" if done.report else f"No report, for the notebook wrote no record: {done.folder}"
        )


def _print_record(record: dict[str, Any]) -> None:
    if record.get("simulated"):
        click.echo("Simulated prices: these are not a market's.")
    for table in record.get("tables", []):
        if table["title"] == record.get("headline"):
            click.secho(table["title"], bold=True)
            head = [table.get("index_name") or "", *table["columns"]]
            rows = zip(table["index"], table["rows"], strict=True)
            _print_table([head, *([name, *row] for name, row in rows)])
            click.echo()
    for sentence in record.get("verdict", []):
        click.echo(sentence)


def _print_table(rows: Sequence[Sequence[Any]], *, left: int = 1) -> None:
    """Rows in columns: the first `left` of them flush left, numbers flush right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = (
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        click.echo("  ".join(cells).rstrip())


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,.2f}" if isinstance(cell, float) else str(cell)


if __name__ == "__main__":
    main()
