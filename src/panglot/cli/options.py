"""Options and output that several commands share."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from panglot._errors import PanglotError, located

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
COUNT = click.IntRange(0)
POSITIVE = click.IntRange(1)


class OutputPath(click.Path):
    """A place to write to. One that the system would refuse after the work is refused before it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, which a shell that completes a command does not have tried."""
        from panglot._files import check_writable

        path = super().convert(value, param, ctx)
        if str(path) != "-" and not (ctx and ctx.resilient_parsing):
            with located(field=param.opts[-1].lstrip("-") if param else None):
                check_writable(str(path))
        return path


class ExistingFolder(click.Path):
    """A folder that must be there. A wrong one is refused even if nothing in it is needed."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False, exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, with ``~`` as the home of the user, which shells leave in ``--data-dir=~/data``."""
        return super().convert(Path(value).expanduser(), param, ctx)


OUTPUT = OutputPath(path_type=Path)
OUTPUT_FILE = OutputPath(path_type=Path, dir_okay=False)


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings.

    Args:
        sections: Names of parameters, and the heading that begins with each. One heading can begin several times.
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, str] | None = None, **attrs: Any) -> None:
        super().__init__(*arguments, **attrs)
        self.sections = dict(sections or {})

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below their headings."""
        headings = self.sections | {"quiet": "General"}
        heading = "Options"
        records: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            heading = headings.get(str(parameter.name), heading)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                records.setdefault(heading, []).append(record)
        for heading, below in records.items():
            with formatter.section(heading):
                formatter.write_dl(below)


def add_verbosity(command: click.Command) -> click.Command:
    """Add ``--quiet`` and ``--verbose`` to a command, or to each command of a group, and return it."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_verbosity(each)
    elif not any(parameter.name == "quiet" for parameter in command.params):
        quiet = click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_be_quiet, show_default=False,
            help="Write only errors to standard error, no progress and no notes.",
        )  # fmt: skip
        verbose = click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_be_verbose, show_default=False,
            help="Write the log of all libraries to standard error, and where an error was raised.",
        )  # fmt: skip
        command.params += [quiet, verbose]
    return command


