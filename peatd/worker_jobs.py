"""What a worker has to do: jobs, the documents that they are about, and what was sent. Plain values. Sans-IO."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from peatd.engine.answers import fits
from peatd.engine.protocol import Reply, Request
from peatd.errors import PeatError
from peatd.names import DocumentKey


class StoredUpdate(Protocol):
    """A row of a document's log; `seq` names it to the log."""

    @property
    def seq(self) -> int: ...

    @property
    def update(self) -> bytes: ...


class StoredLog(Protocol):
    """A document as the log has it."""

    @property
    def snapshot(self) -> bytes | None: ...

    @property
    def updates(self) -> Sequence[StoredUpdate]: ...


class Task(Enum):
    """What a job asks for."""

    APPLY = auto()
    EDIT = auto()
    DIFF = auto()
    SNAPSHOT = auto()
    READ = auto()
    CLOSE = auto()


@dataclass(slots=True, eq=False)
class Job:
    """One request and what becomes of it. Exactly one of `answered` and `failed` is called, once.

    Attributes:
        ask: the request, given the number that the document has in the engine.
        culprit: what to set aside when it kills the engine; None where the request is innocent by nature.
        origin: where it came from, for the quarantine.
        whole_bytes: it asks for all of the document, and is answered with the only update of its log where that is no
            larger; 0: it asks for something else.
        deaths: how often the process died around it without its being to blame.
    """

    key: DocumentKey
    task: Task
    ask: Callable[[int], Request]
    answered: Callable[[Reply], object]
    failed: Callable[[PeatError], object]
    size_bytes: int = 0
    culprit: Callable[[], bytes] | None = None
    origin: str = ""
    whole_bytes: int = 0
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """Load the log of the first of these documents, then call `Schedule.loaded`. The others are asked for soon."""

    keys: Sequence[DocumentKey]


@dataclass(slots=True, eq=False)
class OpenDocument:
    """A document that the engine has, or is being told.

    Attributes:
        number: its name in the engine.
        size_bytes: of its log; the base of how long a request about it may take.
        rows: still to be tried one by one, after opening it with all of them killed the engine.
    """

    number: int
    size_bytes: int
    rows: deque[StoredUpdate] = field(default_factory=deque)


class Step(Enum):
    """What was sent: a job's own request, or one that has to go before it."""

    JOB = auto()
    OPEN = auto()
    ROW = auto()
    AUDIT = auto()
    CLOSE = auto()


class Death(Enum):
    """How a process ended: by someone else's doing, by its own, for want of memory, or by ours because it did not
    answer."""

    OUTSIDE = auto()
    CRASH = auto()
    MEMORY = auto()
    HANG = auto()


@dataclass(slots=True, eq=False)
class Sent:
    """A request whose reply is awaited.

    Attributes:
        job: the one that it is (`JOB`), or is needed for.
        rows: of an `OPEN` or `AUDIT` all that it was given, of a `ROW` the one.
        is_alone: nothing else was on its way, and it is asked once more where something was: if the engine dies now,
            this is why.
        stands_alone: the engine answers all before it first: see `protocol.stands_alone`.
        request: the request itself; `Schedule` sets both.
    """

    step: Step
    key: DocumentKey
    document: OpenDocument
    size_bytes: int
    is_alone: bool
    job: Job | None = None
    rows: Sequence[StoredUpdate] = ()
    stands_alone: bool = False
    request: Request | None = None

    @property
    def weight_bytes(self) -> int:
        """What it counts for among what is on its way. A change costs what it brings; whatever asks for all of a
        document costs all of it, and others are not to wait for many of those."""
        if self.job is None:
            return 0
        is_change = self.step is Step.JOB and self.job.task is Task.APPLY
        return self.job.size_bytes if is_change else self.size_bytes

    def is_answered_by(self, reply: Reply) -> bool:
        """Whether the reply is one to this."""
        return self.request is not None and fits(self.request, reply)


def culprit(unanswered: Sequence[Sent], death: Death) -> Sent | None:
    """What the process died of, if that is known.

    A crash may come of memory that others took: hence a second try, in a new process. What makes it hang does so again,
    at the expense of all: one try is enough where it is known that the process was at it.
    """
    if not unanswered or death is Death.OUTSIDE:
        return None
    first = unanswered[0]
    is_at_it = len(unanswered) == 1 or first.stands_alone
    return first if first.is_alone or (death is Death.HANG and is_at_it) else None


def only_update(stored: StoredLog) -> bytes | None:
    """All of the document where that is in one piece."""
    pieces = [stored.snapshot or b"", *(row.update for row in stored.updates)]
    found = [piece for piece in pieces if piece]
    return found[0] if len(found) == 1 else None
