"""Find the command on the command line, and turn errors into one clear line."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from panglot._environment import __version__
from panglot._errors import PanglotError

#: Where each command is, and its line in the help. Commands are imported when they are called, so that help is fast.
_COMMANDS = {
    "diagnose": ("diagnose.diagnose_command", "Find out if a search favours the query's language, and what fixes it."),
    "evaluate": ("evaluate.evaluate_command", "Measure a model in three settings, with its language bias."),
    "index": ("index.index_command", "Encode documents into a search index."),
    "search": ("index.search_command", "Search an index with a query in any language."),
    "train": ("train.train", "Train a model with hybrid or other batches."),
    "average": ("train.average_command", "Average the weights of models, by a share chosen on a suite."),
    "mine": ("train.mine", "Find hard negatives for a training set."),
    "debias": ("debias.debias_command", "Reduce a model's language bias without training."),
    "compare": ("evaluate.compare_command", "Compare models on the same questions."),
    "study": ("study.study", "Compare training strategies over languages and seeds."),
    "reproduce": ("study.reproduce_command", "Check the figures of the documentation, and compute them again."),
    "probe": ("diagnose.probe_command", "Find questions that work in English and fail in another language."),
    "serve": ("index.serve_command", "Serve an index: web page, JSON API and embeddings."),
    "translate": ("train.translate_command", "Translate a data set into other languages."),
    "languages": ("languages.languages_command", "Show data, tokens, lexicons and translation routes per language."),
    "data": ("data.data", "List, show, convert and check data sets."),
    "demo": ("evaluate.demo", "Train and measure on the bundled data, in minutes."),
    "doctor": ("languages.doctor", "Show versions, devices, data folders and caches."),
}


class _ReaderGoneError(Exception):
    """Say that the output has no reader any more. For the error of the system, click exits with 1."""


@contextmanager
def _reader() -> Generator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderGoneError from error


class _Lazy(click.Group):
    # The unused arguments are click's.
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, function = _COMMANDS[cmd_name][0].partition(".")
        from panglot.cli.options import add_verbosity

        return add_verbosity(getattr(import_module(f"panglot.cli.{module}"), function))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # click looks for similar names among the commands that are imported already.
            raise click.NoSuchCommand(error.command_name, possibilities=_COMMANDS, ctx=ctx) from error

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _reader():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _reader():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


_format_warning = warnings.formatwarning
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(cls=_Lazy, context_settings=_SETTINGS)
@click.version_option(__version__, message="panglot %(version)s")
def cli() -> None:
    """Multilingual dense retrieval: hybrid batch training, three-setting evaluation, language bias."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    The exit status is 0 for success, 1 for a bug of panglot, 2 for wrong input, 130 after an interrupt and
    141 if the reader of the output went away.
    """
    # panglot shows progress and problems itself.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.formatwarning = _as_note
    sys.exit(_run(arguments))


def _as_note(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:  # fmt: skip
    """Show panglot's own warnings as notes, without a line of its code."""
    if category is RuntimeWarning and f"{os.sep}panglot{os.sep}" in filename:
        return f"note: {message}\n"
    return _format_warning(message, category, filename, lineno, line)


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = cli.main(args=arguments, prog_name="panglot", standalone_mode=False)
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption):
            from panglot.cli.options import with_suggestion

            error = with_suggestion(error)
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except PanglotError as error:
        from panglot.cli.options import harmless

        logging.getLogger(__name__).info("the error was raised here", exc_info=error)  # shown with --verbose
        click.echo(f"panglot: {harmless(str(error))}", err=True)
        return 2
    except _ReaderGoneError:
        # `panglot … | head` closed the pipe. Without this, Python would print an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # As shells report a process that SIGPIPE ended.
    # Outside of its standalone mode, click returns what the command returns: an exit status or None.
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
