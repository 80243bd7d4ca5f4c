"""Sample figures of the shape and size that XQuAD-R gives: eleven languages, four models."""

from __future__ import annotations

import json
import random
from typing import Any

POOL = {
    "ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244,
    "ru": 1219, "th": 852, "tr": 1167, "vi": 1209, "zh": 1196,
}  # fmt: skip

# Monolingual, cross-lingual, multilingual mAP, rank distance, how much the own language is preferred.
KINDS = {
    "bundled": (0.800, 0.640, 0.298, 1214.0, 7.3),
    "runs/mono": (0.807, 0.668, 0.402, 804.0, 5.4),
    "runs/cross": (0.792, 0.703, 0.551, 322.0, 2.6),
    "runs/hybrid": (0.809, 0.708, 0.566, 309.0, 2.4),
}
EASE = {
    "en": 0.05, "de": 0.03, "es": 0.03, "ru": 0.01, "vi": 0.0, "el": -0.01,
    "zh": 0.0, "tr": -0.02, "ar": -0.03, "hi": -0.03, "th": -0.04,
}  # fmt: skip
QUESTIONS = {"ar": "متى ولد توماس إديسون؟", "th": "โทมัส เอดิสัน เกิดเมื่อใด", "en": "When was Thomas Edison born?"}
ANSWERS = [
    ("ar", "ولد توماس إديسون سنة 1847 في ميلان بولاية أوهايو."),
    ("th", "โทมัส เอดิสัน เกิดในปี พ.ศ. 2390 ที่เมืองมิลาน รัฐโอไฮโอ"),
    *((code, "Edison was born in 1847 in Milan, Ohio.") for code in ("en", "de", "es", "ru", "vi", "el", "zh", "tr")),
]  # fmt: skip


