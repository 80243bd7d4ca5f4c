"""What a user decides about a training run: the recipe."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from panglot._errors import PanglotError
from panglot._files import read_toml
from panglot.augment.codeswitch import CodeSwitch
from panglot.batching.policy import Batches, CrossKind, LanguageSampling, Policy
from panglot.encoders.devices import Precision
from panglot.training.aggregation import Mixing, require

Embeddings = Literal["frozen", "trimmed", "full"]
OnError = Literal["raise", "skip"]
Scheduler = Literal["linear", "cosine", "constant"]

#: Settings that may change between the start of a run and its continuation: they do not touch its outcome.
INCIDENTAL = ("data_dir", "output", "checkpoint_every", "tensorboard")

#: What settings were called before, and what they are called now. Run folders may hold the old names; recipes may not.
RENAMED = {
    "clip": "max_grad_norm",
    "decay": "lr_scheduler",
    "dev_every": "eval_every",
    "leave_out": "exclude",
    "skip_broken": "on_error",
    "warmup": "warmup_ratio",
}


@dataclass(frozen=True)
class Settings:
    """A training run. A TOML recipe holds the same names, the command line the same with dashes.

    Attributes:
        model: The start: ``bundled``, a sentence-transformers folder or a hub name.
        on: The training sets, ``NAME[:PART][@CANDIDATES]`` or a path each.
        exclude: Test sets whose texts must not be trained on. Training rows that share a text with one of them, or
            nearly so, are left out with all their translations (:func:`panglot.datasets.decontaminate.guard`).
            ``auto``: all known test sets at hand; ``none``: leave nothing out.
        on_error: What to do with a broken line of a JSON lines or Parquet file. ``raise`` stops at the first one;
            ``skip`` leaves broken lines out, counts them and keeps them in the run folder as ``NAME.rejected.jsonl``.
        output: The run folder; becomes a sentence-transformers folder.
        data_dir: Where the known sets lie.
        languages: Train on these languages only; empty: on all.
        batches: Which rows meet, as in :class:`panglot.batching.policy.Policy`. With ``mixing``, ``objectives`` say
            that.
        alpha: Share of one-language batches or rows of the hybrid kinds.
        cross_kind: Whether hybrid's cross batches draw two languages by row or by batch (``pair``).
        mixing: How the gradients of several objectives become one: ``none`` (a step is one batch, drawn as
            ``batches`` says), ``mean``, ``sum`` or ``weighted`` (standard gradient mixing), or a conflict-aware way
            (:class:`panglot.training.aggregation.Aggregator`). A step then takes a batch of every objective.
        objectives: What is mixed, ``NAME[:WEIGHT]`` each, as in :func:`panglot.batching.objectives.parse_objectives`:
            kinds of batches, ``distill`` (2004.09813), ``language`` (one objective each) or ``pair``.
        objectives_per_step: Objectives that a step draws; 0: all.
        batch_size: Pairs a step, over all processes; with mixing, pairs a step and objective.
        pairs: Training budget in pairs seen: the run ends with the batch that reaches it.
        steps: Training budget in steps instead.
        source_temperature: Sources are drawn by n^(1/T).
        language_temperature: Languages are drawn by n^(1/T).
        language_sampling: ``temperature``, or ``round-robin``: the languages of one-language batches take turns.
        hard_negatives: Passages judged irrelevant (grade 0) that join each question's batch, at most.
        code_switch: Replace words of English rows (question and passage both English) by their translations
            (2305.05295): ``bilingual`` draws a language for each text, ``multilingual`` for each word.
        code_switch_share: Probability that a word with a translation is replaced; words without one stay.
        code_switch_languages: Languages to switch into; empty: all that the lexicons have.
        lexicons: Lexicons by name or path, as in :func:`panglot.augment.lexicons.read`; empty: all that are known.
        learning_rate: Peak of AdamW's learning rate.
        warmup_ratio: Share of the steps in which the learning rate grows to its peak.
        lr_scheduler: How it falls afterwards.
        weight_decay: AdamW's, on matrices only.
        max_grad_norm: Largest norm of the gradient; 0: no bound.
        temperature: τ of the loss.
        symmetric: Whether passages also choose among questions.
        dropout: Whether the model's dropout is on; off by default: with short training it only adds noise.
        max_length: Tokens of a text, prompt included; the rest is cut.
        embeddings: Word embeddings ``frozen`` (the default: they are four fifths of the parameters of a small
            multilingual encoder), ``trimmed`` (those of tokens that occur in the training text are trained,
            the others stay) or ``full``.
        frozen_layers: Number of lowest transformer layers that are not trained.
        precision: ``bf16`` autocast, ``fp32``, or ``auto``: bf16 where the device multiplies it faster.
        chunk_tokens: Tokens that go through the model at once.
        cache_tokens: Batches with more tokens keep no activations and run twice through the model (GradCache,
            2101.06983), so that memory does not bound the batch.
        average: Share λ of the trained weights in the saved model, λ · trained + (1 − λ) · start.
        dev: Collection to measure while training; the weights that did best on it are kept.
        dev_share: Share of the training rows held out to serve as ``dev`` where none is named.
        eval_every: Steps between two measurements; 0: ten in all.
        patience: Measurements without a new best after which training stops; 0: never.
        seed: Seeds batches, dropout and all else.
        checkpoint_every: Steps between two checkpoints; 0: about every minute.
        tensorboard: Whether to write TensorBoard events too (needs the extra ``tensorboard``).

    Raises:
        PanglotError: A value is out of its range.
    """

    model: str = "bundled"
    on: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ("auto",)
    on_error: OnError = "raise"
    output: Path = Path("runs/panglot")
    data_dir: Path | None = None
    languages: tuple[str, ...] = ()
    batches: Batches = "hybrid"
    alpha: float = 0.5
    cross_kind: CrossKind = "cross"
    mixing: Mixing = "none"
    objectives: tuple[str, ...] = ("mono", "cross")
    objectives_per_step: int = 0
    batch_size: int = 32
    pairs: int = 4000
    steps: int | None = None
    source_temperature: float = 1.0
    language_temperature: float = 2.0
    language_sampling: LanguageSampling = "temperature"
    hard_negatives: int = 0
    code_switch: CodeSwitch = "none"
    code_switch_share: float = 0.5
    code_switch_languages: tuple[str, ...] = ()
    lexicons: tuple[str, ...] = ()
    learning_rate: float = 2e-5
    warmup_ratio: float = 0.1
    lr_scheduler: Scheduler = "linear"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    temperature: float = 0.02
    symmetric: bool = True
    dropout: bool = False
    max_length: int = 256
    embeddings: Embeddings = "frozen"
    frozen_layers: int = 0
    precision: Precision = "auto"
    chunk_tokens: int = 2048
    cache_tokens: int = 8192
    average: float = 1.0
    dev: str | None = None
    dev_share: float = 0.0
    eval_every: int = 0
    patience: int = 0
    seed: int = 0
    checkpoint_every: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if "none" in self.exclude:
            if len(self.exclude) > 1:
                raise PanglotError("none is named beside others", field="exclude", hint="name either")
            object.__setattr__(self, "exclude", ())  # one way to say it, in recipes and run folders
        if not self.on:
            raise PanglotError("no training set", field="on", hint="name one, as in `--on starter:train`")
        bounds: dict[str, tuple[float, float]] = {
            "pairs": (1, math.inf),
            "hard_negatives": (0, math.inf),
            "code_switch_share": (0, 1),
            "objectives_per_step": (0, math.inf),
            "learning_rate": (0, 1),
            "warmup_ratio": (0, 1),
            "weight_decay": (0, 1),
            "max_grad_norm": (0, math.inf),
            "temperature": (1e-4, 10),
            "max_length": (8, math.inf),
            "frozen_layers": (0, math.inf),
            "chunk_tokens": (1, math.inf),
            "cache_tokens": (1, math.inf),
            "average": (0, 1),
            "dev_share": (0, 0.9),
            "eval_every": (0, math.inf),
            "patience": (0, math.inf),
            "checkpoint_every": (0, math.inf),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise PanglotError(f"{value} is out of range", field=name, hint=f"choose from {low} to {high}")
        if self.steps is not None and self.steps < 1:
            raise PanglotError(f"{self.steps} steps train nothing", field="steps", hint="choose 1 or more")
        for name, kind in (
            ("on_error", OnError),
            ("embeddings", Embeddings),
            ("lr_scheduler", Scheduler),
            ("precision", Precision),
            ("mixing", Mixing),
            ("code_switch", CodeSwitch),
        ):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise PanglotError(f"{getattr(self, name)!r} is unknown", field=name, hint=f"choose among {known}")
        if self.patience and not (self.dev or self.dev_share):
            raise PanglotError("stopping early needs a dev collection", field="patience", hint="give dev or dev_share")
        if self.mixing == "none" and (self.objectives != type(self).objectives or self.objectives_per_step):
            raise PanglotError(
                "objectives are mixed, and mixing is none", field="objectives", hint="set mixing, for example to mean"
            )
        if any(":" in wish for wish in self.objectives) and self.mixing not in {"none", "weighted"}:
            raise PanglotError(
                f"{self.mixing} has no use for weights", field="objectives", hint="leave them out, or mix weighted"
            )
        for name in unused(self.mixing, self.objectives):
            if (value := getattr(self, name)) != getattr(type(self), name):
                raise PanglotError(
                    f"{value!r} is given, and mixing {self.mixing} takes a batch of each objective instead",
                    field=name,
                    hint=f"leave {name} out and say in objectives what is mixed, or set mixing to none",
                )
        require(self.mixing)
        self._check_code_switch()
        _ = self.policy

    def _check_code_switch(self) -> None:
        if self.code_switch == "none":
            for name in ("code_switch_languages", "lexicons"):
                if getattr(self, name):
                    raise PanglotError(
                        "given without code_switch", field=name, hint="set code_switch to bilingual or multilingual"
                    )
            return
        if self.mixing == "none":
            kinds = {self.batches} if self.alpha > 0 or "hybrid" not in self.batches else set[str]()
        else:
            kinds = {wish.partition(":")[0] for wish in self.objectives}
        if not kinds & {"english", "mono", "mixed-mono", "hybrid", "hybrid-row", "language", "pair"}:
            raise PanglotError(
                "code-switching is for rows in one language, and there are none",
                field="code_switch",
                hint="choose english, mono, mixed-mono or a hybrid with alpha above 0, or leave code_switch at none",
            )

    @property
    def policy(self) -> Policy:
        """The part that batching needs."""
        return Policy(
            batches=self.batches,
            alpha=self.alpha,
            cross_kind=self.cross_kind,
            batch_size=self.batch_size,
            source_temperature=self.source_temperature,
            language_temperature=self.language_temperature,
            language_sampling=self.language_sampling,
            seed=self.seed,
        )

    def progress(self, step: int, pairs: int) -> float:
        """Return the share of the budget that is spent after ``step`` steps with ``pairs`` pairs, 0 to 1.

        >>> Settings(on=("starter:train",), pairs=100).progress(2, 64)
        0.64
        """
        return min(1.0, step / self.steps if self.steps is not None else pairs / self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON and TOML know them."""
        values = dataclasses.asdict(self)
        return {
            name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    def fingerprint_fields(self) -> dict[str, Any]:
        """Return the settings that the outcome depends on."""
        return {name: value for name, value in self.to_dict().items() if name not in INCIDENTAL}

    @classmethod
    def completed(cls, fingerprint_fields: dict[str, Any]) -> dict[str, Any]:
        """Return what :meth:`fingerprint_fields` returned in an earlier version as this version would return it.

        Settings have their present names. Settings that are new since then have their defaults, and so have those
        that were given but not used. Before there was ``exclude``, nothing was left out.
        """
        plain = cls(on=("any",)).fingerprint_fields()
        found = {RENAMED.get(name, name): value for name, value in fingerprint_fields.items()}
        if isinstance(found.get("on_error"), bool):
            found["on_error"] = "skip" if found["on_error"] else "raise"
        whole: dict[str, Any] = {**plain, "exclude": [], **found}
        return {**whole, **{name: plain[name] for name in unused(whole["mixing"], whole["objectives"])}}

    def to_toml(self) -> str:
        """Return the recipe as TOML; settings that are not set are left out."""
        # JSON's numbers, strings, lists and booleans are TOML's too.
        lines = [
            f"{name} = {'inf' if value == math.inf else json.dumps(value, ensure_ascii=False)}"
            for name, value in self.to_dict().items()
            if value is not None
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any], file: Path | None = None) -> Settings:
        """Make settings from plain values, as a recipe holds them.

        Raises:
            PanglotError: A name is unknown or a value has the wrong type.
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        clean: dict[str, Any] = {}
        for name, value in values.items():
            if name in RENAMED:
                raise PanglotError(
                    f"this setting is now called {RENAMED[name]}",
                    file=file,
                    field=name,
                    hint='write on_error = "skip" or "raise"' if name == "skip_broken" else "rename it",
                )
            if name not in fields:
                raise PanglotError(
                    "no such setting", file=file, field=name, hint=f"choose among {', '.join(sorted(fields))}"
                )
            clean[name] = _typed(name, value, str(fields[name].type), file)
        try:
            return cls(**clean)
        except PanglotError as error:
            raise PanglotError(error.problem, file=file, field=error.field, hint=error.hint) from None

    @classmethod
    def read(cls, path: str | Path, **changes: Any) -> Settings:
        """Read a TOML recipe; ``changes`` win over it.

        Raises:
            PanglotError: The file is not there or not TOML, or a setting is wrong.
        """
        path = Path(path)
        values = read_toml(path, "recipe")
        return cls.from_dict({**values, **changes}, path)


def unused(mixing: Mixing, objectives: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of batches that a way of mixing has no use for.

    >>> unused("mean", ("mono", "hybrid-row")), unused("none", ())
    (('batches', 'cross_kind'), ())
    """
    if mixing == "none":
        return ()
    # The one kind of batches that has an α and can be an objective.
    rows = any(wish.partition(":")[0] == "hybrid-row" for wish in objectives)
    return ("batches", "cross_kind") if rows else ("batches", "alpha", "cross_kind")


def _typed(name: str, value: Any, kind: str, file: Path | None) -> Any:
    if value is None and "None" in kind:
        return None
    base = kind.removesuffix(" | None")
    if base == "Path" and isinstance(value, str | Path):
        return Path(value)
    if base.startswith("tuple"):
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            return tuple(value)
    elif base == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif (
        (base == "int" and isinstance(value, int) and not isinstance(value, bool))
        or (base == "bool" and isinstance(value, bool))
        or (base not in {"float", "int", "bool", "Path"} and isinstance(value, str))
    ):
        return value
    wanted = {"float": "a number", "int": "a whole number", "bool": "true or false", "Path": "a path"}
    expected = "a list of strings" if base.startswith("tuple") else wanted.get(base, "a string")
    raise PanglotError(f"{value!r} is not {expected}", file=file, field=name, hint=f"give {expected}")
