"""Choose the weights that a run keeps: by a dev collection, or by averaging.

Weights are averaged equally (model soups, 2203.05482) or by the share that does best on a suite.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import versions
from panglot._errors import PanglotError
from panglot._files import atomic_folder, digest, shareable, write_json, write_text
from panglot.data.collection import Collection
from panglot.datasets.suite import read_suite
from panglot.encoders.cache import cached
from panglot.encoders.model_folders import metadata, origin_of, refuse_existing, save_portable
from panglot.encoders.open_model import folder_digest, open_model
from panglot.encoders.protocol import Side, Vectors
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder
from panglot.evaluation.compare import scoreboard
from panglot.training.model import TrainableEncoder, chunks_of
from panglot.training.run import Progress
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from panglot.encoders.protocol import Encoder
    from panglot.evaluation.bootstrap import PerQuestion
    from panglot.evaluation.figures import Figures

#: Shares of the trained weights that are tried, in ascending order.
SHARES = (0.3, 0.5, 0.7, 0.85, 1.0)
#: How far a form of the suite may fall below the start within a language.
TOLERANCE = 0.005
_START = "start"


@dataclass(frozen=True)
class Choice:
    """The ``share`` of the trained weights that did best on a suite, 0 if none is better than the start.

    ``board`` is the :func:`panglot.evaluation.compare.scoreboard` of the start and all shares.
    """

    share: float
    board: Figures


def choose_share(
    measure: Callable[[float], Mapping[str, PerQuestion]], shares: Sequence[float] = SHARES, *,
    draws: int = 1000, seed: int = 0, progress: Callable[[str], None] | None = None,
) -> Choice:  # fmt: skip
    """Choose the share with the best score of which no form falls by more than .005 within a language.

    ``measure`` returns the values of each form question by question for a share of the trained weights. It is called
    with 0 for the start first. ``progress`` is called with a line about each share.
    """
    found: dict[str, Mapping[str, PerQuestion]] = {}
    for share in (0.0, *shares):
        found[_name(share)] = measure(share)
        if progress is not None:
            progress(
                _outcome(share, scoreboard({name: found[name] for name in (_START, _name(share))}, "mAP", 0, seed))
            )
    board = scoreboard(found, "mAP", draws, seed)
    best, highest = 0.0, board["scores"][_START]["score"]
    for share in shares:
        lowest = board["differences"][_name(share)]["lowest"]
        score = board["scores"][_name(share)]["score"]
        if score > highest and (lowest is None or lowest["difference"] >= -TOLERANCE):
            best, highest = share, score
    return Choice(best, board)


def _outcome(share: float, board: Figures) -> str:
    line = f"share {share:g} of the trained weights: score {board['scores'][_name(share)]['score']:.4f}"
    if share:
        change = board["differences"][_name(share)]
        line += f" ({change['score']:+.4f})"
        if lowest := change["lowest"]:
            line += f", within a language lowest in {lowest['form']} ({lowest['difference']:+.4f})"
    return line


def _name(share: float) -> str:
    return f"{share:g}" if share else _START


def average(
    models: Sequence[str | Path], output: str | Path, *, weights: Sequence[float] | None = None,
    suite: str | Path | None = None, shares: Sequence[float] | None = None, data_dir: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:  # fmt: skip
    """Write the average of models of one architecture, and return its folder.

    With a ``suite``, the first model is the start. The share of the mean of the others is chosen with which the score
    on the suite is best and no form falls by more than .005 within a language. Nothing is written if no share is better
    than the start.

    Args:
        models: Two or more models: ``bundled``, folders or hub names. The folder gets the files of the last one.
        output: The folder to write. It must not exist yet.
        weights: A weight for each model, which sum to 1. Equal by default.
        suite: A suite by its name or TOML file (:func:`panglot.datasets.suite.read_suite`).
        shares: Shares of the trained weights to try on the suite, above 0 and at most 1. :data:`SHARES` by default.
        data_dir: Folder of the known data sets.
        progress: Called with a line of text before each long step.

    Raises:
        PanglotError: The models do not fit each other, a setting is wrong, or no share is better than the start.
    """
    output = Path(output)
    refuse_existing(output)
    if len(models) < 2:
        raise PanglotError(f"expected two or more models, got {len(models)}", field="models", hint="name another one")
    if suite is not None and weights is not None:
        raise PanglotError("weights were given, and a suite to choose them", field="weights", hint="leave one out")
    # Written so that NaN is refused too.
    if weights is not None and not (len(weights) == len(models) and abs(sum(weights) - 1) <= 1e-6):
        problem = f"expected {len(models)} weights that sum to 1, got {', '.join(f'{each:g}' for each in weights)}"
        raise PanglotError(problem, field="weights", hint="give one per model")
    if suite is None and shares is not None:
        hint = "name a suite, or give weights instead"
        raise PanglotError("shares are tried on a suite, and none was given", field="shares", hint=hint)
    shares = SHARES if shares is None else shares
    if any(not 0 < share <= 1 for share in shares) or not shares:
        got = ", ".join(f"{share:g}" for share in shares) or "none"
        raise PanglotError(f"shares must be above 0 and at most 1, got {got}", field="shares", hint="leave them out")
    opened = [_Opened(model) for model in models]
    theirs, *others = ({name: tuple(w.shape) for name, w in each.state.items()} for each in opened)
    for each, mine in zip(opened[1:], others, strict=True):
        if mine != theirs:
            odd = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
            problem = f"its weights differ from those of {opened[0].name} in name or shape, such as {odd[0]}"
            raise PanglotError(problem, file=each.name, hint="average models that were trained from the same start")
    summary: dict[str, Any] = {"models": [shareable(model) for model in models]}
    if suite is None:
        used = list(weights or [1 / len(models)] * len(models))
    else:
        choice = _choose_on(suite, opened, shares, data_dir, progress)
        summary |= {"suite": shareable(suite), "share": choice.share, "scoreboard": choice.board}
        if not choice.share:
            raise refusal(suite)
        used = [1 - choice.share, *[choice.share / (len(models) - 1)] * (len(models) - 1)]
    summary |= {"weights": used, "fingerprints": [each.digest for each in opened], "versions": versions()}
    _write(output, opened, used, summary)
    return output


class _Opened:
    """A model with its state and what identifies it."""

    def __init__(self, model: str | Path) -> None:
        import torch

        self.name = str(model)
        self.model, self.folder = open_model(model, torch.device("cpu"))
        self.digest = folder_digest(self.folder)
        self.state: dict[str, Tensor] = dict(self.model.state_dict())


def mix(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted sum of states, of which whole numbers are those of the first."""
    return {
        name: sum(weight * state[name] for weight, state in zip(weights, states, strict=True))  # pyright: ignore[reportReturnType]
        if first.is_floating_point() else first
        for name, first in states[0].items()
    }  # fmt: skip