def figures(model: str = "bundled", *, seed: int = 0) -> dict[str, Any]:
    """The dictionary of figures of one model on one data set."""
    draw = random.Random(seed)
    mono, cross, multi, distance, own = KINDS[model]
    languages = list(POOL)
    size = sum(POOL.values())
    share = {y: n / size for y, n in POOL.items()}

    def near(value: float, spread: float = 0.01) -> float:
        return round(value + draw.uniform(-spread, spread), 4)

    def extras(value: float) -> dict[str, float]:
        return {
            "mAP": value, "MRR": near(value + 0.02), "R@1": near(value - 0.07),
            "R@10": near(min(0.99, value + 0.11)), "nDCG@10": near(value + 0.03),
        }  # fmt: skip

    def around(values: dict[str, float], width: float = 0.011) -> dict[str, list[float]]:
        return {key: [round(value - width, 4), round(value + width, 4)] for key, value in values.items()}

    matrix = {
        x: {y: near(cross + EASE[x] + EASE[y]) if x != y else near(mono + EASE[x]) for y in languages}
        for x in languages
    }
    language_share: dict[str, dict[str, float]] = {}
    for x in languages:
        weights = {y: share[y] * (near(own, 0.5) if x == y else near(1.0, 0.3)) for y in languages}
        total = sum(weights.values())
        language_share[x] = {y: weight / total for y, weight in weights.items()}
    preference = {x: language_share[x][x] / share[x] for x in languages}
    distances = {
        x: {y: 0.0 if x == y else round(0.22 + 0.25 * abs(EASE[x] - EASE[y]) + 0.01 * own, 3) for y in languages}
        for x in languages
    }
    return {
        "panglot": "0.1.0", "date": "2026-11-23", "seconds": 312.4,
        "command": f"panglot evaluate {model} xquad-r --data-dir data --json scores.json",
        "model": {"name": model, "fingerprint": "1571fc9827503943", "dimension": 384},
        "settings": {
            "candidates": "sentence", "context": False, "draws": 1000, "seed": 0,
            "measures": ["mAP", "MRR", "R@1", "R@10", "nDCG@10"],
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.3.1"},
        "machine": {"cores": 2, "processor": "x86_64"},
        "datasets": {
            "xquad-r": {
                "languages": languages, "questions": 13090, "passages": size, "groups": 1190,
                "candidates": "sentence", "digest": "9f2c61d0a7b3e845", "pool": dict(POOL),
                "monolingual": {
                    **extras(mono), "interval": around(extras(mono)),
                    "by_language": {
                        x: {**extras(near(mono + EASE[x])), "questions": 1190} for x in languages
                    },
                },
                "crosslingual": {
                    **extras(cross), "interval": around(extras(cross), 0.009), "matrix": {"mAP": matrix},
                },
                "multilingual": {
                    **extras(multi),
                    "rank_distance": distance, "rank_distance_share": distance / (size - 1),
                    "pool_size": size, "max_rank": distance + 21.4,
                    "complete@20": near(multi * 0.2), "complete@100": near(multi * 0.9),
                    "PEER@20": near(multi * 0.8), "language_preference_rate": near(0.2 + own / 12),
                    "rank_correlation": near(0.5 + multi / 3),
                    "self_preference@10": sum(preference.values()) / len(preference),
                    "interval": {
                        **around(extras(multi), 0.008),
                        "rank_distance": [distance * 0.94, distance * 1.06],
                        "rank_distance_share": [distance * 0.94 / size, distance * 1.06 / size],
                    },
                    "by_language": {
                        x: {
                            "mAP": near(multi + EASE[x]), "rank_distance": distance * (1 - 3 * EASE[x]),
                            "self_preference@10": preference[x],
                        }
                        for x in languages
                    },
                    "language_share@10": language_share, "pool_share": share,
                },
                "geometry": {
                    "mean_distance": distances,
                    "language_classifier": near(0.99 - (0.566 - multi) / 50, 0.004),
                    "chance": 1 / 11, "translation_cosine": near(0.86 + multi / 12),
                    "random_cosine": near(0.75 - multi / 3),
                },
                "examples": {
                    code: {
                        "query": query,
                        "hits": [
                            {"language": code if place < round(own) else other, "text": text, "relevant": not place}
                            for place, (other, text) in enumerate(ANSWERS)
                        ],
                    }
                    for code, query in QUESTIONS.items()
                },
                "not_measured": [],
                "seconds": {"encode": 308.1, "measure": 4.2},
            }
        },
    }  # fmt: skip


def comparison() -> dict[str, Any]:
    """Four models on one data set, and which leads are real."""
    models = list(KINDS)
    evaluations = {model: figures(model, seed=place) for place, model in enumerate(models)}
    contests: dict[str, Any] = {}
    for name in ("monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance"):
        setting, _, key = name.partition(".")
        parts = {model: evaluations[model]["datasets"]["xquad-r"][setting] for model in models}
        values = {model: part[key] for model, part in parts.items()}
        half = 14.0 if key == "rank_distance" else 0.006
        differences = [
            {
                "a": a, "b": b, "difference": values[a] - values[b],
                "interval": [values[a] - values[b] - half, values[a] - values[b] + half],
                "p": 0.0004 if abs(values[a] - values[b]) > half else 0.31,
                "p_corrected": 0.0024 if abs(values[a] - values[b]) > half else 0.62,
            }
            for place, a in enumerate(models)
            for b in models[place + 1 :]
        ]  # fmt: skip
        contests[f"{setting}.{key}"] = {
            "values": values,
            "intervals": {model: part["interval"][key] for model, part in parts.items()},
            "differences": differences,
            "best": "runs/hybrid" if setting == "multilingual" and key == "mAP" else None,
        }
    return {"models": models, "evaluations": evaluations, "datasets": {"xquad-r": contests}}


def not_parallel() -> dict[str, Any]:
    """An evaluation of a collection without translations: no cross-lingual figures, no rank distance."""
    given = figures()
    part = given["datasets"].pop("xquad-r")
    multilingual = part["multilingual"]
    kept = ("mAP", "MRR", "interval", "by_language", "language_share@10", "pool_share", "pool_size")
    part["multilingual"] = {key: multilingual[key] for key in kept}
    for values in part["multilingual"]["by_language"].values():
        del values["rank_distance"]
    part |= {
        "crosslingual": None,
        "geometry": None,
        "not_measured": [
            {"what": "crosslingual", "why": "no passage in another language answers a question"},
            {"what": "rank_distance", "why": "a question has relevant passages in one language only"},
        ],
    }
    given["datasets"]["tydiqa-goldp"] = part
    return given


def log_lines(model: str = "runs/hybrid", *, steps: int = 240) -> list[dict[str, Any]]:
    """The lines of a run's log: a loss that falls, and the dev collection every forty steps."""
    draw = random.Random(f"log {model}")
    mono, cross, multi, _, _ = KINDS[model]
    start_mono, start_cross, start_multi, _, _ = KINDS["bundled"]
    lines: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        kind = draw.choice(["mono", "cross"])
        loss = 0.25 + (1.1 if kind == "cross" else 0.6) * 0.985**step + draw.uniform(-0.08, 0.08)
        lines.append(
            {
                "step": step, "pairs": 32 * step, "loss": loss, "learning_rate": 2e-5 * (1 - step / steps),
                "kind": kind, "source": "mlqa", "languages": ["en", "de"], "pairs_per_second": 12.1,
                "seconds": step * 2.6,
            }
        )  # fmt: skip
        if step % 40 == 0:
            part = 1 - 0.3 ** (step / 80)
            lines.append(
                {
                    "step": step,
                    "dev": {
                        "monolingual": start_mono + part * (mono - start_mono),
                        "crosslingual": start_cross + part * (cross - start_cross),
                        "multilingual": start_multi + part * (multi - start_multi),
                    },
                }
            )
    return lines


def write_log(path: Any, lines: list[dict[str, Any]], torn: str = "") -> None:
    """Write a log that ends in a truncated line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + torn, encoding="utf-8")


def renamed(comparison: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The comparison with one model renamed everywhere."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {new if key == old else key: walk(part) for key, part in value.items()}
        if isinstance(value, list):
            return [walk(part) for part in value]
        return new if value == old else value

    return walk(comparison)


def diagnosis() -> dict[str, Any]:
    """What a diagnosis of an index in five languages found: `balanced` helps."""
    pool = {"en": 300, "de": 100, "ar": 80, "th": 60, "zh": 60}
    total = sum(pool.values())

    def trial(own: float, *, corrected: bool = False) -> dict[str, Any]:
        shares = {x: {y: own if x == y else (1 - own) / (len(pool) - 1) for y in pool} for x in pool}
        preference = {x: shares[x][x] * total / pool[x] for x in pool}
        within = {"R@1": 0.7, "MRR": 0.8, "by_language": {code: {"MRR": 0.8, "R@1": 0.7} for code in pool}}
        return {
            "self_preference@10": sum(preference.values()) / len(pool), "rank_correlation": 0.5,
            "translation_found@10": 1 - own, "language_share@10": shares,
            "self_preference@10_by_language": preference, "translation_found@10_by_pair": {},
            "pool_share": {code: number / total for code, number in pool.items()},
            "within_language": {**within, "difference": {"MRR": -0.01, "interval": [-0.03, 0.01]}},
            "own_found@10": 0.9, "corrected": corrected,
        }  # fmt: skip

    def hits(own: int) -> list[dict[str, Any]]:
        return [
            {
                "id": str(place),
                "language": "zh" if place < own else code,
                "title": "",
                "text": text,
                "version": not place,
            }
            for place, (code, text) in enumerate(ANSWERS)
        ]

    trials = {"plain": trial(0.8), "centered": trial(0.4), "balanced": trial(0.2), "lsar": trial(0.3, corrected=True)}
    typical = {"kind": "typical", "query": "爱迪生何时出生？", "language": "zh", "before": hits(8), "after": hits(2)}
    return {
        "pool": pool, "queries": 250, "groups": 50, "with_translations": 50, "languages": sorted(pool), "given": False,
        "untranslated": [],
        "not_measured_within": 0, "trials": trials, "not_tried": [], "best": "balanced", "worst": "zh", "fair": True,
        "examples": [
            typical,
            {**typical, "query": QUESTIONS["ar"], "language": "ar"},
            {**typical, "kind": "worse"},
        ],
    }  # fmt: skip