def _be_quiet(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        # Errors are shown after the command, when standard error is back.
        nowhere = context.with_resource(Path(os.devnull).open("w"))  # noqa: SIM115  (the context closes it)
        context.with_resource(contextlib.redirect_stderr(nowhere))


def _be_verbose(_context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def split(names: str | None) -> list[str] | None:
    """Return the names in a comma-separated list, or None if there are none.

    >>> split("en, de"), split(None)
    (['en', 'de'], None)
    """
    found = [name.strip() for name in (names or "").split(",") if name.strip()]
    return found or None


def list_option(*names: str, **attrs: Any) -> Callable[[Command], Command]:
    """Return an option whose value is a comma-separated list, or None."""
    return click.option(*names, callback=lambda _context, _option, value: split(value), **attrs)


data_dir_option = click.option("--data-dir", type=ExistingFolder(),
                               help="Folder that holds the known data sets.  [default: $PANGLOT_DATA]")  # fmt: skip
candidates_option = click.option(
    "--candidates", type=click.Choice(["sentence", "paragraph"]), help="Unit of the passages."
)
context_option = click.option("--context", is_flag=True, help="Append its paragraph to each sentence.")
language_option = click.option(
    "--language", metavar="CODE",
    help="For paths: language of texts that do not name theirs. It overrides file names. Write DATASET?language=CODE "
    "for one data set.",
)  # fmt: skip
column_option = click.option(
    "--column", "columns", multiple=True, metavar="FIELD=NAME", callback=lambda _context, _option, value: _pairs(value),
    help="For files of documents: column of the id, text, title, language or group. Repeat for more.",
)  # fmt: skip
chunk_option = click.option(
    "--chunk-tokens", type=int, metavar="N",
    help="Cut documents with more tokens, title included. By default, pages are cut at 256 or "
    "at the model's limit, whichever is lower.",
)  # fmt: skip
precision_option = click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16", "int8"]), default="auto",
    help="Precision of the model's products. auto is bf16 where it is faster, else fp32. int8 needs OpenVINO.",
)  # fmt: skip
trust_option = click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the model.")


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return the columns by field.

    >>> _pairs(["text=body,id=nr", "group=a,b"])
    {'text': 'body', 'id': 'nr', 'group': 'a,b'}
    """
    found: dict[str, str] = {}
    # A comma before anything but another pair is part of a name.
    for text in (part for each in texts for part in re.split(r",(?=\w+=)", each)):
        name, mark, value = text.partition("=")
        if not mark:
            raise PanglotError(f"expected FIELD=NAME, got {text!r}", field="column", hint="write text=body")
        found[name] = value
    return found


def json_option(content: str = "the figures") -> Callable[[Command], Command]:
    """Return the option ``--json``, for a command that writes ``content`` by :func:`deliver_json`."""
    return click.option(
        "--json", "to_json", type=OutputPath(dir_okay=False, allow_dash=True), metavar="PATH",
        help=f"Write {content} as JSON. - is standard output.",
    )  # fmt: skip


def in_language(names: Sequence[str], code: str | None) -> list[str]:
    """Return names of data sets that say ``?language=CODE`` if they are paths.

    >>> in_language(["xquad-r", "./mine"], "en"), in_language(["./mine"], None)
    (['xquad-r', './mine?language=en'], ['./mine'])
    """
    from panglot.datasets.registry import is_known

    changed = (
        name if is_known(name) or name.startswith(("hub:", "mteb:")) else f"{name}?language={code}" for name in names
    )
    return list(changed if code else names)


def add_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Return a decorator that adds options, in their order."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


def refuse(names: Collection[str], problem: str, hint: str) -> None:
    """Refuse parameters of these names on the command line, rather than ignore them."""
    context = click.get_current_context()
    for each in context.command.params:
        if each.name in names and context.get_parameter_source(each.name) is ParameterSource.COMMANDLINE:
            raise PanglotError(f"{each.opts[0]} {problem}", field=each.name, hint=hint)


def all_but(*used: str) -> set[str]:
    """Return the names of all options of the current command but those ``used``, `--quiet` and `--verbose`."""
    parameters = click.get_current_context().command.params
    return {str(each.name) for each in parameters if isinstance(each, click.Option) and each.expose_value} - {*used}


#: Names that other programs give to an option, by the name of its parameter here.
_ELSEWHERE = {
    "k": ("n", "limit", "num-results", "max-results"),
    "where": ("filter", "filters"),
    "language": ("lang",),
    "languages": ("lang", "langs"),
    "output": ("o", "out"),
    "model": ("m", "model-name"),
    "port": ("p",),
    "learning_rate": ("lr",),
}


def with_suggestion(error: click.NoSuchOption) -> click.NoSuchOption:
    """Return the error of an unknown option, with those that have its name in Python, over HTTP or elsewhere."""
    if error.ctx is None:
        return error
    typed = error.option_name.lstrip("-").replace("_", "-").lower()
    known = {str(each.name): each for each in error.ctx.command.params if isinstance(each, click.Option)}
    found = [option for name, option in known.items() if name.replace("_", "-") == typed]
    found = found or [option for name, option in known.items() if typed in _ELSEWHERE.get(name, ())]
    if not found:
        return error
    flags = " or ".join(repr(max(each.opts, key=len)) for each in found)
    return click.NoSuchOption(error.option_name, f"{error.message} Did you mean {flags}?", ctx=error.ctx)


def command_line() -> str:
    """Return the command as it was typed, for the record."""
    return shlex.join(["panglot", *sys.argv[1:]])


def progress_to(to_json: str | None) -> Callable[[str], None]:
    """Return a function that prints progress to standard error, or not at all if JSON goes to standard output."""
    return (lambda _: None) if to_json == "-" else (lambda line: click.echo(harmless(line), err=True))


def harmless(text: str) -> str:
    """Return a text with its line breaks, and without anything else that a terminal could take for a command."""
    from panglot.report.labels import sanitize

    return "\n".join(map(sanitize, text.split("\n")))


def deliver_json(value: object, to_json: str | None) -> bool:
    """Write a value as JSON to a file or, for ``-``, to standard output. Return whether text may be printed there."""
    from panglot._files import write_json

    if to_json == "-":
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))
    elif to_json:
        write_json(Path(to_json), value)
    return to_json != "-"


def console() -> Console:
    """Return where tables are printed. Without a reader, it raises BrokenPipeError as all output does."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1.
            raise BrokenPipeError

    return Piped()


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table of texts to standard output. ``right`` are the columns that are aligned right."""
    from rich.console import Console

    from panglot.report import print_table as print_to
    from panglot.report.tables import simple_table

    table = simple_table(head, rows, left=[place for place in range(len(head)) if place not in right])
    out = console()
    if out.is_terminal or "COLUMNS" in os.environ:
        print_to(table, out)
        return
    # A file or a pipe has no width that cells would have to be folded for or padded to.
    text = io.StringIO()
    print_to(table, Console(width=1000, file=text))
    for line in text.getvalue().splitlines():
        click.echo(line.rstrip())
