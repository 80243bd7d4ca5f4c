"""What is known about each data set: languages, licence, where to get it."""

from __future__ import annotations

from collections.abc import Mapping

from panglot.corpus.card import Card, codes
from panglot.corpus.cards_questions import QUESTION_SETS

__all__ = ["CARDS", "Card"]


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

CARDS: Mapping[str, Card] = {
    card.name: card
    for card in (
        Card(
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
        Card(
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
        Card(
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
        Card(
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
        Card(
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
        Card(
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
            draws_on=("squad2-en-fi", "ntrex-128", "sib-200"),
        ),
        Card(
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
        Card(
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
        Card(
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
        Card(
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
        Card(
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
        Card(
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
        Card(
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
