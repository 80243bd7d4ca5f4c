"""Read TOML files, and check values that people write in them, in JSON and as arguments."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from panglot._errors import PanglotError

_T = TypeVar("_T")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the content of a TOML file. ``what`` names the kind of file in errors."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise PanglotError(f"there is no such {what}", file=path, hint="check the path") from error
    except OSError as error:
        problem = f"cannot read the {what}: {error.strerror or error}"
        raise PanglotError(problem, file=path, hint="name a file that can be read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PanglotError(f"this is not TOML: {error}", file=path, hint="write `name = value` lines") from error


def packaged(name: str | Path, what: str) -> Path:
    """Return the path of a TOML file: one of panglot's own by its bare name, any other as it is.

    ``what`` is the kind of file, such as ``recipe``, and its folder in the package is called ``recipes``.
    """
    if not re.fullmatch(r"[\w-]+", str(name)):
        return Path(name)
    folder = Path(__file__).parent / f"{what}s"
    if not (found := folder / f"{name}.toml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
        hint = f"choose {known}, or write the path of a file as ./{name}.toml"
        raise PanglotError(f"there is no {what} {str(name)!r}", field=what, hint=hint)
    return found


def integer(value: Any, field: str, least: int = 0) -> int:
    """Return a whole number of ``least`` or more, or refuse the value of ``field``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise unexpected(value, f"a whole number of {least} or more", field)
    return value


def integers(values: Any, field: str) -> tuple[int, ...]:
    """Return a list of different whole numbers of 0 or more, or refuse the value of ``field``."""
    return tuple(distinct([integer(value, field) for value in expect(values, list, field)], field))


def number(value: Any, field: str, *, above: float = -math.inf, most: float = math.inf) -> float:
    """Return a number ``above`` one bound and at ``most`` the other, or refuse the value of ``field``."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not above < value <= most:
        bounds = [f" above {above:g}"] * (above > -math.inf) + [f" and at most {most:g}"] * (most < math.inf)
        raise unexpected(value, f"a number{''.join(bounds)}", field)
    return float(value)


def strings(value: Any, field: str) -> tuple[str, ...]:
    """Return a list of strings, or refuse the value of ``field``."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise unexpected(value, "a list of strings", field)
    return tuple(value)


_KINDS: dict[Any, str] = {str: "a string", list: "a list", dict: "a table of `name = value` lines"}


def expect(value: object, kind: type[_T], field: str) -> _T:
    """Return a value that is a string, a list or a table, as ``kind`` says, or refuse the value of ``field``."""
    if not isinstance(value, kind):
        raise unexpected(value, _KINDS[kind], field)
    return value


def distinct(values: Sequence[_T], field: str) -> Sequence[_T]:
    """Return values of which none is there twice, or refuse the value of ``field``."""
    if twice := [value for value in values if values.count(value) > 1]:
        raise PanglotError(f"{twice[0]!r} is listed twice", field=field, hint="list it once")
    return values


def check_names(values: object, known: set[str], field: str) -> None:
    """Refuse a table that has a name which is not ``known``, and a value that is not a table."""
    if odd := sorted(set(expect(values, dict, field)) - known):
        raise unknown(f"{odd[0]!r} is unknown", sorted(known), field)


def unknown(problem: str, choices: Iterable[str], field: str) -> PanglotError:
    """Return the error of a name that is none of the ``choices``."""
    return PanglotError(problem, field=field or None, hint=f"choose among {', '.join(choices)}")


def unexpected(value: object, expected: str, field: str) -> PanglotError:
    """Return the error of a value that is not what was ``expected``."""
    return PanglotError(f"{expected} is expected, got {value!r}", field=field, hint=f"write {expected}")
