"""The `geoanchor` command: what is common to all commands, and the way errors leave the program.

stdout carries results only. Exit codes: 0 success, 2 wrong use, 1 failure, 130 stopped by Ctrl+C, each but the first
with one sentence on stderr.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any

import typer

from app.commands import adapt, anchors, captions, changes, dataset, evaluate, index, info, report, search, serve, train
from app.commands.output import close_stdout, write
from geoanchor import __version__
from geoanchor.errors import GeoAnchorError

app = typer.Typer(
    name="geoanchor",
    help="A search engine for places in aerial imagery and maps.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    serve.demo, index.index, search.search, search.describe, changes.changes, adapt.adapt, anchors.anchors,
    captions.captions, train.train, train.models, serve.serve, info.info, info.doctor, info.compact,
    info.export, report.report,
):  # fmt: skip
    app.command()(command)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(dataset.app, name="dataset")


def _print_version(wanted: bool) -> None:
    if wanted:
        write(f"geoanchor {__version__}\n")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything, and show where an error came from.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = {"debug": debug}
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if debug else logging.WARNING, format="%(message)s")
    if not debug:
        # GDAL repeats in its own words what a reader says in one sentence.
        logging.getLogger("rasterio").setLevel(logging.CRITICAL)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    debug = "--debug" in arguments
    try:
        code = _invoke(arguments)
        write("")  # What is still in the buffer has to arrive, too.
        return code
    except GeoAnchorError as error:
        return _fail(str(error), error.exit_code, error if debug else None)
    except typer.TyperException as error:
        return _fail(_wrong_use(error), error.exit_code, None)
    except KeyboardInterrupt:
        return _fail("stopped; an interrupted build goes on where it was when it is run again", 130, None)
    except BrokenPipeError:
        # The reader of stdout has gone (`| head`): nothing is wrong, and nothing more can be said to it.
        close_stdout()
        return 0
    except Exception as error:
        hint = "" if debug else "; run `geoanchor --debug ...` to see where"
        return _fail(f"unexpected {type(error).__name__}: {_one_line(error)}{hint}", 1, error if debug else None)


def _invoke(arguments: list[str]) -> int:
    """Typer's own way to run a command ends the process silently at Ctrl+C, and with a failure at a broken pipe."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("geoanchor", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0


def _fail(sentence: str, code: int, error: BaseException | None) -> int:
    if error is not None:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    print(f"geoanchor: {_one_line(sentence)}", file=sys.stderr)
    return code


def _wrong_use(error: Any) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "geoanchor"
    message = str(error.format_message() or "").rstrip(".")
    return f"{message}; see `{path} --help`" if message else f"name a command; see `{path} --help`"


def _one_line(words: object) -> str:
    return " ".join(str(words).split())


if __name__ == "__main__":
    main()
