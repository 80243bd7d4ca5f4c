"""Any service with the interface of LibreTranslate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from panglot._errors import PanglotError
from panglot.augment.translation.protocol import EngineError, checked
from panglot.augment.translation.service import Service, api_key
from panglot.corpus.language import canonical


class LibreTranslate:
    """``POST {url}/translate`` with a list of texts; ``GET {url}/languages`` says which pairs there are.

    The key of a service that asks for one comes from ``$PANGLOT_TRANSLATION_KEY``.

    Args:
        url: The address, such as ``http://localhost:5000``.
        batch_size: Sentences of a request.
        options: Of :class:`panglot.augment.translation.service.Service`.
    """

    name = "libretranslate"

    def __init__(self, url: str, *, batch_size: int = 32, **options: Any) -> None:
        self._service, self.batch_size = Service(url, **options), batch_size
        self._key = api_key("PANGLOT_TRANSLATION_KEY")

    def serves(self, source: str, target: str) -> bool:
        """Whether one language can be translated into the other."""
        return (source, target) in self._pairs

    def targets(self, source: str) -> Sequence[str]:
        """What a language can be translated into."""
        return [target for known, target in self._pairs if known == source]

    def version(self, source: str, target: str) -> str:  # noqa: ARG002
        """The address: the interface does not tell which models answer."""
        return self._service.url

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Translate sentences, in their order."""
        codes = self._pairs[source, target]
        body = {"q": list(sentences), "source": codes[0], "target": codes[1], "format": "text"}
        answer = self._service.ask("POST", "/translate", {**body, **({"api_key": self._key} if self._key else {})})
        found = answer.get("translatedText") if isinstance(answer, dict) else None
        if not isinstance(found, list):
            raise EngineError(f"{self._service.url} gives no list of translations", cure="check its address")
        return checked(found, len(sentences), self.name)

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], tuple[str, str]]:
        """The service's own codes of each pair."""
        listed = self._service.ask("GET", "/languages")
        found: dict[tuple[str, str], tuple[str, str]] = {}
        try:
            codes = [str(each["code"]) for each in listed]
            for each in listed:
                for target in each.get("targets") or codes:
                    pair = (_code(each["code"]), _code(target))
                    if pair[0] and pair[1] and pair[0] != pair[1]:
                        found[pair[0], pair[1]] = (str(each["code"]), str(target))
        except (TypeError, KeyError, AttributeError) as error:
            cure = "check that it is a LibreTranslate service"
            raise PanglotError(f"{self._service.url} lists no languages", field="engine", cure=cure) from error
        return found


def _code(text: str) -> str | None:
    try:
        return canonical(str(text))
    except PanglotError:
        return None
