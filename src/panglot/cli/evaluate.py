"""``panglot evaluate``, ``compare`` and ``demo``: measure models in three settings, or the bias of an index."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._errors import PanglotError
from panglot.cli import options
from panglot.cli.options import COUNT, OUTPUT, OUTPUT_FILE, PATH, POSITIVE, OutputPath

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from panglot.evaluation.evaluate import Evaluation
    from panglot.report.labels import Kind

#: What both commands take. The names are those of the functions' arguments.
_options = options.add_options([
    options.data_dir_option,
    options.candidates_option,
    options.context_option,
    options.language_option,
    options.list_option("--languages", metavar="CODES", help="Languages to measure, such as en,de,zh."),
    options.list_option("--measures", metavar="NAMES", help="Measures to compute, such as mAP,R@10,nDCG@10."),
    click.option(
        "--draws", default=1000, type=COUNT, help="Number of bootstrap draws for the intervals. 0 turns them off."
    ),
    click.option("--seed", default=0, type=COUNT, help="Seed of the bootstrap draws."),
    click.option("--reranker", metavar="MODEL", help="Also measure the ranking as reordered by this cross-encoder."),
    click.option("--rerank-depth", default=50, type=POSITIVE, help="Number of passages that the reranker reorders."),
    options.trust_option,
    options.precision_option,
    options.json_option(),
    click.option("--report", type=OUTPUT_FILE, callback=lambda _context, _option, path: _page(path),
                 help="Write a report as .html, or as .md for Markdown."),
])  # fmt: skip

_SECTIONS = {
    "data_dir": "Data",
    "measures": "Measures",
    "reranker": "Re-ranking",
    "trust_remote_code": "Model",
    "to_json": "Output",
}


@click.command("compare", cls=options.SectionedCommand,
               sections=_SECTIONS | {"tests": "Data", "permutations": "Measures"})  # fmt: skip
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--test", "tests", multiple=True, metavar="DATASET", help="Data set to measure on. Repeat for more.")
@click.option("--suite", metavar="NAME", help="Suite to measure on, `forms` or a TOML file.")
@_options
@click.option("--permutations", default=10_000, type=POSITIVE, help="Number of random permutations of the paired test.")
def compare_command(
    models: tuple[str, ...],
    tests: tuple[str, ...],
    suite: str | None,
    to_json: str | None,
    report: Path | None,
    language: str | None,
    **settings: Any,
) -> None:
    """Measure MODELs on the same questions. A figure is bold if it is significantly the best.

    Differences are tested by a paired randomisation test over question groups, with Holm's correction for the number
    of pairs of models.
    """
    from panglot.datasets.suite import is_suite
    from panglot.evaluation.evaluate import compare

    if not tests and suite is None:
        raise click.MissingParameter(param_hint="'--test' / '--suite'", param_type="option")
    _refuse_depth(settings["reranker"])
    named, progress = options.in_language(tests, language), options.progress_to(to_json)
    # Without the prefix, the name of a suite could be that of a data set.
    named += [] if suite is None else [suite if is_suite(suite) else f"suite:{suite}"]
    found = compare(models, test=named, command=options.command_line(), progress=progress, **settings)
    _deliver(found.figures, models, to_json, report)


@click.command("evaluate", cls=options.SectionedCommand,
               sections=_SECTIONS | {"robust": "Measures", "queries": "Indexes and runs"})  # fmt: skip
@click.argument("model", required=False, metavar="MODEL")
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@_options
@click.option("--robust", is_flag=True, help="Ask also with typos, in other case, cut short and in mixed languages.")
@click.option("--misses", type=OUTPUT_FILE, help="Write each question whose first passage is wrong, as JSON lines.")
@click.option(
    "--queries", type=PATH,
    help="Queries to ask of an index, as JSON lines of group, language and text. By default its titles.",
)  # fmt: skip
@click.option(
    "--trec-run", type=OUTPUT,
    help="Write each ranking as a TREC run, with the judgements beside it. Name a folder for several data sets.",
)  # fmt: skip
@click.option("--trec-depth", default=100, type=COUNT, help="Number of passages per ranking in the run. 0 writes all.")
@click.option("--run", "run", type=PATH, help="Measure this run of any system, TREC or JSON, instead of a MODEL.")
def evaluate_command(
    model: str | None, datasets: tuple[str, ...], to_json: str | None, report: Path | None, queries: Path | None,
    run: Path | None, misses: Path | None, language: str | None, **settings: Any,
) -> None:  # fmt: skip
    """Measure MODEL on DATASETs: monolingual, cross-lingual, all languages in one pool, and language bias.

    MODEL is `bundled`, `panglot-small`, a sentence-transformers folder or hub name, `http://…/v1#name`, or vectors on
    disk. DATASET is a known name (`panglot data list`), a path, or `suite:NAME`. With `--run FILE`, there is no
    MODEL. With an index that `panglot index` wrote as MODEL and no DATASET, its language bias is measured by ranking
    mode, without labels.
    """
    if model is None:
        raise click.MissingParameter(param_hint="MODEL", param_type="argument")
    _refuse_depth(settings["reranker"])
    recorded: dict[str, Any] = {"command": options.command_line(), "progress": options.progress_to(to_json)}
    if run is not None:
        found = _evaluate_run(run, options.in_language((model, *datasets), language), **settings, **recorded)
        _deliver(found.figures, [], to_json, report)
        _write_misses(found, misses)
        return
    if not datasets:
        options.refuse(
            options.all_but("data_dir", "languages", "seed", "reranker", "rerank_depth", "to_json", "queries"),
            "does nothing for an index, whose bias is measured without judgements",
            "name a data set (`panglot data list`), or leave it out; `panglot diagnose INDEX` writes a report",
        )
        names = ("languages", "seed", "reranker", "rerank_depth")
        _audit_index(Path(model), queries, to_json=to_json, **{name: settings[name] for name in names})
        return
    if queries is not None:
        problem = f"a data set has queries of its own, got {' '.join(datasets)} too"
        raise PanglotError(problem, field="queries", hint="leave --queries out, or name an index and no data set")
    named = options.in_language(datasets, language)
    if settings["reranker"] is not None:
        from panglot.evaluation.evaluate import compare

        alone = {"robust", "trec_run", "trec_depth"}
        options.refuse(alone, "would be of the model alone", "leave it out, or measure without --reranker")
        both = compare([model], test=named, **{name: settings[name] for name in settings.keys() - alone}, **recorded)
        # The misses are those of the ranking that the cross-encoder made.
        figures, found = both.figures, list(both.evaluations.values())[-1]
    else:
        from panglot.evaluation.evaluate import evaluate

        if settings["trec_run"] is None:
            problem = "does nothing without --trec-run"
            options.refuse({"trec_depth"}, problem, "name the file of the run with --trec-run")
        found = evaluate(model, named, **settings, **recorded)
        figures = found.figures
    _deliver(figures, [model], to_json, report)
    _write_misses(found, misses)


def _refuse_depth(reranker: str | None) -> None:
    if reranker is None:
        options.refuse({"rerank_depth"}, "does nothing without --reranker", "name a cross-encoder with --reranker")


def _page(path: Path | None) -> Path | None:
    """Return the path of a report, and refuse a format that reports do not have before anything is measured."""
    if path is not None and path.suffix.lower() not in (".html", ".htm", ".md"):
        raise PanglotError("a report is HTML or Markdown", file=path, field="report", hint="name it .html or .md")
    return path


def _write_misses(found: Evaluation, path: Path | None) -> None:
    from panglot._files import write_text

    if path is not None:
        lines = [json.dumps(each, ensure_ascii=False) for each in found.misses()]
        write_text(path, "".join(f"{line}\n" for line in lines))
        click.echo(f"{path}: {len(lines):,} questions whose first passage is wrong", err=True)


def _deliver(figures: Mapping[str, Any], models: Sequence[str], to_json: str | None, report: Path | None) -> None:
    """Print the figures, and write JSON and a page if asked for.

    The page has the training curves of those ``models`` that are run folders.
    """
    from panglot._files import write_text
    from panglot.report import from_log, print_report, to_markdown, write_html

    text_wanted = options.deliver_json(figures, to_json)
    if report is not None and report.suffix.lower() == ".md":
        write_text(report, to_markdown(figures))
    elif report is not None:
        runs = {Path(model).name: Path(model) for model in models if (Path(model) / "log.jsonl").is_file()}
        write_html(report, figures, {name: from_log(folder) for name, folder in runs.items()} or None)
    if text_wanted:
        print_report(figures, options.console())


def _evaluate_run(run: Path, datasets: Sequence[str], **settings: Any) -> Evaluation:
    from panglot.evaluation.evaluate import evaluate_run

    if len(datasets) > 1:
        problem = f"a run is measured on one data set, got {' '.join(datasets)}"
        raise PanglotError(problem, field="run", hint="write `panglot evaluate --run FILE DATASET`, without a MODEL")
    options.refuse(
        options.all_but("data_dir", "candidates", "context", "language", "languages", "measures", "draws", "seed",
                        "to_json", "report", "misses", "run"),
        "does nothing for a run, which is measured as it is, without a model",
        "leave it out",
    )  # fmt: skip
    for name in ("trec_run", "trec_depth", "trust_remote_code", "precision", "robust", "reranker", "rerank_depth"):
        del settings[name]
    return evaluate_run(run, datasets[0], **settings)


def _audit_index(
    folder: Path, path: Path | None, *, languages: Sequence[str] | None, seed: int, reranker: str | None,
    rerank_depth: int, to_json: str | None,
) -> None:  # fmt: skip
    """Measure the bias of an index, print it, and write JSON if asked."""
    from panglot.data.language import canonical
    from panglot.search.audit import audit_bias
    from panglot.search.index import Index
    from panglot.search.metadata import is_index
    from panglot.search.queries import read_queries, sample_queries
    from panglot.search.query_language import forms

    if not is_index(folder):
        hint = "name a data set (`panglot data list`), or an index that `panglot index` wrote"
        problem = "no data set is named, and this is not an index"
        raise PanglotError(problem, file=folder, field="datasets", hint=hint)
    index = Index.open(folder, reranker=reranker or "")
    queries = read_queries(path) if path is not None else sample_queries(index.documents(), seed=seed)
    if languages:
        known = {each.language for each in queries}
        chosen = {form for code in languages for form in forms(canonical(code), known)}
        queries = [each for each in queries if each.language in chosen]
        if not queries:
            hint = f"name some of {', '.join(sorted(known))}"
            raise PanglotError("there is no query in these languages", field="languages", hint=hint)
    audit = audit_bias(index, queries, rerank_depth=rerank_depth, progress=options.progress_to(to_json))
    found = {"command": options.command_line(), "index": str(folder), "seed": seed, **audit}
    index.close()
    if options.deliver_json(found, to_json):
        _print_audit(found)


def _print_audit(found: dict[str, Any]) -> None:
    from panglot.report.labels import format_number

    columns: dict[str, Kind] = {"self_preference@10": "times", "rank_correlation": "score",
                                "translation_found@10": "percent"}  # fmt: skip
    rows = [
        (mode, *(format_number(each[name], kind) for name, kind in columns.items()))
        for mode, each in found["modes"].items()
    ]
    click.echo(f"{found['queries']:,} queries in {len(found['languages'])} languages")
    options.print_table(("mode", "own language", "same ranking", "translations found"), rows, right=(1, 2, 3))
    click.echo(
        "own language: its share of the first 10 divided by its share of the documents; 1 means no preference\n"
        "same ranking: Kendall's τ between the rankings of the same query in two languages\n"
        "translations found: share that ranks among the first 10, versions of the same document left out"
    )
    by_language: dict[str, float] = found["modes"]["plain"]["self_preference@10_by_language"]
    if by_language:
        worst = sorted(by_language.items(), key=lambda item: (-item[1], item[0]))[:5]
        shown = ", ".join(f"{code} {format_number(value, 'times')}" for code, value in worst)
        click.echo(f"most preferred by plain: {shown}")
    for line in found["advice"]:
        click.echo(line)


@click.command("demo")
@click.option("--output", type=OutputPath(path_type=Path, file_okay=False), default=Path("demo"),
              help="Folder for the model and the report.")  # fmt: skip
@click.option("--pairs", default=2000, type=click.IntRange(32), help="Number of training pairs.")
@click.option("--seed", default=0, type=COUNT, help="Seed of the training and of the intervals.")
def demo(output: Path, pairs: int, seed: int) -> None:
    """Measure the bundled model, train it with hybrid batches, and measure it again.

    The collection has short facts in twelve languages. Training and test share no fact.
    """
    from panglot._files import write_json
    from panglot.evaluation.evaluate import compare
    from panglot.report import print_report, write_html
    from panglot.training.loop import train

    start = time.perf_counter()
    console = options.console()
    console.print("1. Training the bundled model with hybrid-row batches on starter:train …")
    folder = output / "hybrid"
    trained = train("bundled", "starter:train", folder, batches="hybrid-row", pairs=pairs, seed=seed, batch_size=24)
    console.print("2. Measuring both models on starter:test, in three settings …")
    found = compare(["bundled", str(trained)], test=["starter:test"], seed=seed)
    print_report(found.figures, console)
    write_json(output / "scores.json", found.figures)
    write_html(output / "report.html", found.figures)
    console.print(
        f"\n{time.perf_counter() - start:.0f} seconds. [bold]Monolingual[/]: question and passages in one language."
        " [bold]Cross-lingual[/]: in two languages. [bold]Multilingual[/]: passages of all languages in one pool, where"
        " the untrained model prefers the question's own language. [bold]Rank distance[/]: how far the translations of"
        " a fact are apart in that pool. With twelve languages, 11 is the minimum.\n"
        f"Model: {trained}   Report: {output / 'report.html'}\n"
        "Next: panglot evaluate bundled YOUR.jsonl   (lines of group, language, question, passage)\n"
        f"      panglot train --on YOUR.jsonl --output runs/mine ; panglot compare bundled runs/mine --test OTHER.jsonl"
    )
