"""What is known about one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetCard:
    """One known data set.

    Attributes:
        name: What the user calls it.
        title: One line about it.
        task: What its questions and passages are.
        languages: Canonical codes, sorted.
        parallel: What ties its translations, or "no".
        size: Its size in words.
        licence: Its licence.
        source: Where to get it.
        folder: The name of its folder under the data folder.
        files: One pattern, below that folder, that tells whether the set is there.
        parts: What ``NAME:PART`` may say; the first is the default. Empty where there are no parts.
        candidates: What ``candidates`` may say; the first is the default.
        test_only: Parts that must never be trained on; "*" is all.
        hub: Repository of data sets on the hub that holds it, or "".
        hub_files: Patterns of the files of that repository that are needed.
        requires: Names of other sets that must be at hand, for it takes passages from them.
        pairs: The set is a row of pairs with English, each a set of its own: ``NAME:XX``, and no whole.
    """

    name: str
    title: str
    task: str
    languages: tuple[str, ...]
    parallel: str
    size: str
    licence: str
    source: str
    folder: str = ""
    files: str = "*.json*"
    parts: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ("paragraph",)
    test_only: tuple[str, ...] = ()
    hub: str = ""
    hub_files: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    pairs: bool = False

    def is_test_only(self, part: str) -> bool:
        """Tell whether ``part`` ("" where there are none) must never be trained on."""
        return "*" in self.test_only or part in self.test_only


def codes(text: str) -> tuple[str, ...]:
    """Return the codes in ``text``, sorted."""
    return tuple(sorted(text.split()))


_TYDI = "ar bn en fi id ja ko ru sw te th"
_BELEBELE = (
    "acm-Arab af am apc ar ar-Latn ars ary arz as az bg bm bn bn-Latn bo ca ceb ckb cs da de el en es et eu fa fi "
    "fil fr fuv gn gu ha he hi hi-Latn hr ht hu hy id ig ilo is it ja jv ka kac kea kk km kn ko ky lg ln lo lt luo "
    "lv mg mi mk ml mn mr ms mt my nb ne ne-Latn nl nso ny om or pa pbt-Arab pl pt ro ru rw sd shn si si-Latn sk sl "
    "sn so sq sr ss st su sv sw ta te tg th ti tn tr ts uk ur ur-Latn uz vi war wo xh yo zh zh-Hant zu"
)
_FLORES = (
    "ace ace-Arab acm-Arab acq-Arab aeb af ajp-Arab ak ak-x-twi am apc ar ar-Latn ars ary arz as ast awa ay az "
    "azb-Arab ba ban be bem bg bho bjn bjn-Arab bm bn bo bs bug ca ceb cjk-Latn ckb crh-Latn cs cy da de din-Latn "
    "dyu dz ee el en eo es et eu fa fa-AF fi fil fj fo fon fr fur fuv ga gd gl gn gu ha he hi hne hr ht hu hy id ig "
    "ilo is it ja jv ka kab kac kam kbp kea kg ki kk km kmb kn ko kr kr-Arab ks ks-Deva ku ky lb lg li lij lmo ln "
    "lo lt ltg lua luo lus-Latn lv mag mai mg mi min min-Arab mk ml mn mni mos mr ms mt my nb ne nl nn nso nus ny "
    "oc om or pa pag pap pbt-Arab pl pt quy-Latn rn ro ru rw sa sat sc scn sd sg shn si sk sl sm sn so sq sr ss st "
    "su sv sw szl ta taq taq-Tfng te tg th ti tk tn tpi tr ts tt tum tzm-Tfng ug uk umb ur uz vec vi war wo xh yi "
    "yo yue zh zh-Hant zu"
)

QUESTION_SETS = (
    DatasetCard(
        "miracl",
        "MIRACL: native speakers' questions over each language's Wikipedia, judged (arXiv 2210.09984)",
        "question to passage",
        codes("ar bn de en es fa fi fr hi id ja ko ru sw te th yo zh"),
        "no",
        "dev: 13,495 questions; 106,332 passages (yo 49,043 to en 32,893,221 each)",
        "Apache-2.0",
        "https://huggingface.co/datasets/miracl/miracl and https://huggingface.co/datasets/miracl/miracl-corpus",
        folder="miracl",
        files="**/topics.miracl-v1.0-*.tsv*",
        parts=("dev", "train"),
        candidates=("passage", "judged", "topics"),
        test_only=("dev",),
    ),
    DatasetCard(
        "mrtydi",
        "Mr. TyDi: TyDi QA's questions over each language's Wikipedia (arXiv 2108.08787)",
        "question to passage",
        codes(_TYDI),
        "no",
        "test: 8,661 questions, most of them TyDi QA's dev questions",
        "Apache-2.0",
        "https://huggingface.co/datasets/castorini/mr-tydi and https://huggingface.co/datasets/castorini/mr-tydi-corpus",
        folder="mrtydi",
        files="**/topics.mrtydi-v1.1-*.txt*",
        parts=("test", "dev", "train"),
        candidates=("passage", "judged", "topics"),
        test_only=("test",),
    ),
    DatasetCard(
        "mmarco",
        "mMARCO: MS MARCO's questions and passages, machine-translated (arXiv 2108.13897)",
        "question to passage",
        codes("ar de en es fr hi id it ja nl pt ru vi zh"),
        "id",
        "8,841,823 passages a language; dev: 6,980 questions; train: 502,939",
        "Apache-2.0; MS MARCO is for research that is not commercial",
        "https://huggingface.co/datasets/unicamp-dl/mmarco, and MS MARCO's qrels.train.tsv and qrels.dev.small.tsv",
        folder="mmarco",
        files="**/queries/*/*_queries.*.tsv*",
        parts=("dev", "train"),
        candidates=("passage", "judged", "topics"),
        test_only=("dev",),
    ),
    DatasetCard(
        "mkqa",
        "MKQA: the same questions in many languages, with short answers (arXiv 2007.15207)",
        "question to its translation, or to its short answers",
        codes("ar en es fi ja km ko ms ru sv tr zh"),
        "number of the question",
        "1,758 questions a language (MIA 2022's dev part)",
        "CC BY-SA 3.0",
        "https://github.com/mia-workshop/MIA-Shared-Task-2022 (data/eval/mkqa_dev.zip)",
        folder="mkqa",
        files="mkqa-*.jsonl*",
        candidates=("question", "answer"),
        test_only=("*",),
    ),
    DatasetCard(
        "xor-tydi",
        "XOR-TyDi: questions whose answers are English (arXiv 2010.11856); no passages",
        "question to its short English answers",
        codes("ar bn en fi ja ko ru te"),
        "no",
        "dev: 2,110 questions; train: 15,250",
        "MIT",
        "https://nlp.cs.washington.edu/xorqa",
        folder="xor-tydi",
        files="xor_*_retrieve_eng_span*.jsonl*",
        parts=("dev", "train"),
        candidates=("answer",),
        test_only=("dev",),
    ),
    DatasetCard(
        "tydiqa-primary",
        "TyDi QA's primary task: passages of whole articles (arXiv 2003.05002)",
        "question to passage",
        codes(_TYDI),
        "no",
        "train: 166,916 questions, dev: 18,670, some half of them with an answer",
        "Apache-2.0",
        "https://github.com/google-research-datasets/tydiqa (primary tasks)",
        folder="tydiqa-primary",
        files="tydiqa-v1.0-*.jsonl*",
        parts=("dev", "train"),
        candidates=("passage",),
        test_only=("dev",),
    ),
    DatasetCard(
        "natural-questions",
        "Natural Questions in MRQA's form (arXiv 1910.09753)",
        "question to paragraph or answer sentence",
        ("en",),
        "no",
        "train: 104,071 questions, dev: 12,836",
        "CC BY-SA 3.0",
        "https://github.com/mrqa/MRQA-Shared-Task-2019: put NaturalQuestionsShort.jsonl.gz into train and dev",
        folder="natural-questions",
        files="*/*.jsonl*",
        parts=("train", "dev"),
        candidates=("paragraph", "sentence"),
        test_only=("dev",),
    ),
    DatasetCard(
        "belebele",
        "Belebele: the same passages and questions in 122 languages (arXiv 2308.16884); passages of FLORES",
        "question to passage",
        codes(_BELEBELE),
        "link and number of the question",
        "900 questions and 488 passages a language",
        "CC BY-SA 4.0",
        "https://huggingface.co/datasets/facebook/belebele (folder data)",
        folder="belebele",
        files="**/*_*.jsonl*",
        candidates=("passage",),
        test_only=("*",),
    ),
    DatasetCard(
        "flores-200",
        "FLORES-200: the same sentences in 204 languages (arXiv 2207.04672)",
        "sentence to its translation",
        codes(_FLORES),
        "line",
        "997 sentences in dev, 1,012 in devtest",
        "CC BY-SA 4.0",
        "https://github.com/facebookresearch/flores (flores200_dataset)",
        folder="flores-200",
        files="**/*.dev*",
        parts=("devtest", "dev"),
        candidates=("sentence",),
        test_only=("*",),
    ),
    DatasetCard(
        "afriqa",
        "AfriQA: questions in African languages, English or French passages (arXiv 2305.06897)",
        "question to passage",
        codes("ak bem en fon fr ha ig rw sw wo yo zu"),
        "question id (each with its translation into English or French)",
        "some 12,000 questions",
        "CC BY 4.0",
        "https://github.com/masakhane-io/afriqa (data/gold_passages)",
        folder="afriqa",
        files="**/gold_span_passages.afriqa.*.json*",
        parts=("test", "dev", "train"),
        candidates=("passage",),
        test_only=("test",),
    ),
    DatasetCard(
        "iapp-wiki-qa-th",
        "iApp's questions on Thai Wikipedia",
        "question to paragraph or answer sentence",
        ("th",),
        "no",
        "7,242 questions; 1,523 + 190 + 192 paragraphs",
        "MIT",
        "https://github.com/iapp-technology/iapp-wiki-qa-dataset (squad_format)",
        folder="iapp-wiki-qa-th",
        files="*.jsonl*",
        parts=("train", "dev", "test"),
        candidates=("paragraph", "sentence"),
        test_only=("test",),
    ),
    DatasetCard(
        "enelpi-tr",
        "ENELPI: Turkish questions on Ottoman history, on few long texts",
        "question to paragraph or answer sentence",
        ("tr",),
        "no",
        "some 6,300 questions",
        "MIT",
        "https://github.com/okanvk/Turkish-Reading-Comprehension-Question-Answering-Dataset",
        folder="enelpi-tr",
        files="*_data*.json*",
        parts=("train", "test"),
        candidates=("paragraph", "sentence"),
        test_only=("test",),
    ),
)

_STARTER = "ar bn de en es fi hi id ja ru sw zh"
_NTREX = (
    "af am ar az ba be bem bg bn bo bs ca ckb cs cy da de dv dz ee el en en-GB en-IN en-US es es-MX "
    "es-x-ref2 et eu fa fa-AF ff fi fil fj fo fr fr-CA ga gl gsw-u-sd-chbe gsw-u-sd-chzh gu ha he hi hmn "
    "hr hu hy id ig is it ja ka kk km kn ko ku ky lb lo lt lv mey mg mi mk ml mn mr ms mt my nb nd ne nl "
    "nn nso ny om pa pl ps pt pt-BR ro ru rw sd shi si sk sl sm sn so sq sr sr-Latn ss sv sw ta te tg th "
    "ti tk tn to tr tt ty ug uk ur uz ve vi wo xh yo yue zh zh-Hant zu"
)
_HELP = (
    "ca ca-valencia cs da de dz el en es et eu fi fr gl hu id it ja km ko nl om pl pt pt-BR ru sl sv tr vi zh zh-Hant"
)
_SIB = (
    "ace ace-Arab acm-Arab acq-Arab aeb af ajp-Arab ak ak-x-twi am apc ar ar-Latn ars ary arz as ast awa ay az "
    "azb-Arab ba ban be bem bg bho bjn bjn-Arab bm bn bo bs bug ca ceb cjk-Latn ckb crh-Latn cs cy da de din-Latn "
    "dyu dz ee el en eo es et eu fa fa-AF fi fil fj fo fon fr fur fuv ga gd gl gn gu ha he hi hne hr ht hu hy id "
    "ig ilo is it ja jv ka kab kac kam kbp kea kg ki kk km kmb kn ko kr kr-Arab ks ks-Deva ku ky lb lg li lij lmo "
    "ln lo lt ltg lua luo lus-Latn lv mag mai mg mi min min-Arab mk ml mn mni mos mr ms mt my nb ne nl nn nqo nso "
    "nus ny oc om or pa pag pap pbt-Arab pl pt quy-Latn rn ro ru rw sa sat sc scn sd sg shn si sk sl sm sn so sq "
    "sr ss st su sv sw szl ta taq taq-Tfng te tg th ti tk tn tpi tr ts tt tum tzm-Tfng ug uk umb ur uz vec vi war "
    "wo xh yi yo yue zh zh-Hant zu"
)
_TATOEBA = (
    "af am ang ar arq arz ast awa az be ber bg bn br bs ca cbk ceb ch chm cs csb cy da de dsb dtp dtp-x-kzj el en "
    "eo es et eu fa fi fil fo fr fy ga gd gl gsw he hi hr hsb hu hy ia id ie io is it ja jv ka kab kk km ko ku kw "
    "la lfn lt lv max mk ml mn mr ms nb nds nl nn nov oc orv pam pl pms pt ro ru sk sl sq sr sv sw swg ta te th "
    "tk tr tt tzl ug uk ur uz vi war wuu xh yi yue zh"
)

CARDS: Mapping[str, DatasetCard] = {
    card.name: card
    for card in (
        DatasetCard(
            "starter",
            "Short factual passages with one question each, written for panglot",
            "question to passage",
            codes(_STARTER),
            "group",
            "at least 100 facts in each language",
            "CC0-1.0",
            "comes with panglot",
            parts=("test", "train", "dev", "all"),
            candidates=("passage",),
            test_only=("test",),
        ),
        DatasetCard(
            "xquad-r",
            "XQuAD-R of LAReQA: the same 240 paragraphs and 1,190 questions in all (arXiv 2004.05484)",
            "question to answer sentence",
            codes("ar de el en es hi ru th tr vi zh"),
            "question id",
            "1,190 questions a language, 13,014 sentences",
            "CC BY-SA 4.0",
            "https://github.com/google-research-datasets/lareqa (folder xquad-r)",
            folder="xquad-r",
            candidates=("sentence", "paragraph"),
            test_only=("*",),
        ),
        DatasetCard(
            "mlqa-r",
            "LAReQA's MLQA-R: MLQA with sentence candidates (arXiv 2004.05484)",
            "question to answer sentence",
            codes("ar de en es hi vi zh"),
            "question id, 2 to 4 languages each",
            "20,534 sentences",
            "CC BY-SA 3.0",
            "LAReQA's authors (not in their repository): one XX.json a language, laid out as XQuAD-R",
            folder="mlqa-r",
            candidates=("sentence", "paragraph"),
            test_only=("*",),
        ),
        DatasetCard(
            "mlqa",
            "Questions in seven languages, passages about the same facts (arXiv 1910.07475)",
            "question to answer sentence or paragraph",
            codes("ar de en es hi vi zh"),
            "question id, each in English and about three others; passages comparable, not translated",
            "dev: 1,148 questions, 15,747 pairs; test: 11,590 questions in the whole",
            "CC BY-SA 3.0",
            "https://github.com/facebookresearch/MLQA (MLQA_V1.zip: dev and test folders)",
            folder="mlqa",
            files="*/*-context-*-question-*.json*",
            parts=("dev", "test", "both"),
            candidates=("sentence", "paragraph"),
            hub="facebook/mlqa",
            hub_files=("mlqa.??.??/*.parquet", "mlqa.??.??/**/*.parquet"),
        ),
        DatasetCard(
            "tydiqa-goldp",
            "Questions by native speakers, gold passages of Wikipedia (arXiv 2003.05002)",
            "question to paragraph",
            codes("ar bn en fi id ko ru sw te"),
            "no",
            "dev: 5,077 questions, 4,488 passages",
            "Apache-2.0",
            "https://github.com/google-research-datasets/tydiqa (gold passage task)",
            folder="tydiqa-goldp",
            files="*/*tydiqa*.json*",
            parts=("dev", "train"),
            candidates=("paragraph", "sentence"),
            test_only=("dev",),
            hub="google-research-datasets/tydiqa",
            hub_files=("secondary_task/*.parquet", "secondary_task/**/*.parquet"),
        ),
        DatasetCard(
            "tydiqa-goldp-large",
            "TyDi QA's dev questions over larger pools; never with tydiqa-goldp:train or a quarter of squad2-en-fi",
            "question to paragraph",
            codes("ar bn en fi id ko ru sw te"),
            "no",
            "dev: 5,077 questions, 22,773 passages (bn 465 to en 8,588)",
            "Apache-2.0, CC BY-SA 4.0",
            "the files of tydiqa-goldp, squad2-en-fi, ntrex-128 and sib-200",
            folder="tydiqa-goldp",
            files="*/*tydiqa*.json*",
            test_only=("*",),
            requires=("squad2-en-fi", "ntrex-128", "sib-200"),
        ),
        DatasetCard(
            "tydiqa-goldp-mt",
            "TyDi QA's English dev questions, machine-translated into ca, es and pt, over their English passages",
            "question to paragraph",
            codes("ca en es pt"),
            "question id",
            "440 questions a language, 429 English passages",
            "Apache-2.0; pt by models whose licence is not stated",
            "the files of tydiqa-goldp; the translations come with panglot",
            folder="tydiqa-goldp",
            files="dev/*tydiqa*.en.*json*",
            candidates=("paragraph", "sentence"),
            test_only=("*",),
        ),
        DatasetCard(
            "squad2-en-fi",
            "SQuAD 2.0's training part in Finnish (machine-translated) and English (translated back)",
            "question to paragraph",
            codes("en fi"),
            "question id",
            "130,319 questions and 19,035 paragraphs a language",
            "Apache-2.0, CC BY-SA 4.0",
            "https://github.com/TurkuNLP/squad2-fi",
            folder="squad2-en-fi",
            files="train.*.json*",
        ),
        DatasetCard(
            "xor-questions",
            "XOR-TyDi's human translations of questions to and from English (arXiv 2010.11856)",
            "question to its translation",
            codes("ar bn en fi ja ko ru te"),
            "line",
            "some 32,800 pairs",
            "MIT",
            "https://nlp.cs.washington.edu/xorqa",
            folder="xor-tydi",
            files="question-translation/*-en/en.txt*",
            candidates=("question",),
        ),
        DatasetCard(
            "libreoffice-help",
            "Help pages of LibreOffice: title to passage",
            "title to passage",
            codes(_HELP),
            "group",
            "54,377 passages in 1,748 groups",
            "MPL-2.0",
            "https://github.com/LibreOffice/help and its translations",
            folder="libreoffice-help",
            files="*.parquet",
            parts=("all", "train", "test"),
            candidates=("passage",),
            test_only=("test",),
        ),
        DatasetCard(
            "ntrex-128",
            "NTREX-128: news sentences and their translations, or passages of 3 to 5 sentences (WMT 2022)",
            "sentence to its translation, or first sentence to the rest of its passage",
            codes(_NTREX),
            "sentence",
            "1,997 sentences or 516 passages in 123 documents, a quarter of them in test",
            "CC BY-SA 4.0",
            "https://github.com/MicrosoftTranslator/NTREX",
            folder="ntrex-128",
            files="*.parquet",
            parts=("train", "test"),
            candidates=("sentence", "passage"),
            test_only=("test",),
        ),
        DatasetCard(
            "sib-200",
            "SIB-200: sentences of FLORES in 205 languages (arXiv 2309.07445); overlaps Belebele and FLORES",
            "sentence to its translation",
            codes(_SIB),
            "sentence",
            "701 sentences in train, 99 in dev, 204 in test",
            "CC BY-SA 4.0",
            "https://github.com/dadelani/sib-200",
            folder="sib-200",
            files="*.parquet",
            parts=("train", "dev", "test"),
            candidates=("sentence",),
            test_only=("test",),
        ),
        DatasetCard(
            "tatoeba-112",
            "LASER's test pairs of 112 languages with English (arXiv 1812.10464): read as tatoeba-112:XX",
            "sentence to its translation, both ways, within each pair",
            codes(_TATOEBA),
            "pair",
            "88,877 pairs, 104 to 1,000 a language",
            "CC BY 2.0 FR",
            "https://github.com/facebookresearch/LASER (data/tatoeba/v1)",
            folder="tatoeba-112",
            files="*.parquet",
            candidates=("sentence",),
            test_only=("*",),
            pairs=True,
        ),
        *QUESTION_SETS,
    )
}
