"""The settings of a training run, and recipes in TOML."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from panglot._errors import PanglotError, located
from panglot._files import shareable
from panglot._values import packaged, read_toml
from panglot.augment.codeswitch import CodeSwitch
from panglot.batching.policy import Batches, CrossKind, LanguageSampling, Policy
from panglot.training.aggregation import Mixing, require_method

Embeddings = Literal["frozen", "trimmed", "full"]
OnError = Literal["raise", "skip"]
Scheduler = Literal["linear", "cosine", "constant"]
Precision = Literal["auto", "fp32", "bf16"]  # Weights are trained in one that has fractions.

# Settings that may change when a run is continued, because the result does not depend on them.
_INCIDENTAL = ("data_dir", "output", "checkpoint_every", "tensorboard")

# Settings that can name files and folders of this machine.
_PLACES = ("model", "on", "exclude", "dev", "suite", "lexicons", "data_dir", "output")

#: Old and present names of settings. Run folders may have the old names, but recipes may not.
RENAMED = {
    "clip": "max_grad_norm", "decay": "lr_scheduler", "dev_every": "eval_every", "leave_out": "exclude",
    "skip_broken": "on_error", "warmup": "warmup_ratio",
}  # fmt: skip

_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("pairs", "steps", "chunk_tokens"), (1, math.inf)),
    **dict.fromkeys(("hard_negatives", "objectives_per_step", "max_grad_norm", "frozen_layers"), (0, math.inf)),
    **dict.fromkeys(("eval_every", "patience", "checkpoint_every", "memory_budget", "seed"), (0, math.inf)),
    **dict.fromkeys(("code_switch_share", "learning_rate", "warmup_ratio", "weight_decay", "average"), (0, 1)),
    "temperature": (1e-4, 10),
    "max_length": (8, math.inf),
    "dev_share": (0, 0.9),
}
_CHOICES = {
    "on_error": OnError, "embeddings": Embeddings, "lr_scheduler": Scheduler, "precision": Precision, "mixing": Mixing,
    "code_switch": CodeSwitch,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """All settings of a training run. A recipe in TOML has the same names, and the command line has them with dashes.

    Attributes:
        model: Model to start from: ``bundled``, ``panglot-small``, a sentence-transformers folder or a hub name.
        on: Training sets, ``NAME[:PART][@CANDIDATES]`` or a path each.
        exclude: Test sets whose texts must not be trained on. Training rows that share a text with one of them, or
            nearly so, are left out with all their translations (:func:`panglot.datasets.decontaminate.decontaminate`).
            ``auto`` takes all known test sets in the data folder, ``none`` leaves nothing out.
        on_error: How to handle a broken line of a JSON lines or Parquet file. ``raise`` stops at the first one.
            ``skip`` leaves broken lines out, counts them and writes them to ``NAME.rejected.jsonl`` in the run folder.
        output: Run folder, which becomes a sentence-transformers folder.
        data_dir: Folder of the known data sets.
        languages: Languages to train on. All by default.
        batches: Kind of batches, as in :class:`panglot.batching.policy.Policy`. Not used with ``mixing``, which has
            ``objectives``.
        alpha: Share of one-language batches (``hybrid``) or rows (``hybrid-row``).
        cross_kind: Whether the cross batches of ``hybrid`` draw two languages per row (``cross``) or per batch
            (``pair``).
        mixing: Way to combine the gradients of several objectives. With ``none``, a step is one batch, as ``batches``
            says. Otherwise a step has one batch per objective. ``mean``, ``sum`` and ``weighted`` are standard gradient
            mixing, and the others consider conflicts (:class:`panglot.training.aggregation.Aggregator`).
        objectives: Objectives to mix, ``NAME[:WEIGHT]`` each: a kind of batches except ``hybrid``, ``distill``
            (2004.09813), ``language`` (one objective per language) or ``pair`` (one per language pair), as in
            :func:`panglot.batching.objectives.parse_objectives`.
        objectives_per_step: Number of objectives that each step draws. 0 takes all.
        batch_size: Number of pairs per step over all processes. With ``mixing``, pairs per step and objective.
        pairs: Training budget in pairs. The run ends with the batch that reaches it.
        steps: Training budget in steps, instead of ``pairs``.
        source_temperature: Temperature T for drawing training sets, in proportion to n^(1/T).
        language_temperature: Temperature T for drawing languages, in proportion to n^(1/T).
        language_sampling: Way to choose the language of a one-language batch: draw it by ``temperature``, or take turns
            (``round-robin``).
        hard_negatives: Maximum number of hard negatives per question, which are passages judged irrelevant.
        code_switch: Replace words of English rows (question and passage both English) by translations (2305.05295).
            ``bilingual`` draws a language per text, ``multilingual`` per word.
        code_switch_share: Probability that a word with a translation is replaced.
        code_switch_languages: Languages of the translations. By default all languages of the lexicons.
        lexicons: Lexicons by name or path, as in :func:`panglot.augment.lexicons.read`. By default all known lexicons.
        learning_rate: Peak learning rate of AdamW.
        warmup_ratio: Share of the budget in which the learning rate grows to its peak.
        lr_scheduler: Course of the learning rate after its peak.
        weight_decay: Weight decay of AdamW, for matrices only.
        max_grad_norm: Maximum norm of the gradient. 0 sets no limit.
        temperature: Temperature τ of the loss, by which similarities are divided.
        symmetric: Let passages also choose among questions in the loss.
        dropout: Use the model's dropout. In short training it only adds noise.
        max_length: Maximum length of a text in tokens, with its prompt. The rest is cut.
        embeddings: Word embeddings to train: none (``frozen``), those of tokens in the training text (``trimmed``), or
            all (``full``). They are four fifths of the parameters of a small multilingual model.
        frozen_layers: Number of lowest transformer layers that are not trained.
        precision: Precision of training: ``bf16`` autocast, ``fp32``, or ``auto``, which takes bf16 if the device
            multiplies it faster.
        chunk_tokens: Number of tokens to encode at once.
        memory_budget: Memory in MiB that a process may use for a step, beside the model. A batch that would need more
            keeps no activations, and its texts are encoded twice (GradCache, 2101.06983). 0 takes half of the memory
            that is available when the run starts. A continued run keeps the budget that it started with.
        average: Share λ of the trained weights in the saved model, λ · trained + (1 − λ) · start.
        suite: Suite (:mod:`panglot.datasets.suite`) on which ``average`` is chosen at the end: the share with the best
            score among those with which no form falls by more than .005 within a language. Rows that ``dev_share``
            holds out are one more form. The suite's texts are left out of training. If no share beats the start, no
            model is saved.
        dev: Data set to measure while training, no test set. The weights with the best score are saved. Its texts are
            left out of training.
        dev_share: Share of the training rows to hold out as a dev set, if ``dev`` is not set.
        eval_every: Number of steps between two measurements on the dev set. 0 makes ten measurements in all.
        patience: Number of measurements without a new best score after which training stops. 0 never stops it.
        seed: Seed of batches, dropout and every other draw.
        checkpoint_every: Number of steps between two checkpoints. 0 writes one about every minute.
        tensorboard: Also write TensorBoard events. This needs the extra ``tensorboard``.

    Raises:
        PanglotError: A value is out of range, or settings contradict each other.
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
    memory_budget: int = 0
    average: float = 1.0
    suite: str | None = None
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
                raise PanglotError("none cannot be combined with test sets", field="exclude", hint="remove one of them")
            object.__setattr__(self, "exclude", ())  # Recipes and run folders have one way to write it.
        if not self.on:
            hint = "name one, as in `--on starter:train`, or a recipe that does, with `--recipe`"
            raise PanglotError("a training set is required", field="on", hint=hint)
        for name, (low, high) in _BOUNDS.items():
            if (value := getattr(self, name)) is not None and not low <= value <= high:
                limits = f"at least {low}" if high == math.inf else f"between {low} and {high}"
                raise PanglotError(f"must be {limits}, got {value}", field=name, hint="change the value")
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                hint = f"choose among {', '.join(get_args(kind))}"
                raise PanglotError(f"unknown value {getattr(self, name)!r}", field=name, hint=hint)
        if self.suite is not None and self.average != type(self).average:
            problem = f"got {self.average}, but the suite chooses the share"
            raise PanglotError(problem, field="average", hint="remove average or suite")
        if self.patience and not (self.dev or self.dev_share):
            raise PanglotError("early stopping needs a dev set", field="patience", hint="set dev or dev_share")
        self._check_mixing()
        self._check_code_switch()
        _ = self.policy  # It checks its own values.

    def _check_mixing(self) -> None:
        if self.mixing == "none":
            if self.objectives != type(self).objectives or self.objectives_per_step:
                hint = "set mixing, for example to mean"
                raise PanglotError("objectives are set, but mixing is none", field="objectives", hint=hint)
            return
        if any(":" in spec for spec in self.objectives) and self.mixing != "weighted":
            hint = "remove them, or set mixing to weighted"
            raise PanglotError(f"{self.mixing} does not use weights", field="objectives", hint=hint)
        for name in _unused(self.mixing, self.objectives):
            if (value := getattr(self, name)) != getattr(type(self), name):
                problem = f"got {value!r}, but mixing {self.mixing} takes a batch of each objective instead"
                hint = f"remove {name} and list what is mixed in objectives, or set mixing to none"
                raise PanglotError(problem, field=name, hint=hint)
        require_method(self.mixing)

    def _check_code_switch(self) -> None:
        if self.code_switch == "none":
            if given := [name for name in ("code_switch_languages", "lexicons") if getattr(self, name)]:
                hint = "set code_switch to bilingual or multilingual"
                raise PanglotError("set without code_switch", field=given[0], hint=hint)
            return
        if self.mixing == "none":
            kinds = {self.batches} if self.alpha > 0 or "hybrid" not in self.batches else set[str]()
        else:
            kinds = {spec.partition(":")[0] for spec in self.objectives}
        if not kinds & {"english", "mono", "mixed-mono", "hybrid", "hybrid-row", "language", "pair"}:
            problem = "code-switching needs rows in one language, and these batches have none"
            hint = "choose english, mono, mixed-mono or a hybrid with alpha above 0, or set code_switch to none"
            raise PanglotError(problem, field="code_switch", hint=hint)

    @property
    def policy(self) -> Policy:
        """The settings that batching needs."""
        return Policy(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Policy)})

    def progress(self, step: int, pairs: int) -> float:
        """Return the share of the budget that ``step`` steps with ``pairs`` pairs have used, 0 to 1.

        >>> Settings(on=("starter:train",), pairs=100).progress(2, 64)
        0.64
        """
        return min(1.0, step / self.steps if self.steps is not None else pairs / self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as values of JSON and TOML."""
        return {
            name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def fingerprint_fields(self) -> dict[str, Any]:
        """Return the settings that the result depends on."""
        return {name: value for name, value in self.to_dict().items() if name not in _INCIDENTAL}

    @classmethod
    def completed(cls, fingerprint_fields: dict[str, Any]) -> dict[str, Any]:
        """Return what :meth:`fingerprint_fields` returned in an earlier version as this version would return it.

        Settings have their present names. Settings that are new since then have their defaults, and so have those
        that were given but not used.
        """
        plain = cls(on=("any",)).fingerprint_fields()
        found = {RENAMED.get(name, name): value for name, value in fingerprint_fields.items()}
        found.pop("cache_tokens", None)  # Such a run goes on with it, as MemoryPlan.recorded reads it.
        if isinstance(found.get("on_error"), bool):
            found["on_error"] = "skip" if found["on_error"] else "raise"
        whole: dict[str, Any] = {**plain, **found}
        return {**whole, **{name: plain[name] for name in _unused(whole["mixing"], whole["objectives"])}}

    def to_toml(self, *, share: bool = False) -> str:
        """Return the recipe as TOML, without settings that are not set.

        To ``share`` it, paths outside the working directory are shortened to their names.
        """
        # Numbers, strings, lists and booleans are written alike in JSON and TOML.
        lines = [
            f"{name} = {'inf' if value == math.inf else json.dumps(value, ensure_ascii=False)}"
            for name, value in (shareable_fields(self.to_dict()) if share else self.to_dict()).items()
            if value is not None
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any], file: Path | None = None) -> Settings:
        """Return settings from the plain values of a recipe, whose ``file`` errors name."""
        if file is not None:
            with located(file=file):
                return cls.from_dict(values)
        fields = {f.name: f for f in dataclasses.fields(cls)}
        clean: dict[str, Any] = {}
        for name, value in values.items():
            if name in RENAMED:
                hint = 'write on_error = "skip" or "raise"' if name == "skip_broken" else "rename it"
                raise PanglotError(f"this setting is now called {RENAMED[name]}", field=name, hint=hint)
            if name == "cache_tokens":
                problem = "this setting was replaced by memory_budget, which is in MiB"
                hint = "remove it (the default is half of the available memory), or set memory_budget"
                raise PanglotError(problem, field=name, hint=hint)
            if name not in fields:
                near = difflib.get_close_matches(name, fields, n=2)
                hint = f"did you mean {' or '.join(near)}?" if near else f"choose among {', '.join(sorted(fields))}"
                raise PanglotError("unknown setting", field=name, hint=hint)
            clean[name] = _typed(name, value, str(fields[name].type))
        return cls(**clean)

    @classmethod
    def read(cls, path: str | Path, **changes: Any) -> Settings:
        """Read a recipe in TOML, or one of panglot's own by its name. ``changes`` override it."""
        file = packaged(path, "recipe")
        return cls.from_dict({**read_toml(file, "recipe"), **changes}, file)


def _unused(mixing: Mixing, objectives: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of batches that a way of mixing does not use.

    >>> _unused("mean", ("mono", "hybrid-row")), _unused("none", ())
    (('batches', 'cross_kind'), ())
    """
    if mixing == "none":
        return ()
    # hybrid-row is the only kind of batches that has an α and can be an objective.
    rows = any(spec.partition(":")[0] == "hybrid-row" for spec in objectives)
    return ("batches", "cross_kind") if rows else ("batches", "alpha", "cross_kind")


def _typed(name: str, value: Any, kind: str) -> Any:
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
    elif base == "bool" or isinstance(value, bool):  # To Python, booleans are integers.
        if base == "bool" and isinstance(value, bool):
            return value
    elif base == "float" and isinstance(value, int | float):
        return float(value)
    elif (base == "int" and isinstance(value, int)) or (base not in _EXPECTED and isinstance(value, str)):
        return value
    expected = "a list of strings" if base.startswith("tuple") else _EXPECTED.get(base, "a string")
    raise PanglotError(f"must be {expected}, got {value!r}", field=name, hint=f"give {expected}")


_EXPECTED = {"float": "a number", "int": "a whole number", "bool": "true or false", "Path": "a path"}


def shareable_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values of settings with :func:`panglot._files.shareable` paths."""
    return {
        name: value if name not in _PLACES else [shareable(each) for each in value] if isinstance(value, list)
        else value and shareable(value)
        for name, value in fields.items()
    }  # fmt: skip
