"""The page of languages: its content, and that it covers all languages."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer, models, pre_tokenizers

from panglot._errors import PanglotError
from panglot.cli.languages import languages_command, profiles
from panglot.data.language import canonical, script_of
from panglot.data.letters import commonest_script, is_right_to_left
from panglot.datasets.catalog import CARDS, facts, family, known_languages
from panglot.datasets.translations import SETS, parallel_texts
from panglot.encoders.tokenizers import Counter, open_counter
from panglot.report.languages_page import languages_to_markdown

PAGE = Path(__file__).parents[2] / "docs" / "languages.md"


class Engine:
    """An engine with one direction of translation."""

    name, batch_size = "one-way", 1

    def serves(self, source: str, target: str) -> bool:
        return (source, target) == ("en", "sw")

    def targets(self, source: str) -> tuple[str, ...]:
        return ("sw",) if source == "en" else ()

    def version(self, source: str, target: str) -> str:  # noqa: ARG002
        return "1"

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:  # noqa: ARG002
        return list(sentences)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of Latin letters, one token each."""
    folder = tmp_path_factory.mktemp("model")
    letters = {piece: row for row, piece in enumerate(["[UNK]", *"abcdefghijklmnopqrstuvwxyz."])}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(r"", "isolated")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a small NTREX, Tatoeba and lexicon in their publishers' layouts."""
    for name in ("ntrex-128", "tatoeba-112", "lexicons"):
        (tmp_path / name).mkdir()
    ntrex = {"doc": ["d", "d"], "line": [1, 2], "eng": ["ab", "cd"], "swh": ["abcd", "ab"], "tha": ["ไทย", ""]}
    pq.write_table(pa.table(ntrex), tmp_path / "ntrex-128" / "ntrex-128.parquet")
    pairs = {"lang": ["swh", "kzj"], "eng": ["a", "ab"], "text": ["z", "a b"]}
    pq.write_table(pa.table(pairs), tmp_path / "tatoeba-112" / "tatoeba-112.parquet")
    words = {"lang": ["swh", "swh", "alz"], "en": ["lake", "fish", "lake"], "target": ["ziwa", "samaki", "nam"]}
    pq.write_table(pa.table(words), tmp_path / "lexicons" / "gatitos.parquet")
    return tmp_path


def test_each_language_is_measured_on_the_first_set_that_has_it(data: Path, model: Path) -> None:
    found = profiles(["swh", "tha", "kzj", "alz"], model=str(model), data_dir=data, engines=[Engine()])
    by_code = {each["code"]: each for each in found["languages"]}
    assert list(by_code) == ["alz", "dtp", "sw", "th"]
    assert by_code["sw"]["tokens"] == {
        "on": "ntrex-128",
        "sentences": 2,
        "premium": 1.5,
        "per_word": 3.0,
        "unknown": 0.0,
    }
    # The empty cell is not a sentence. Thai has no spaces, and the tokenizer knows none of its letters.
    thai = by_code["th"]["tokens"]
    assert (thai["sentences"], thai["per_word"], thai["unknown"]) == (1, None, 1.0)
    assert by_code["alz"]["tokens"] is None
    assert by_code["alz"]["lexicons"] == {"gatitos": 1}
    assert by_code["alz"]["script"] == "Latn"  # by its lexicon, because CLDR does not have it
    assert by_code["sw"]["routes"] == {"into": "en → sw (one-way)", "out": None}
    assert (found["measured_on"], found["lexicons"], found["engines"]) == (
        ["ntrex-128", "tatoeba-112"],
        ["gatitos"],
        ["one-way"],
    )
    # kzj is dtp today, and its pairs are those of dtp-x-kzj.
    assert {code for code, _ in parallel_texts("tatoeba-112", data)} == {"sw", "dtp-x-kzj"}


