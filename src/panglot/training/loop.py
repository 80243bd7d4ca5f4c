"""Train a model by a recipe and write its folder, as ``panglot.train`` does, and run the training loop."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot._files import write_json
from panglot.batching.objectives import Mixture
from panglot.datasets.suite import read_suite
from panglot.encoders.open_model import open_model, stored_dtype
from panglot.training import data
from panglot.training.gradient import Processes, StepGradient, StepResult, make_plan
from panglot.training.model import MemoryPlan, TrainableEncoder
from panglot.training.record import Log, model_card, step_values
from panglot.training.run import Checkpoint, Progress, Run, load_checkpoint
from panglot.training.selection import DevEvaluator, LiveEncoder, choose_share, measure_forms, mix, refusal
from panglot.training.settings import Settings

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from panglot.data.collection import Collection
    from panglot.evaluation.bootstrap import PerQuestion

_CHECKPOINT_SECONDS = 60.0
# The key of the way of mixing's memory among the moments of a checkpoint. No parameter has this name.
_MEMORY = "mixing/memory"


class Interrupted(Exception):  # noqa: N818  (not an error: the run can continue)
    """The run was asked to stop. Its state is saved, and the same command continues it."""


@dataclass
class _State:
    """What changes from step to step."""

    encoder: TrainableEncoder
    optimizer: Optimizer
    gradient: StepGradient
    progress: Progress


def train(
    model: str | Path | None = None, on: str | Path | Sequence[str | Path] | None = None,
    output: str | Path | None = None, *, recipe: str | Path | None = None, progress: bool | None = None,
    **settings: Any,
) -> Path:  # fmt: skip
    """Train a model and return its folder, which ``SentenceTransformer`` and :func:`panglot.load` open.

    ``panglot.train("bundled", on="starter:train", output="runs/hybrid", batches="hybrid")``

    The same call continues a run that was interrupted or killed, and leaves a finished run as it is.

    Args:
        model: The model to start from: ``bundled``, ``panglot-small``, a sentence-transformers folder or a hub name.
        on: Training sets, ``NAME[:PART][@CANDIDATES]`` or paths.
        output: The run folder.
        recipe: A TOML file with settings, or the name of one of panglot's own. The other arguments override it.
        progress: Whether to show progress on standard error; by default on the first process.
        **settings: Any other setting of :class:`panglot.Settings`.

    Raises:
        PanglotError: Settings, data, model or run folder are wrong, or the loss is no longer a number.
        panglot.training.loop.Interrupted: By Ctrl-C or a termination signal, after a checkpoint was written.
    """
    names = [on] if isinstance(on, str | Path) else on
    given = {**settings, "model": model, "output": output, "on": names and [str(name) for name in names]}
    given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    changes = {name: value for name, value in given.items() if value is not None}
    found = Settings.read(recipe, **changes) if recipe is not None else Settings.from_dict(changes)
    _refuse_idle(changes, found)
    return fit(found, progress=progress)


def _refuse_idle(given: Mapping[str, Any], settings: Settings) -> None:
    """Refuse settings of which one does nothing beside another. What a recipe has may be overridden without a word."""
    for used, idle in (("steps", "pairs"), ("dev", "dev_share")):
        if used in given and idle in given:
            raise PanglotError(f"does nothing beside {used}", field=idle, hint="leave out one of the two")
    if "alpha" in given and settings.mixing == "none" and "hybrid" not in settings.batches:
        hint = "set batches to hybrid or hybrid-row, or leave alpha out"
        raise PanglotError(f"does nothing for batches of the kind {settings.batches}", field="alpha", hint=hint)


def fit(settings: Settings, *, progress: bool | None = None) -> Path:
    """Train as :func:`train` does, given all settings.

    A continued run starts at its last checkpoint and ends with the same weights as one that was never stopped. Under
    ``torchrun`` or ``accelerate launch`` all processes share each batch.
    """
    from accelerate.utils import broadcast_object_list

    processes, device = _start_processes()
    first = processes.rank == 0
    run = Run(settings)
    if run.finished():
        return settings.output
    training_data = data.load(settings, run.compared)
    plan = make_plan(settings, training_data.sources)
    model, base = open_model(settings.model, device)
    if first and (stored := stored_dtype(base)) in ("bfloat16", "float16"):
        sys.stderr.write(f"note: the weights of {settings.model} are stored as {stored}. They are trained and saved as"
                         " float32, because half precision loses most updates\n")  # fmt: skip
    encoder = TrainableEncoder(model, replace(settings, precision=run.precision), device)
    encoder.try_out(settings.model)
    collator = data.Collator(training_data, encoder, settings.hard_negatives, settings.seed)
    if settings.embeddings == "trimmed":
        used = training_data.used_texts()
        encoder.trim(tokens for side, texts in used.items() for tokens in encoder.tokenize(texts, side))
    objectives = settings.objectives_per_step or len(plan.objectives) if isinstance(plan, Mixture) else 1
    (memory,) = broadcast_object_list([run.memory or MemoryPlan.measured(settings, encoder, objectives)])
    evaluator = DevEvaluator(training_data.dev, settings, encoder) if training_data.dev else None
    if first:
        precision = "bf16" if encoder.autocast else "fp32"
        run.start(training_data, processes.count, memory, plan.carried_over, precision, base)
        notes = [*training_data.warnings, *plan.warnings.values()]
        notes += [*encoder.notes(settings), *training_data.cut_notes(encoder)]
        sys.stderr.writelines(f"note: {note}\n" for note in notes)
    averaged = settings.average < 1 or settings.suite is not None
    start = {name: tensor.clone() for name, tensor in encoder.state().items()} if averaged else {}
    gradient = StepGradient(settings, plan, collator, encoder, processes, memory)
    state = _State(encoder, _optimizer(encoder, settings), gradient, Progress())
    if (saved := run.newest()) is not None:
        _restore(state, saved)
    processes.check_same_step(state.progress.step, device)

    shown = first if progress is None else progress
    log = Log(settings.output, state.progress.step, tensorboard=settings.tensorboard, show=shown) if first else None
    if log is not None and (left_out := [each for each in training_data.left_out if each["groups"]]):
        log.note({"left_out": left_out})
    with log or nullcontext(), _stop_signals() as stopped:
        _steps(state, settings, run, log, evaluator, stopped)
    if first:
        share = _load_final_weights(state, settings, run, start, training_data.dev)
        run.save_model(encoder.merged(), model_card(base, settings, training_data, state.progress, share))
    return settings.output


def _steps(
    state: _State, settings: Settings, run: Run, log: Log | None, evaluator: DevEvaluator | None,
    stopped: Callable[[], bool],
) -> None:  # fmt: skip
    processes, device = state.gradient.processes, state.encoder.device
    saved = time.monotonic()
    while not _finished(settings, state.progress):
        began = time.monotonic()
        done = state.progress
        rate = learning_rate(settings, settings.progress(done.step, done.pairs))
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        result = state.gradient(done.step)
        norm = _step(state, settings)
        # All processes must stop together, or the others would wait for this one forever.
        if processes.any(not (math.isfinite(result.loss) and math.isfinite(norm)), device):
            raise _not_a_number(result, state, run)
        seconds = time.monotonic() - began
        pairs = done.pairs + result.pairs
        state.progress = replace(done, step=done.step + 1, pairs=pairs, seconds=done.seconds + seconds)
        share = settings.progress(state.progress.step, state.progress.pairs)
        if log is not None:
            line = step_values(result, settings, state.gradient.sources)
            numbers = {"gradient_norm": norm, "learning_rate": rate, "pairs_per_second": result.pairs / seconds}
            times = {"pairs": state.progress.pairs, "seconds": state.progress.seconds}
            log.write(state.progress.step, line | numbers | times, share)
        best = False
        if evaluator and evaluator.due(state.progress.step, settings.progress(done.step, done.pairs), share):
            score, metrics = evaluator.measure()
            best, state.progress = evaluator.early_stopping(state.progress, float(processes.broadcast(score, device)))
            if log is not None:
                log.write(state.progress.step, {"dev": metrics}, share)
        stop = processes.any(stopped(), device)
        late = settings.checkpoint_every == 0 and time.monotonic() - saved > _CHECKPOINT_SECONDS
        wanted = settings.checkpoint_every > 0 and state.progress.step % settings.checkpoint_every == 0
        if log is not None and (stop or late or wanted or best or _finished(settings, state.progress)):
            run.save(_checkpoint(state))
            saved = time.monotonic()
        if stop:
            raise Interrupted(f"stopped after step {state.progress.step}; run the same command again to continue")


def _finished(settings: Settings, progress: Progress) -> bool:
    """Whether the budget is used, or ``patience`` measurements have brought no new best score."""
    return settings.progress(progress.step, progress.pairs) >= 1 or 0 < settings.patience <= progress.waited


def learning_rate(settings: Settings, progress: float) -> float:
    """Return the learning rate at a share of the budget: linear warm-up, then the schedule.

    >>> from panglot.training.settings import Settings
    >>> recipe = Settings(on=("starter:train",), learning_rate=1.0, warmup_ratio=0.5)
    >>> [learning_rate(recipe, share) for share in (0.0, 0.25, 0.5, 0.75)]
    [0.01, 0.5, 1.0, 0.5]
    """
    if progress < settings.warmup_ratio:
        # Not from zero, which would waste the first step.
        return settings.learning_rate * max(progress / settings.warmup_ratio, 0.01)
    rest = (1 - progress) / (1 - settings.warmup_ratio) if settings.warmup_ratio < 1 else 1.0
    factor = {"constant": 1.0, "linear": rest, "cosine": 0.5 - 0.5 * math.cos(math.pi * rest)}[settings.lr_scheduler]
    return settings.learning_rate * factor


def _start_processes() -> tuple[Processes, Any]:
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    expected = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != expected:
        problem = f"{expected} processes were started, but only {state.num_processes} are connected"
        raise PanglotError(problem, hint="start them with `torchrun --nproc-per-node N -m panglot.cli.main train …`")
    return Processes(state.num_processes, state.process_index), state.device


def _optimizer(encoder: TrainableEncoder, settings: Settings) -> Optimizer:
    import torch

    # Biases and the gains of norms are not pulled to zero.
    groups: list[dict[str, Any]] = [
        {"params": [p for p in encoder.trained.values() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in encoder.trained.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _step(state: _State, settings: Settings) -> float:
    """Clip the gradient, step, clear the gradient, and return its norm. No weight changes if the norm is not finite."""
    import torch

    parameters = list(state.encoder.trained.values())
    local = float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
    norm = float(state.gradient.processes.broadcast(local, state.encoder.device))
    torch.nn.utils.clip_grads_with_norm_(parameters, settings.max_grad_norm or math.inf, torch.tensor(norm))
    if math.isfinite(norm):
        state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return norm


def _checkpoint(state: _State) -> Checkpoint:
    import torch

    moments: dict[str, Any] = {
        f"{name}/{key}": value
        for name, parameter in state.encoder.trained.items()
        for key, value in state.optimizer.state.get(parameter, {}).items()
    }
    if state.gradient.memory.size:
        moments[_MEMORY] = torch.from_numpy(state.gradient.memory)
    return Checkpoint(state.progress, state.encoder.state(), moments)


def _restore(state: _State, saved: Checkpoint) -> None:
    state.encoder.load_state(dict(saved.weights))
    for name, parameter in state.encoder.trained.items():
        prefix = f"{name}/"
        moments = {key.removeprefix(prefix): value for key, value in saved.moments.items() if key.startswith(prefix)}
        # The count of steps stays on the processor, where AdamW made it.
        state.optimizer.state[parameter] = {
            key: value if key == "step" else value.to(parameter.device) for key, value in moments.items()
        }
    if _MEMORY in saved.moments:
        state.gradient.memory = saved.moments[_MEMORY].numpy().copy()
    state.progress = saved.progress


def _load_final_weights(
    state: _State, settings: Settings, run: Run, start: dict[str, Any], dev: Collection | None
) -> float:
    """Load the weights that did best on the dev set, and average them with those of the start if asked to.

    Return the share λ of the trained weights in them.
    """
    if state.progress.best is not None:
        state.encoder.load_state(dict(load_checkpoint(run.checkpoint(state.progress.best_step)).weights))
    if not start:
        return 1.0
    states = [start, {name: tensor.clone() for name, tensor in state.encoder.state().items()}]
    share = settings.average
    if settings.suite is not None:
        forms = read_suite(settings.suite).read(settings.data_dir) | ({"held out": dev} if dev is not None else {})
        live = LiveEncoder(state.encoder, settings)

        def measure(share: float) -> dict[str, PerQuestion]:
            state.encoder.load_state(mix(states, [1 - share, share]))
            return measure_forms(live, forms)

        choice = choose_share(measure, progress=lambda line: print(line, file=sys.stderr))
        write_json(settings.output / "average.json", {"share": choice.share, "scoreboard": choice.board})
        if not choice.share:
            raise refusal(settings.suite)
        share = choice.share
    state.encoder.load_state(mix(states, [1 - share, share]))
    return share


def _not_a_number(result: StepResult, state: _State, run: Run) -> PanglotError:
    sources = state.gradient.sources
    batches = "; ".join(
        f"{batch.kind} batch of {sources[batch.source].name}, rows {', '.join(map(str, batch.rows[:8]))}, …"
        for batch in result.batches[:4]
    )
    step = result.batches[0].step + 1
    problem = f"the loss or gradient of step {step} is not a number (loss {result.loss}; {batches})."
    hint = "lower learning_rate, raise temperature, or set precision to fp32, in a new run folder"
    return PanglotError(f"{problem} The last good checkpoint is in {run.checkpoints}", hint=hint)


@contextmanager
def _stop_signals() -> Generator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM end the run after the current step. A second Ctrl-C ends it at once."""
    caught: list[int] = []

    def remember(number: int, _: object) -> None:
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Outside the main thread, signals cannot be handled and are left to the caller.
        before = {}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
