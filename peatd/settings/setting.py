"""What a setting is: a row of `table.py`. Sans-IO."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T_co]):
    """One setting, a row of the table.

    Attributes:
        variables: of the environment, the first that is not empty counts.
        parse: from text to value; raises ValueError.
        default: as text, parsed like any other; None where `config.py` finds it out.
        otherwise: the default in words, where it is found out.
        reason: why this default.
        repeatable: several flags, a list in the file, commas in the environment.
        port_variable: a variable that sets the port of this address alone.
    """

    name: str
    metavar: str
    variables: tuple[str, ...]
    parse: Callable[[str], T_co]
    meaning: str
    default: str | None = None
    otherwise: str = ""
    reason: str
    repeatable: bool = False
    port_variable: str | None = None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")
