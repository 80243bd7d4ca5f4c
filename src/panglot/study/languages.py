"""Nested sets of training languages, and which tested languages they leave unseen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from panglot._errors import PanglotError

# Two languages of XQuAD-R and two of TyDi QA come last, so that these test sets have unseen languages at every size
# except the largest.
HELD_BACK = ("el", "sw", "te", "th")
SIZES: tuple[int | None, ...] = (1, 2, 4, 8, 16, 32, 64, None)
# The order is written down so that a nested set stays the same when a data set is added. It follows a rule, applied to
# mlqa, xor-questions, libreoffice-help, ntrex-128 and sib-200. English is first. The other languages are sorted by the
# number of these sets that have them, the largest first. Among equals, the scripts take turns in the order of their
# ISO 15924 codes, each with its languages by code. Variants of a listed language follow, by code. Languages that are
# held back are last.
_NAMES = (
    "en ar ru zh ja ko de es fi vi bn hi km ca dz cs da et eu fr gl hu id it nl om pl pt sl sv tr ckb hy ba mr am "
    "ka gu pa yue he kn lo af ml my si ta bo fa be ne ti az sd bg bem ug kk bs ur ky cy mk ee mn fil sr fj tg fo "
    "tt ga uk ha hr ig is ku lb lt lv mg mi ms mt nb nn nso ny ro rw sk sm sn so sq ss tk tn uz wo xh yo zu "
    "acm-Arab as awa yi ace shn nqo sat or shi dv acq-Arab mni bho ak tzm-Tfng aeb hne ast ajp-Arab mag ay apc "
    "mai ban ars sa bjn ary bm arz bug azb-Arab ceb ks cjk-Latn pbt-Arab crh-Latn ps din-Latn dyu eo ff fon fur "
    "fuv gd gn gsw-u-sd-chbe gsw-u-sd-chzh hmn ht ilo jv kab kac kam kbp kea kg ki kmb kr lg li lij lmo ln ltg "
    "lua luo lus-Latn mey min mos nd nus oc pag pap quy-Latn rn sc scn sg st su szl taq to tpi ts tum ty umb ve "
    "vec war ace-Arab ak-x-twi ar-Latn bjn-Arab ca-valencia en-GB en-IN en-US es-MX es-x-ref2 fa-AF fr-CA "
    "kr-Arab ks-Deva min-Arab pt-BR sr-Latn taq-Tfng zh-Hant el sw te th"
)
ORDER = tuple(_NAMES.split())


@dataclass(frozen=True)
class LanguageSet:
    """The training languages at one size of a study.

    Attributes:
        languages: Canonical codes, in the order in which they are added.
    """

    languages: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.languages)

    def split(self, tested: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the ``tested`` languages that training has seen and those that it has not, each in the given order.

        A language is seen if any script, region or variant of it is trained on. Training on Chinese has seen
        Traditional Chinese, for example.

        >>> LanguageSet(("en", "zh")).split(["el", "en", "zh-Hant"])
        (('en', 'zh-Hant'), ('el',))
        """
        known = {code.partition("-")[0] for code in self.languages}
        both: tuple[list[str], list[str]] = [], []
        for code in tested:
            both[code.partition("-")[0] not in known].append(code)
        return tuple(both[0]), tuple(both[1])


def nested(
    languages: Iterable[str],
    sizes: Sequence[int | None] = SIZES,
    order: Sequence[str] = ORDER,
) -> tuple[LanguageSet, ...]:
    """Return sets of languages of growing size, each a subset of the next.

    Args:
        languages: Canonical codes of all available languages. Those that ``order`` does not list are added last, by
            code.
        sizes: Numbers of languages. None means all. Sizes beyond the number of languages are ignored.
        order: The order in which languages are added. Those that are not in ``languages`` are ignored.

    Returns:
        One set per distinct size, in ascending order.

    Raises:
        PanglotError: There is no language, a size is below 1, or all sizes exceed the number of languages.

    >>> [each.languages for each in nested(["de", "fi", "en", "th", "qaa"], (1, 2, 64, None))]
    [('en',), ('en', 'de'), ('en', 'de', 'fi', 'th', 'qaa')]
    """
    place = {code: number for number, code in enumerate(order)}
    joining = sorted(set(languages), key=lambda code: (place.get(code, len(place)), code))
    wanted = {len(joining) if size is None else size for size in sizes}
    if any(size < 1 for size in wanted):
        raise PanglotError(
            "a set must have at least one language", field="sizes", hint="give sizes of 1 or more, and some languages"
        )
    fitting = sorted(size for size in wanted if size <= len(joining))
    if not fitting:
        raise PanglotError(
            f"there are {len(joining)} languages, and every size is larger",
            field="sizes",
            hint="give a smaller size, or None for all",
        )
    return tuple(LanguageSet(tuple(joining[:size])) for size in fitting)