def refusal(suite: str | Path) -> PanglotError:
    """Return the error that no share of the trained weights is better than the start."""
    problem = "no share of the trained weights has a better score than the start without a fall within a language"
    hint = "train on more or other text, at a lower learning rate, or for a shorter time"
    return PanglotError(problem, file=suite, hint=hint)


def _choose_on(
    suite: str | Path, opened: Sequence[_Opened], shares: Sequence[float], data_dir: str | Path | None,
    progress: Callable[[str], None] | None,
) -> Choice:  # fmt: skip
    read_suite(suite).refuse_test_sets(data_dir)
    forms = read_suite(suite).read(data_dir)
    encoder = SentenceTransformerEncoder(opened[0].name)
    others = len(opened) - 1
    plain = encoder.fingerprint

    def measure(share: float) -> dict[str, PerQuestion]:
        weights = [1 - share, *[share / others] * others]
        encoder.model.load_state_dict(mix([each.state for each in opened], weights))
        encoder.name = f"{_name(share)} on {Path(suite).name}"
        # Vectors are kept on disk, so that the same command continues where it was stopped.
        names = (text for each, weight in zip(opened, weights, strict=True) for text in (each.digest, repr(weight)))
        encoder.fingerprint = digest("average", plain, *names) if share else plain
        return measure_forms(cached(encoder), forms)

    return choose_share(measure, shares, progress=progress)


def measure_forms(encoder: Encoder, forms: Mapping[str, Collection]) -> dict[str, PerQuestion]:
    """Return mAP question by question for each form."""
    from panglot.evaluation.bootstrap import PerQuestion
    from panglot.evaluation.inputs import encode
    from panglot.evaluation.measures import parse
    from panglot.evaluation.ranks import rank

    found: dict[str, PerQuestion] = {}
    for name, collection in forms.items():
        ranks = rank(*encode(encoder, collection), collection)
        found[name] = PerQuestion.of(ranks, (parse("mAP"),))
    return found


def _write(output: Path, opened: Sequence[_Opened], weights: Sequence[float], summary: Mapping[str, Any]) -> None:
    last = opened[-1]
    refuse_existing(output)  # Choosing takes minutes.
    last.model.load_state_dict(mix([each.state for each in opened], weights))
    with atomic_folder(output) as part:
        save_portable(last.model, part)
        write_json(part / "average.json", summary)
        if (last.folder / "recipe.toml").is_file():
            shutil.copyfile(last.folder / "recipe.toml", part / "recipe.toml")
        write_text(part / "README.md", _card(output, opened, weights, summary))


