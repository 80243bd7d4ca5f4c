"""The training loop."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.batching.table import TrainingTable
from panglot.encoders.open_model import open_model
from panglot.training import checkpoint, data
from panglot.training import run as save
from panglot.training.checkpoint import Checkpoint, Progress
from panglot.training.dev import DevEvaluator
from panglot.training.encoder import TrainableEncoder
from panglot.training.gradient import Processes
from panglot.training.log import Log
from panglot.training.run import Run
from panglot.training.update import StepResult, Update, plan_of

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from panglot.training.settings import Settings

ONE_PAIR = ("mono", "english", "cross-pair")
_CHECKPOINT_SECONDS = 60.0
_MEMORY = "mixing/memory"


class Interrupted(Exception):  # noqa: N818  (not an error: the run can go on)
    """The run was asked to stop; its state is saved, and the same command takes it up again."""


@dataclass
class _State:
    """What changes from step to step."""

    trainee: TrainableEncoder
    optimizer: Optimizer
    update: Update
    progress: Progress


def train(settings: Settings, *, show: bool | None = None) -> Path:
    """Train and return the run folder, by then a sentence-transformers folder.

    A run that was interrupted or killed goes on where its last checkpoint stands, and ends with the same weights; a
    run that is finished is left as it is. Under ``torchrun`` or ``accelerate launch`` all processes share each batch.

    Args:
        settings: The recipe.
        show: Whether to show progress on standard error; by default on the first process.

    Raises:
        PanglotError: Settings, data, model or run folder are wrong, or the loss is no longer a number.
        Interrupted: By Ctrl-C or a termination signal, after a checkpoint was written.
    """
    processes, device = _start_processes()
    first = processes.rank == 0
    run = Run(settings)
    settings = run.settings
    if run.finished():
        return settings.output
    training_data = data.load(settings, run.compared)
    plan = plan_of(settings, training_data.sources)
    if first:
        run.begin(training_data, processes.count)
        for warning in training_data.warnings:
            sys.stderr.write(f"note: {warning}\n")
    trainee = TrainableEncoder(open_model(settings.model, device)[0], settings, device)
    tokenized = data.Collator(training_data, trainee, settings.hard_negatives, settings.seed)
    if settings.embeddings == "trimmed":
        trainee.trim(
            tokens for side, texts in training_data.used_texts().items() for tokens in trainee.tokenize(texts, side)
        )
    start = {name: tensor.clone() for name, tensor in trainee.state().items()} if settings.average < 1 else {}
    update = Update(settings, plan, tokenized, trainee, processes)
    state = _State(trainee, _optimizer(trainee, settings), update, Progress())
    if (kept := checkpoint.newest(run.checkpoints)) is not None:
        _restore(state, kept)
    _same_step(state.progress.step, processes, device)
    watch = DevEvaluator(training_data.dev, settings, trainee) if training_data.dev else None

    shown = first if show is None else show
    log = Log(settings.output, state.progress.step, tensorboard=settings.tensorboard, show=shown) if first else None
    if log is not None and (left_out := [each for each in training_data.left_out if each["groups"]]):
        log.note({"left_out": left_out})
    with log or nullcontext(), _stop_signals() as stopped:
        _steps(state, settings, processes, run, log, watch, stopped)
    if first:
        _finish(state, settings, run, start, watch, training_data)
    return settings.output


def _steps(
    state: _State,
    settings: Settings,
    processes: Processes,
    run: Run,
    log: Log | None,
    watch: DevEvaluator | None,
    stopped: Callable[[], bool],
) -> None:
    saved = time.monotonic()
    while settings.progress(state.progress.step, state.progress.pairs) < 1:
        began = time.monotonic()
        done = state.progress
        rate = learning_rate(settings, settings.progress(done.step, done.pairs))
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        outcome = state.update(done.step)
        norm = _step(state, settings)
        if _any(not (math.isfinite(outcome.loss) and math.isfinite(norm)), processes, state.trainee.device):
            raise _not_a_number(outcome, state.update.sources, run)
        spent = time.monotonic() - began
        state.progress = replace(
            done, step=done.step + 1, pairs=done.pairs + outcome.pairs, seconds=done.seconds + spent
        )
        share = settings.progress(state.progress.step, state.progress.pairs)
        if log is not None:
            line = _line(outcome, settings, state.update.sources)
            numbers = {"gradient_norm": norm, "learning_rate": rate, "pairs_per_second": outcome.pairs / spent}
            times = {"pairs": state.progress.pairs, "seconds": state.progress.seconds}
            log.write(state.progress.step, line | numbers | times, share)
        best = False
        if watch is not None and watch.due(state.progress.step, settings.progress(done.step, done.pairs), share):
            score, figures = watch.measure()
            score = float(processes.agree(score, state.trainee.device))
            best, state.progress = watch.judge(state.progress, score)
            if log is not None:
                log.write(state.progress.step, {"dev": figures}, share)
        stop = _any(stopped(), processes, state.trainee.device)
        late = settings.checkpoint_every == 0 and time.monotonic() - saved > _CHECKPOINT_SECONDS
        asked = settings.checkpoint_every > 0 and state.progress.step % settings.checkpoint_every == 0
        if log is not None and (stop or late or asked or best or share >= 1):
            checkpoint.save(_checkpoint(state), checkpoint.place(run.checkpoints, state.progress.step))
            checkpoint.prune(run.checkpoints, state.progress.best_step)
            saved = time.monotonic()
        if stop:
            raise Interrupted(f"stopped after step {state.progress.step}; the same command goes on from there")
        if settings.patience and state.progress.waited >= settings.patience:
            break


def learning_rate(settings: Settings, progress: float) -> float:
    """Return the learning rate at a share of the budget: linear warm-up, then the decay.

    >>> from panglot.training.settings import Settings
    >>> recipe = Settings(on=("starter:train",), learning_rate=1.0, warmup_ratio=0.5)
    >>> [learning_rate(recipe, share) for share in (0.0, 0.25, 0.5, 0.75)]
    [0.01, 0.5, 1.0, 0.5]
    """
    if progress < settings.warmup_ratio:
        # Not from zero: the first step would be wasted.
        return settings.learning_rate * max(progress / settings.warmup_ratio, 0.01)
    rest = (1 - progress) / (1 - settings.warmup_ratio) if settings.warmup_ratio < 1 else 1.0
    factor = {"constant": 1.0, "linear": rest, "cosine": 0.5 - 0.5 * math.cos(math.pi * rest)}[settings.lr_scheduler]
    return settings.learning_rate * factor


def _start_processes() -> tuple[Processes, Any]:
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != wanted:
        raise PanglotError(
            f"{wanted} processes were started, and {state.num_processes} found each other",
            hint="start them by `torchrun --nproc-per-node N -m panglot.cli.main train …`",
        )
    return Processes(state.num_processes, state.process_index), state.device


def _optimizer(trainee: TrainableEncoder, settings: Settings) -> Optimizer:
    import torch

    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in trainee.trained.values() if p.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [p for p in trainee.trained.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _step(state: _State, settings: Settings) -> float:
    """Clip, step, clear; return the norm of the gradient. Nothing moves if it is not finite."""
    import torch

    parameters = list(state.trainee.trained.values())
    local = float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
    norm = float(state.update.processes.agree(local, state.trainee.device))
    torch.nn.utils.clip_grads_with_norm_(parameters, settings.max_grad_norm or math.inf, torch.tensor(norm))
    if math.isfinite(norm):
        state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return norm


def _checkpoint(state: _State) -> Checkpoint:
    import torch

    moments: dict[str, Any] = {}
    for name, parameter in state.trainee.trained.items():
        for key, value in state.optimizer.state.get(parameter, {}).items():
            moments[f"{name}/{key}"] = value
    if state.update.memory.size:
        moments[_MEMORY] = torch.from_numpy(state.update.memory)
    return Checkpoint(state.progress, state.trainee.state(), moments)


def _restore(state: _State, kept: Checkpoint) -> None:
    state.trainee.load_state(dict(kept.weights))
    for name, parameter in state.trainee.trained.items():
        prefix = f"{name}/"
        state.optimizer.state[parameter] = {
            key.removeprefix(prefix): value.to(parameter.device) if not key.endswith("/step") else value
            for key, value in kept.moments.items()
            if key.startswith(prefix)
        }
    if _MEMORY in kept.moments:
        state.update.memory = kept.moments[_MEMORY].numpy().copy()
    state.progress = kept.progress


def _finish(
    state: _State,
    settings: Settings,
    run: Run,
    start: dict[str, Any],
    watch: DevEvaluator | None,
    training_data: data.TrainingData,
) -> None:
    if watch is not None and state.progress.best is not None:
        best = checkpoint.load(checkpoint.place(run.checkpoints, state.progress.best_step))
        state.trainee.load_state(dict(best.weights))
    if start:
        mixed = {
            name: settings.average * tensor + (1 - settings.average) * start[name]
            for name, tensor in state.trainee.state().items()
        }
        state.trainee.load_state(mixed)
    save.finish(state.trainee.merged(), settings, training_data, state.progress)


def _line(outcome: StepResult, settings: Settings, sources: Sequence[TrainingTable]) -> dict[str, Any]:
    met: dict[str, set[str]] = {}
    for batch in outcome.batches:
        codes = sources[batch.source].languages
        numbers = {i for side in (batch.question_languages, batch.passage_languages) for i in set(side)}
        met.setdefault(batch.kind, set()).update(codes[i] for i in numbers)
    languages = set[str]().union(*met.values())
    first = outcome.batches[0]
    codes = sources[first.source].languages
    return {
        "loss": outcome.loss,
        "kind": first.kind if settings.mixing == "none" else settings.mixing,
        "source": " + ".join(sorted({sources[batch.source].name for batch in outcome.batches})),
        "languages": [codes[first.question_languages[0]], codes[first.passage_languages[0]]]
        if settings.mixing == "none" and first.kind in ONE_PAIR
        else sorted(languages),
        "met": {kind: sorted(codes) for kind, codes in met.items()},
        **outcome.told,
    }


def _not_a_number(outcome: StepResult, sources: Sequence[TrainingTable], run: Run) -> PanglotError:
    told = "; ".join(
        f"{batch.kind} batch of {sources[batch.source].name}, rows {', '.join(str(row) for row in batch.rows[:8])}, …"
        for batch in outcome.batches[:4]
    )
    return PanglotError(
        f"loss or gradient of step {outcome.batches[0].step + 1} is not a number (loss {outcome.loss}; {told}); the"
        f" last good checkpoint is kept in {run.checkpoints}",
        hint="lower learning_rate, raise temperature, or set precision to fp32, in a new run folder",
    )


def _any(yes: bool, processes: Processes, device: Any) -> bool:
    """Whether any process says yes."""
    import torch

    if processes.count == 1:
        return yes
    flag = torch.tensor([float(yes)], device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def _same_step(step: int, processes: Processes, device: Any) -> None:
    """Check that all processes go on from one checkpoint.

    Raises:
        PanglotError: They do not.
    """
    import torch

    if processes.count == 1:
        return
    ends = torch.tensor([step, -step], device=device)
    torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
    if int(ends[0]) != -int(ends[1]):
        raise PanglotError(
            f"processes go on from different steps, {-int(ends[1])} and {int(ends[0])}",
            field="output",
            hint="give all machines one shared run folder",
        )


@contextmanager
def _stop_signals() -> Generator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM end the run after the step at hand; a second Ctrl-C ends it at once."""
    caught: list[int] = []

    def remember(number: int, _: object) -> None:
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller's signals are the caller's
        before = {}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
