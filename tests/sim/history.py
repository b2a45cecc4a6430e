"""What was asked of the nodes, what they answered, and what therefore has to be there. Sans-IO."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from peatd.library import APPLIED, DURABLE, Ack
from peatd.names import DocumentName

ANY = 1 << 30
"""An incarnation that is not known: the answer never came."""

Contents = Mapping[DocumentName, Mapping[str, Any]]
Lives = Mapping[DocumentName, tuple[int, bool]]


@dataclass(slots=True)
class Asked:
    """A write or a deletion.

    Attributes:
        word: what a write put there, as a field or in the text; None for a deletion.
        life: of the node that was asked.
        lost_disks: by node, how often it had lost its disk when this was asked.
        incarnation: of the document; `ANY` until the answer.
        rung: that was told; None if none was.
    """

    node: str
    document: DocumentName
    word: str | None
    value: object
    typed: bool
    life: int
    lost_disks: dict[str, int]
    incarnation: int = ANY
    rung: Ack | None = None

    def reached(self, rung: Ack) -> None:
        self.rung = rung if self.rung is None else max(self.rung, rung)

    def __str__(self) -> str:
        what = f"{self.word!r} in" if self.word else "the end of"
        return f"{what} {self.document} ({self.incarnation}), said by {self.node} to be {self.rung}"


@dataclass(frozen=True, slots=True)
class Nodes:
    """How the nodes are: by name the number of the present life, and how often each has lost its disk."""

    lives: Mapping[str, int]
    lost_disks: Mapping[str, int]


@dataclass(slots=True)
class History:
    """Of one run."""

    asked: list[Asked] = field(default_factory=list)
    copies: int | None = None

    def violations(self, nodes: Nodes, lives: Lives, contents: Contents) -> Iterator[str]:
        """What is not as it should be, now that all nodes agree on these documents."""
        for asked in self.asked:
            if _is_owed(asked, nodes, self.copies):
                if asked.word is None:
                    yield from self._ended(asked, lives)
                else:
                    yield from self._kept(asked, asked.word, lives, contents)
        for name, content in contents.items():
            yield from self._explained(name, lives[name][0], content)

    def _ended(self, asked: Asked, lives: Lives) -> Iterator[str]:
        if lives.get(asked.document, (0, False)) < (asked.incarnation, True):
            yield f"{asked}: but it is at {lives.get(asked.document)}"

    def _kept(self, asked: Asked, word: str, lives: Lives, contents: Contents) -> Iterator[str]:
        incarnation, deleted = lives.get(asked.document, (0, False))
        if (incarnation, deleted) == (asked.incarnation, False):
            if asked.document not in contents or not _holds(contents[asked.document], word, asked):
                yield f"{asked}: but it is not there"
        elif incarnation < asked.incarnation:
            yield f"{asked}: but the document is at {incarnation}, deleted={deleted}"
        elif not self._was_deleted(asked.document, asked.incarnation):
            yield f"{asked}: but the document is at {incarnation}, deleted={deleted}, and nobody has deleted it"

    def _was_deleted(self, document: DocumentName, incarnation: int) -> bool:
        return any(a.word is None and a.document == document and a.incarnation >= incarnation for a in self.asked)

    def _explained(self, name: DocumentName, incarnation: int, content: Mapping[str, Any]) -> Iterator[str]:
        """Whatever is there, somebody has written, and into this life of the document."""
        writes = {a.word: a for a in self.asked if a.document == name and a.incarnation in (incarnation, ANY)}
        for word, value in content["data"].items():
            if word not in writes or writes[word].value != value:
                yield f"{name} ({incarnation}) holds {word!r}, which is not of this life"
        for word in str(content.get("text", "")).split():
            if word not in writes:
                yield f"{name} ({incarnation}) says {word!r}, which is not of this life"


def _is_owed(asked: Asked, nodes: Nodes, copies: int | None) -> bool:
    """Whether what was said obliges us still."""
    if asked.rung is None:
        return False
    lost = {node for node, count in nodes.lost_disks.items() if count > asked.lost_disks[node]}
    if copies is not None and asked.word is not None and len(lost) >= copies:
        return False  # they may have been all that had it
    if asked.rung == APPLIED:
        return nodes.lives[asked.node] == asked.life
    if asked.rung == DURABLE:
        return asked.node not in lost
    return len(lost) <= asked.rung.peers


def _holds(content: Mapping[str, Any], word: str, asked: Asked) -> bool:
    if asked.typed:
        return word in str(content.get("text", "")).split()
    return bool(content["data"].get(word) == asked.value)