def test_the_command_writes_json_and_the_page(data: Path, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "languages.md"
    told = ["sw", "zh-TW", "--model", str(model), "--data-dir", str(data), "--markdown", str(page)]
    done = CliRunner().invoke(languages_command, [*told, "--json", "-"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert [each["code"] for each in figures["languages"]] == ["sw", "zh-Hant"]
    assert languages_to_markdown(figures) == page.read_text("utf-8")
    assert (
        "| `sw` | Swahili | Kiswahili | Latin (Latn) | ltr | Niger-Kordofanian › Atlantic-Congo › Bantu |"
        in page.read_text("utf-8")
    )
    done = CliRunner().invoke(languages_command, told)
    assert "Swahili" in done.output
    with pytest.raises(PanglotError, match="unknown language code"):
        CliRunner().invoke(languages_command, ["klingon!"], catch_exceptions=False)


def test_unknown_letters_count_not_unknown_tokens(model: Path) -> None:
    counter = open_counter(model)
    price = counter.price([("abя", "ab"), ("d", "ab")])
    assert price is not None
    assert (price.sentences, price.premium, price.unknown) == (2, 1.0, 0.25)
    assert counter.price([]) is None
    assert Counter(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), None).counts(["b"]) == (1, 0)


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="no tokenizer to count tokens with"):
        open_counter("vectors:somewhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PanglotError, match=r"has no tokenizer\.json"):
        open_counter(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(PanglotError, match="the tokenizer cannot be read"):
        open_counter(tmp_path)


def test_scripts_are_never_invented() -> None:
    for code in known_languages():
        script = script_of(code)
        assert not script or script in canonical_script(code), code
    assert facts("shi", ["ⵜⴰⵛⵍⵃⵉⵜ"]).script == "Tfng"
    # The script of its text wins over the likely one, and the script in the code wins over both.
    assert (facts("shi", ["أزول"]).script, facts("shi", ["أزول"]).direction) == ("Arab", "rtl")
    assert facts("bjn-Arab", ["latin"]).script == "Arab"
    assert facts("ja", ["今日は"]).script == "Jpan"
    assert facts("alz").direction == ""


def canonical_script(code: str) -> str:
    import langcodes
    from langcodes.data_dicts import LIKELY_SUBTAGS

    return f"{code} {LIKELY_SUBTAGS.get(langcodes.Language.get(code).language or '', '')}"


def test_directions_are_those_of_the_letters(data_dir: Path) -> None:
    seen: dict[str, str] = {}
    for code, sentences in parallel_texts("sib-200", data_dir):
        text = "".join(letter for text, _ in sentences[:5] for letter in text if letter.isalpha())
        rtl = sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
        script = facts(code, [text]).script
        seen[code] = script
        assert (rtl > len(text) / 2) == is_right_to_left(script), code
        # SIB's own codes contain the script.
        assert commonest_script([text]) in {script, "Hani", "Hira", "Kana", "Hang", ""}, code
    assert len(seen) == 205


def test_families_are_known_or_said_not_to_be() -> None:
    assert {code for code in known_languages() if not family(code)} == {"ay", "ko"}
    assert family("yue") == ("Sino-Tibetan", "Chinese")
    assert family("sg") == ("Niger-Kordofanian", "Atlantic-Congo")  # "Northern Ngbandi" is no group


def test_the_page_in_the_docs_names_its_command_and_every_language() -> None:
    text = PAGE.read_text("utf-8")
    head = text.split("\n## ", 1)[0]
    assert re.search(r"Written by `panglot languages --markdown docs/languages\.md` on \d{4}-\d\d-\d\d \(.+\)", head)
    rows = re.findall(r"(?m)^\| `([^`]+)` \|", text)
    for code in known_languages():
        assert rows.count(code) == 2, code
    assert all(canonical(code) == code for code in rows if "-x-" not in code and "-u-" not in code)
    for card in CARDS.values():
        assert card.name in text


def test_every_set_of_parallel_text_is_a_known_one() -> None:
    assert set(SETS) <= CARDS.keys()
