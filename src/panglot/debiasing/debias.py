"""Make a debiased model's folder, which plain sentence-transformers opens too, from a model and unlabelled text."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panglot._environment import __version__
from panglot._errors import PanglotError
from panglot._files import atomic_folder, shareable, write_json, write_text
from panglot.data.collection import Collection
from panglot.data.language import canonical_codes
from panglot.data.transform import check_languages
from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import find, is_known, read, refuse_test_set, set_name
from panglot.debiasing.correction import BY_LANGUAGE, HEAD, MODEL, SIDES, Debiasing, Method, files_in, save
from panglot.debiasing.fit import Groups, Sample, check, fit, pivot_of, spread
from panglot.encoders.cache import cached
from panglot.encoders.load import load
from panglot.encoders.model_folders import make_portable, origin_of, refuse_existing
from panglot.encoders.model_folders import metadata as card_metadata
from panglot.encoders.open_model import folder_digest, model_files, prompt_of
from panglot.encoders.protocol import Encoder, Side
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

BROAD = ("starter:train", "ntrex-128:train@passage", "libreoffice-help:train")
"""What is fitted on by default, as far as it is there: questions and facts, sentences and news, titles and help pages.

The first comes with panglot."""

# Per side and language.
_TEXTS = 200
_HELD_OUT = "starter:dev"
_FEW_TEXTS = 50  # Of text that is only measured.
_Row = tuple[str, str]  # A group and one of its texts.

_DENSE = "debiasing"
_OURS = "panglot.debiasing.module"
_THEIRS = "sentence_transformers.models"
_NORMALIZE = f"{_THEIRS}.Normalize"


def debias(
    model: str | Path, on: str | Path | Collection | Sequence[str | Path | Collection] | None, method: Method,
    output: str | Path, *, strength: float = 1.0, whiten: float | None = None, rank: int | None = None,
    languages: Sequence[str] | None = None, texts: int = _TEXTS, pivot: str | None = None, seed: int = 0,
    data_dir: str | Path | None = None, progress: Callable[[str], None] | None = None,
) -> Path:  # fmt: skip
    """Fit a correction of a model's language bias, without training, and return the folder of both.

    ``panglot.debias("bundled", on="libreoffice-help", method="center", output="runs/centered")``

    Only the languages of the texts are used (for ``shift`` and ``whiten``, also which texts are translations). Which
    passage answers a question is never used, and test sets are refused. :func:`panglot.load` and
    ``SentenceTransformer`` open the folder, as its ``README.md`` explains.

    Args:
        model: ``bundled``, ``panglot-small``, a sentence-transformers folder or a hub name.
        on: Text to fit on: data sets as ``NAME[:PART][@CANDIDATES]``, paths or collections. None: those of
            :data:`BROAD` that are there.
        method: ``center``, ``shift``, ``lir``, ``lsar`` or ``leace``. See :mod:`panglot.debiasing.fit`.
        output: The folder to write. It must not exist yet.
        strength: The share of the correction to apply, from 0 to 1.
        whiten: Whiten what the method leaves, within groups of translations, with this shrinkage from 0 to 1. None: do
            not whiten. With ``strength`` 0, nothing else is done.
        rank: The number of directions to remove, for ``lir`` (default 1) and ``lsar`` (default: one fewer than
            languages).
        languages: The languages to fit on. By default all of the text.
        texts: The most texts to encode per side and language.
        pivot: For ``shift``, the language whose vectors do not change. By default English.
        seed: The seed of the sample of texts.
        data_dir: The folder of the data sets.
        progress: Called with a line of text before each long step.

    Raises:
        PanglotError: The model, the text or a setting is wrong, or the folder cannot be written.
    """
    output = Path(output)
    refuse_existing(output)
    if texts < 1:
        raise PanglotError(f"`texts` must be at least 1, got {texts}", field="texts", hint="give some hundreds")
    if on is None:
        on = [name for name in BROAD if find(CARDS[set_name(name)], data_dir) is not None]
    sources = [on] if isinstance(on, str | Path) or not isinstance(on, Sequence) else list(on)
    collections = open_sets(sources, data_dir=data_dir, languages=languages)
    if method == "shift":
        passages = {code for collection in collections for code in collection.passages["language"].to_pylist()}
        pivot = pivot_of({"passage": passages}, pivot)
    elif pivot is not None:
        raise PanglotError(f"{method} has no pivot", field="pivot", hint="leave it out, or use shift")
    drawn = sample(collections, texts, seed, pivot=pivot)
    groups: Groups = {side: {code: each.groups for code, each in found.items()} for side, found in drawn.items()}
    # Settings that cannot work are refused before the model is opened and texts are encoded.
    check(groups, method, rank=rank, pivot=pivot, strength=strength, whiten=whiten)
    counts = {side: {code: len(each) for code, each in found.items()} for side, found in groups.items()}
    encoder = _open(model)
    _modules_of(encoder.folder, method, by_language=method in BY_LANGUAGE and strength > 0)
    if progress is not None:
        total = sum(n for found in counts.values() for n in found.values())
        codes = {code for found in counts.values() for code in found}
        progress(f"{encoder.name}: {total:,} texts in {len(codes)} languages")
    samples = _encode(cached(encoder), drawn)
    debiasing = fit(samples, method, rank=rank, pivot=pivot, strength=strength, whiten=whiten)
    metadata: dict[str, Any] = {
        "panglot": __version__, "model": {"name": encoder.name},
        "prompts": {side: prompt_of(encoder.model, side) for side in SIDES},
        "on": [{"name": each.name, "digest": each.digest, "licence": each.metadata.get("licence", ""),
                "source": each.metadata.get("source", "")}
               for each in collections],
        "texts": counts, "pivot": pivot, "seed": seed,
        "distance_between_languages": {"before": spread(samples), "after": spread(samples, debiasing)},
        "on_other_text": {
            name: {"before": spread(other), "after": spread(other, debiasing)}
            for name, other in _other_text(cached(encoder), collections, debiasing.languages, data_dir)
        },
    }  # fmt: skip
    _write(output, encoder.folder, debiasing, metadata)
    return output


@dataclass(frozen=True)
class Texts:
    """Distinct texts of one side and language, and the group of each, which translations share."""

    texts: tuple[str, ...]
    groups: tuple[str, ...]


def open_sets(
    names: Sequence[str | Path | Collection], *, data_dir: str | Path | None = None,
    languages: Sequence[str] | None = None,
) -> list[Collection]:  # fmt: skip
    """Return collections to fit on, from ``NAME[:PART][@CANDIDATES]``, paths or collections. Refuse test sets."""
    found: list[Collection] = []
    wanted = canonical_codes(languages)
    for name in names:
        if isinstance(name, Collection):
            collection = name.select(wanted) if wanted else name
        else:
            text, _, candidates = (str(name), "", "") if is_known(str(name)) else str(name).partition("@")
            collection = read(text, data_dir=data_dir, candidates=candidates or None, languages=wanted or None)
        hint = "fit on another data set, such as mlqa, libreoffice-help or starter:train"
        refuse_test_set(collection.name, collection, "fitting on it", hint, "on")
        found.append(collection)
    if not found:
        hint = "name a data set that `panglot data list` shows"
        raise PanglotError("there is no text to fit on", field="on", hint=hint)
    check_languages(found, wanted)
    return found


def sample(
    collections: Sequence[Collection], most: int, seed: int, *, pivot: str | None = None
) -> dict[Side, dict[str, Texts]]:
    """Draw up to ``most`` distinct texts of each side and language.

    Groups are drawn in one random order for all languages, so that all languages of a parallel data set get the same
    content. Collections take turns, so that a large one does not crowd out the others. With ``pivot``, only passages
    are drawn, of groups that this language is in.
    """
    found: dict[Side, dict[str, Texts]] = {}
    for side in SIDES if pivot is None else SIDES[1:]:
        rows = _rows(collections, side)
        if pivot is not None:
            parallel = {group for group, _ in rows.get(pivot, ())}
            rows = {code: [row for row in each if row[0] in parallel] for code, each in rows.items()}
        # Sorted, so that the order depends on seed and content only, not on the order of rows.
        groups = sorted({group for each in rows.values() for group, _ in each})
        order = dict(zip(groups, np.random.default_rng(seed).permutation(len(groups)).tolist(), strict=True))
        turns: Counter[int] = Counter()
        for group in sorted(groups, key=order.__getitem__):
            number = int(group.partition(":")[0])
            order[group] = turns[number] * len(collections) + number
            turns[number] += 1
        found[side] = {code: _draw(each, order, most) for code, each in sorted(rows.items())}
    return found


def _rows(collections: Sequence[Collection], side: Side) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    for number, collection in enumerate(collections):
        table = collection.questions if side == "question" else collection.passages
        columns = (table[name].to_pylist() for name in ("language", "group", "id", "text"))
        for code, group, identity, text in zip(*columns, strict=True):
            found.setdefault(code, []).append((f"{number}:{group or identity}", text))
    return found


def _draw(rows: Sequence[_Row], order: dict[str, int], most: int) -> Texts:
    # Texts that are equal in several groups would weigh more than others.
    drawn: dict[str, str] = {}
    for group, text in sorted(rows, key=lambda row: order[row[0]]):
        drawn.setdefault(text, group)
    return Texts(tuple(drawn)[:most], tuple(drawn.values())[:most])


def _encode(encoder: Encoder, drawn: Mapping[Side, Mapping[str, Texts]]) -> dict[Side, dict[str, Sample]]:
    """Return the vectors of texts by side and language."""
    samples: dict[Side, dict[str, Sample]] = {}
    for side, by_language in drawn.items():
        vectors = encoder.encode([text for each in by_language.values() for text in each.texts], side)
        ends = np.cumsum([len(each.texts) for each in by_language.values()])
        parts = np.split(vectors, ends[:-1])
        samples[side] = {
            code: Sample(part, each.groups) for (code, each), part in zip(by_language.items(), parts, strict=True)
        }
    return samples


def _other_text(
    encoder: Encoder, fitted: Sequence[Collection], languages: Sequence[str], data_dir: str | Path | None
) -> Iterator[tuple[str, dict[Side, dict[str, Sample]]]]:
    """Yield names and samples of held-out facts and of known sets that were not fitted on, in the fitted languages."""
    names = {each.name for each in fitted}
    sets = {set_name(name) for name in names}
    for name in (_HELD_OUT, *BROAD[1:]):
        card = CARDS[set_name(name)]
        codes = [code for code in languages if code in card.languages]
        known = names & {_HELD_OUT, "starter:all"} if name == _HELD_OUT else card.name in sets
        if known or len(codes) < 2 or find(card, data_dir) is None:
            continue
        drawn = sample(open_sets([name], data_dir=data_dir, languages=codes), _FEW_TEXTS, 0)
        yield name, _encode(encoder, drawn)


def _open(model: str | Path) -> SentenceTransformerEncoder:
    if files_in(Path(model).expanduser())[0].is_file():
        hint = f"name the model inside, {Path(model) / MODEL}"
        raise PanglotError("this model is debiased already", file=model, hint=hint)
    encoder = load(model)
    if not isinstance(encoder, SentenceTransformerEncoder):
        problem = f"{encoder.name} has no files to copy into a debiased model's folder"
        hint = "name a folder or a hub model. In Python, panglot.debiasing.correction.Debiased wraps any encoder"
        raise PanglotError(problem, field="model", hint=hint)
    return encoder


def _write(output: Path, base: Path, debiasing: Debiasing, metadata: Mapping[str, Any]) -> None:
    """Write a folder with the model of the folder ``base`` and its debiasing.

    Files of the model are hard links if the file system allows them.
    """
    refuse_existing(output)  # Fitting takes minutes.
    modules = _modules_of(base, debiasing.method, by_language=debiasing.needs_language)
    with atomic_folder(output) as part:
        for path in model_files(base):
            target = part / MODEL / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Files of the hub's cache are symbolic links. The hard link must be to the file behind them.
            try:
                os.link(path.resolve(), target)
            except OSError:  # Another device, or a file system without links.
                shutil.copyfile(path, target)
        make_portable(part / MODEL)
        if not debiasing.needs_language:
            _write_dense(part / _DENSE, debiasing)
        model = {**metadata["model"], "digest": folder_digest(part / MODEL)}
        # The digest of the model shows later whether somebody has replaced it under its debiasing.
        save(debiasing, part, {**metadata, "model": model})
        metadata = {**metadata, "model": {**metadata["model"], "name": shareable(metadata["model"]["name"])}}
        settings = base / "config_sentence_transformers.json"
        if settings.is_file():
            shutil.copyfile(settings, part / settings.name)
        write_json(part / "modules.json", modules)
        write_text(part / "README.md", _card(output, base, debiasing, metadata))


def _modules_of(base: Path, method: str, *, by_language: bool) -> list[dict[str, Any]]:
    """Return the ``modules.json`` of the model in ``base`` with the debiasing at its end.

    An affine map for all languages is a linear layer, for which sentence-transformers has a module. If the debiasing
    is ``by_language``, the first module is replaced by one of panglot, which passes the text on to panglot's last
    module. Models with modules of their own, or that then do not begin with a transformer, are refused.
    """
    file = base / "modules.json"
    hint = "save the model with SentenceTransformer(…).save_pretrained, or choose another model"
    try:
        entries: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
        kinds = [str(module["type"]) for module in entries]
        # The first module often has an empty path, which is the model's folder itself.
        found = [{**module, "path": "/".join(filter(None, (MODEL, str(module["path"]))))} for module in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the list of modules cannot be read: {error}", file=file, hint=hint) from error
    if not found or any(not kind.startswith("sentence_transformers.") for kind in kinds):
        raise PanglotError("only models with sentence-transformers' own modules are debiased", file=file, hint=hint)
    if not by_language:
        more = [(_DENSE, f"{_THEIRS}.Dense"), ("normalize", _NORMALIZE)]
        # The layer may have a bias, which is fitted on vectors of unit length.
        if not kinds[-1].endswith(".Normalize"):
            more.insert(0, ("unit", _NORMALIZE))
        return [*found, *(_module(number, *each) for number, each in enumerate(more, len(found)))]
    if not kinds[0].endswith(".Transformer"):
        problem = f"the first module must be a Transformer for {method}, got {kinds[0].rpartition('.')[2]}"
        raise PanglotError(problem, file=file, hint="use lsar or leace, or a transformer")
    first = {**found[0], "type": f"{_OURS}.TextTransformer"}
    return [first, *found[1:], _module(len(found), "", f"{_OURS}.DebiasingModule")]


def _module(number: int, path: str, kind: str) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": path, "type": kind}


def _write_dense(folder: Path, debiasing: Debiasing) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    weight, bias = debiasing.affine()
    arrays = {"linear.weight": weight} if bias is None else {"linear.weight": weight, "linear.bias": bias}
    floats = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    save_file(floats, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    size = {"in_features": debiasing.dimension, "out_features": debiasing.dimension}
    identity = "torch.nn.modules.linear.Identity"
    write_json(folder / "config.json", {**size, "bias": bias is not None, "activation_function": identity})


def _card(output: Path, base: Path, debiasing: Debiasing, metadata: Mapping[str, Any]) -> str:
    trust = ", trust_remote_code=True" if debiasing.needs_language else ""
    needs = (
        "Plain sentence-transformers needs panglot installed and `trust_remote_code=True`, which allows it to import"
        " two modules of panglot. This folder holds no code. Languages are detected, or given for a whole call:"
        f' `encode_query(texts, language="{debiasing.languages[0]}")`. Without panglot, open the folder `{MODEL}` for'
        " the model as it was."
        if debiasing.needs_language
        else "Plain sentence-transformers opens this folder without panglot."
    )
    sets = ", ".join(f"{each['name']} ({each['licence'] or 'licence not stated'})" for each in metadata.get("on", ()))
    method = f"`{debiasing.method}`" + (f" at strength {debiasing.strength:g}" if debiasing.strength < 1 else "")
    if debiasing.whiten is not None:
        method += f" and whitening within translations (shrinkage {debiasing.whiten:g})"
    origin = origin_of(metadata["model"]["name"], base)
    known = [(str(each["name"]), {"source": str(each.get("source", ""))}) for each in metadata.get("on", ())]
    return f"""---
{card_metadata(output.name, origin, debiasing.languages, known)}
---

# {output.name}

`{metadata["model"]["name"]}` with its language bias reduced by {method}, without training, fitted by
[panglot](https://github.com/panglot/panglot) on {sets or "unlabelled text"}. `{HEAD}` has the settings.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{output.name}"{trust})  # the path of this folder
questions = model.encode_query(["Where does the river end?"])
```

{needs}
"""
