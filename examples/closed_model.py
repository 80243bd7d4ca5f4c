"""Measure a closed model behind an OpenAI-compatible endpoint in three settings.

python examples/closed_model.py 'https://api.example.com/v1#some-model'

Set the key in PANGLOT_API_KEY or OPENAI_API_KEY. The script sends all texts of the collection to the endpoint.
"""

import sys

import panglot

if len(sys.argv) != 2:
    sys.exit(__doc__)

evaluation = panglot.evaluate(sys.argv[1], "starter:test")
print(evaluation)

figures = evaluation.figures["datasets"]["starter"]
for setting in ("monolingual", "crosslingual", "multilingual"):
    low, high = figures[setting]["interval"]["mAP"]
    print(f"{setting:12} mAP {figures[setting]['mAP']:.3f} [{low:.3f}, {high:.3f}]")
print(f"own language fills {figures['multilingual']['self_preference@10']:.1f} times its share of the first ten")