def _card(output: Path, opened: Sequence[_Opened], weights: Sequence[float], summary: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {shareable(each.name)} | {weight:.3f} |" for each, weight in zip(opened, weights, strict=True))
    chosen = ""
    if "suite" in summary:
        score = summary["scoreboard"]["differences"][_name(summary["share"])]["score"]
        where = f"on the suite `{summary['suite']}`, where the score less that of the start is {score:+.3f}"
        chosen = f"\nThe weights were chosen {where}.\n"
    return f"""---
{metadata(output.name, origin_of(opened[0].name, opened[0].folder), [], [])}
---

# {output.name}

An average of the weights of several models, made by [panglot](https://github.com/panglot/panglot). `average.json` has
the details.

| model | weight |
|---|--:|
{rows}
{chosen}"""


# Per run, if nobody says how often.
_MEASUREMENTS = 10


class DevEvaluator:
    """Measures the model in training on a dev collection.

    The score of a model is its mean mAP over the settings that the collection supports. One that supports none is an
    error.
    """

    def __init__(self, collection: Collection, settings: Settings, encoder: TrainableEncoder) -> None:
        if not any(len(questions) for questions, _ in collection.walk_pairs()):
            problem = f"no question of {collection.name} has a relevant passage, so it has nothing to measure"
            hint = "name another dev set" if settings.dev else "hold out a larger share"
            raise PanglotError(problem, field="dev" if settings.dev else "dev_share", hint=hint)
        self._collection, self._settings, self._encoder = collection, settings, LiveEncoder(encoder, settings)

    def due(self, step: int, before: float, share: float) -> bool:
        """Whether to measure after ``step`` steps, the last of which used the budget from ``before`` to ``share``."""
        if share >= 1:
            return True
        if self._settings.eval_every:
            return step % self._settings.eval_every == 0
        return int(share * _MEASUREMENTS) > int(before * _MEASUREMENTS)

    def measure(self) -> tuple[float, dict[str, Any]]:
        """Return the score, and metrics: mAP per setting, rank distance, and the geometry of the passages.

        The geometry shows whether the model becomes language-agnostic. It has the accuracy of a linear classifier of
        languages, and the mean cosine of translations beside that of random texts in the same languages.
        """
        from panglot.evaluation.figures import SETTINGS, headline
        from panglot.evaluation.inputs import encode
        from panglot.evaluation.measures import language_classifier, parse, translation_cosines
        from panglot.evaluation.ranks import group_numbers

        questions, passages = encode(self._encoder, self._collection)
        figures = headline(questions, passages, self._collection, (parse("mAP"),))
        found = {name: figures[f"{name}.mAP"] for name in SETTINGS if f"{name}.mAP" in figures}
        metrics: dict[str, Any] = {**found, "rank_distance": figures.get("multilingual.rank_distance")}
        language, group = self._collection.passage_language, group_numbers(self._collection.passages)
        if classified := language_classifier(passages, language, group, seed=0):
            metrics["language_classifier"], metrics["chance"] = classified
        if cosines := translation_cosines(passages, language, group, seed=0):
            metrics["translation_cosine"], metrics["random_cosine"] = cosines
        return float(np.mean(list(found.values()))), metrics

    @staticmethod
    def early_stopping(progress: Progress, score: float) -> tuple[bool, Progress]:
        """Return whether ``score`` is the best so far, and the progress with the best score and the patience used."""
        if not math.isfinite(score):
            problem = f"the dev score of step {progress.step} is not a number, so no weights can be chosen by it"
            raise PanglotError(problem, field="dev", hint="choose another dev set, in a new run folder")
        if progress.best is None or score > progress.best:
            return True, replace(progress, best=score, best_step=progress.step, waited=0)
        return False, replace(progress, waited=progress.waited + 1)


class LiveEncoder:
    """Encodes with a model in training as it is at the moment."""

    def __init__(self, encoder: TrainableEncoder, settings: Settings) -> None:
        self.name = self.fingerprint = "the model in training"
        self._encoder, self._chunk_tokens = encoder, settings.chunk_tokens

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32."""
        import torch

        tokens = self._encoder.tokenize(texts, side)
        vectors = np.empty((len(tokens), self._encoder.dimension), np.float32)
        mode = self._encoder.model.training  # Restored at the end, or dropout would be off for the rest of the run.
        self._encoder.model.eval()
        with torch.inference_mode():
            for chunk in chunks_of([len(text) for text in tokens], self._chunk_tokens):
                vectors[chunk] = self._encoder.embed([tokens[i] for i in chunk]).cpu().numpy()
        self._encoder.model.train(mode)
        return vectors
