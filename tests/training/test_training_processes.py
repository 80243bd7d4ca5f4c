"""Runs of two processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import in_two_processes, same, weights

from panglot.training.loop import fit
from panglot.training.settings import Settings

_TWO = """
import json, sys
from pathlib import Path
import torch
from panglot.training import aggregation, loop
from panglot.training.selection import DevEvaluator
from panglot.training.settings import Settings

rank = int(__import__("os").environ["RANK"])
gramian_of, total_norm, scores = aggregation.gramian_of, torch.nn.utils.get_total_norm, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
odds = [[9.0, -3.0], [-3.0, 9.0]] if rank else [[1.0, 1.0], [1.0, 1.0]]
# The second process finds gradients at odds, a larger norm, and a model that gets better and better.
aggregation.gramian_of = lambda held: gramian_of(held) * odds
torch.nn.utils.get_total_norm = lambda gradients: total_norm(gradients) * (1 + rank)
DevEvaluator.measure = lambda watch: (scores.pop() if rank else scores.pop(0), {})
ends, finish = {}, loop._steps
def noting(state, *rest):
    finish(state, *rest)
    ends.update({name: tensor.clone() for name, tensor in state.encoder.state().items()})
    ends["step"] = torch.tensor(state.progress.step)
loop._steps = noting
loop.fit(Settings.read(sys.argv[1], output=sys.argv[2]), progress=False)
from safetensors.torch import save_file
save_file(ends, sys.argv[2] + f".rank{rank}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_train_what_one_does(recipe: Settings, tmp_path: Path) -> None:
    settings = replace(recipe, dropout=False, steps=6, checkpoint_every=0)
    fit(settings, progress=False)
    script = tmp_path / "two.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\nimport torch\n"
        "from panglot.batching import Plan\n"
        "from panglot.training import loop\nfrom panglot.training.settings import Settings\n"
        "settings = Settings.read(sys.argv[1], output=sys.argv[2])\n"
        "from panglot.training import gradient\nmet = []\nreal = gradient.backward\n"
        "def noting(encoder, example, settings, processes, seed, **options):\n"
        "    assert processes.count == 2\n"
        "    met.append([list(map(list, example.questions)), list(map(list, example.passages))])\n"
        "    return real(encoder, example, settings, processes, seed, **options)\n"
        "gradient.backward = noting\nloop.fit(settings, progress=False)\n"
        "rank = torch.distributed.get_rank()\n"
        "Path(sys.argv[2] + f'.rank{rank}.json').write_text(json.dumps(met))\n"
    )
    (tmp_path / "recipe.toml").write_text(settings.to_toml())
    two = tmp_path / "two"
    in_two_processes(script, tmp_path / "recipe.toml", two)
    for name, tensor in weights(two).items():
        torch.testing.assert_close(tensor, weights(settings.output)[name], atol=1e-5, rtol=0)
    losses = [
        [json.loads(line)["loss"] for line in (o / "log.jsonl").read_text().splitlines()]
        for o in (settings.output, two)
    ]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)
    ranks = [json.loads(Path(f"{two}.rank{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0] == ranks[1]


@pytest.mark.slow
def test_two_processes_decide_as_the_first_one_does(recipe: Settings, dev_folder: Path, tmp_path: Path) -> None:
    settings = replace(
        recipe,
        mixing="pcgrad",
        dropout=False,
        steps=20,
        max_grad_norm=0.1,
        dev=str(dev_folder),
        eval_every=2,
        patience=2,
    )
    (tmp_path / "two.py").write_text(_TWO)
    (tmp_path / "recipe.toml").write_text(settings.to_toml())
    in_two_processes(tmp_path / "two.py", tmp_path / "recipe.toml", tmp_path / "two")
    first, second = (load_file(f"{tmp_path / 'two'}.rank{rank}.safetensors") for rank in (0, 1))
    assert first["step"] == 6  # the best at 2, two measurements without a better one
    assert same(first, second)
