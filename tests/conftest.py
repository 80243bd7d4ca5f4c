"""Fixtures of several test files: the folder of real data, a few facts, a small model, the command line, a browser."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from panglot._environment import cores, free_memory
from panglot.cli.main import main
from panglot.data.collection import Collection, Text
from panglot.training.settings import Settings
from training_facts import DEV_TOPICS, FORMS, LANGUAGES, TOPICS

# A busy machine is slow. Tests that take a fixture with `given` leave nothing in it that another example could see.
hypothesis.settings.register_profile(
    "panglot",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("panglot")

# It is no test, but doctests are looked for in every module.
collect_ignore = [] if importlib.util.find_spec("schemathesis") else ["service/fuzz_hooks.py"]

# Only tests with `data_dir` see real data. In others, a set that happens to be present would change the test.
# The second name hands the folder on to the test processes of pytest-xdist, which start after the first is gone.
CHOSEN = os.environ.pop("PANGLOT_DATA", None) or os.environ.get("PANGLOT_TEST_DATA")
if CHOSEN:
    os.environ["PANGLOT_TEST_DATA"] = CHOSEN


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of few but long tests, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.stem not in ("test_encoders_openvino", "test_examples"))


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes to test in: one more than cores, because many tests wait for a server or a browser.

    More than four, or than have some 5 GiB of free memory each, would not fit into the memory of most machines.
    """
    return max(1, min(cores() + 1, 4, free_memory() // (5 << 30)))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets. Without one, the test is skipped."""
    folder = Path(CHOSEN) if CHOSEN else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data: set PANGLOT_DATA")
    return folder


@pytest.fixture(scope="session")
def facts() -> Collection:
    """Twenty facts in three languages, each passage with a wrong neighbour judged irrelevant (grade 0)."""
    questions = [Text(f"q-{x}-{t}", x, t, FORMS[x][0].format(t)) for t in TOPICS for x in LANGUAGES]
    passages = [Text(f"p-{x}-{t}", x, t, FORMS[x][1].format(t)) for t in TOPICS for x in LANGUAGES]
    judged = [(f"q-{x}-{t}", f"p-{y}-{t}", 1) for t in TOPICS for x in LANGUAGES for y in LANGUAGES]
    judged += [(f"q-{x}-{t}", f"p-{x}-{TOPICS[i - 1]}", 0) for i, t in enumerate(TOPICS) for x in LANGUAGES]
    return Collection.build("facts", questions, passages, judged)


@pytest.fixture(scope="session")
def facts_folder(facts: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, saved."""
    folder = tmp_path_factory.mktemp("data") / "facts"
    facts.save(folder)
    return folder


@pytest.fixture(scope="session")
def dev_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six other facts in the same languages, saved."""
    questions = [Text(f"q-{x}-{t}", x, t, FORMS[x][0].format(t)) for t in DEV_TOPICS for x in LANGUAGES]
    passages = [Text(f"p-{x}-{t}", x, t, FORMS[x][1].format(t)) for t in DEV_TOPICS for x in LANGUAGES]
    judged = [(f"q-{x}-{t}", f"p-{y}-{t}", 1) for t in DEV_TOPICS for x in LANGUAGES for y in LANGUAGES]
    folder = tmp_path_factory.mktemp("data") / "dev-facts"
    Collection.build("dev-facts", questions, passages, judged).save(folder)
    return folder


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers over letters, as a sentence-transformers folder with prompts and dropout."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    letters = "abcdefghijklmnopqrstuvwxyz?.: "
    vocabulary = {piece: row for row, piece in enumerate(["[PAD]", "[UNK]", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary) + 20, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=128, hidden_dropout_prob=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "raw")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder / "raw")
    model = SentenceTransformer(
        modules=[Transformer(str(folder / "raw")), Pooling(32), Normalize()],
        prompts={"query": "query: ", "passage": "passage: "},
        device="cpu",
    )
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture
def succeeds(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must succeed, and return its standard output."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert caught.value.code in {0, None}, printed.err
        return printed.out

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must reject its input, and return the message on one line."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        message = capsys.readouterr().err
        assert caught.value.code == 2, message
        assert "Traceback" not in message
        return " ".join(message.split())

    return run


@pytest.fixture
def same_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Link vectors on one thread. With several, the same vectors give another graph each time, of another recall."""
    from usearch.index import Index

    monkeypatch.setattr(Index, "add", partialmethod(Index.add, threads=1))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from PANGLOT_AXE, the Python package that carries it, or npm."""
    places = [Path(os.environ["PANGLOT_AXE"])] if "PANGLOT_AXE" in os.environ else []
    if (package := importlib.util.find_spec("axe_playwright_python")) is not None:
        places.append(Path(str(package.origin)).with_name("axe.min.js"))
    if npm := shutil.which("npm"):
        root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=False).stdout.strip()
        places.append(Path(root) / "axe-core" / "axe.min.js")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("no axe-core: pip install axe-playwright-python, or name axe.min.js in PANGLOT_AXE")
    return found.read_text("utf-8")


@pytest.fixture(scope="session")
def faults(axe: str) -> Callable[[Any], list[str]]:
    """Return where a page in the browser falls short of level AA of WCAG 2.2, as axe-core sees it."""

    def run(page: Any) -> list[str]:
        page.evaluate(axe)
        # The names of all elements that pass would take a third of the time.
        result = page.evaluate("""async () => {
            const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
            const options = {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]};
            const {passes, violations} = await axe.run(document, options);
            const found = violations.flatMap(v => v.nodes.map(node => `${v.id}: ${node.html.slice(0, 160)}`));
            return {passes: passes.length, found};
        }""")
        assert result["passes"]
        return result["found"]

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium. Without it, the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of one layer over characters of many scripts, with prompts, not normalised."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    blocks = (range(0x20, 0x180), range(0x370, 0x530), range(0x980, 0xA00), range(0x3040, 0x3100))
    letters = [chr(point) for block in blocks for point in block]
    vocabulary = {piece: row for row, piece in enumerate(["[PAD]", "[UNK]", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=256,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "raw")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder / "raw")
    model = SentenceTransformer(
        modules=[Transformer(str(folder / "raw"), max_seq_length=256), Pooling(32)],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture
def recipe(facts_folder: Path, small_model: Path, tmp_path: Path) -> Settings:
    """A run of twelve steps."""
    return Settings(
        model=str(small_model), on=(str(facts_folder),), output=tmp_path / "run", batch_size=8, steps=12, dropout=True,
        precision="fp32", learning_rate=1e-3, checkpoint_every=3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random cross-encoder of one layer over letters, with one score per pair."""
    import torch
    from sentence_transformers import CrossEncoder
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("cross")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz0123456789<>? "]
    tokenizer = Tokenizer(models.WordLevel({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    # With smaller weights, the scores of all pairs are nearly the same.
    config: Any = BertConfig
    config = config(vocab_size=len(pieces), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=128, num_labels=1,
                        initializer_range=0.5)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    assert CrossEncoder(str(folder)).num_labels == 1
    return folder
