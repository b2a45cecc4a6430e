"""Stock Yjs clients, under Node: `tests/yjs/clients.mjs` says what they do."""

import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).parent.parent / "yjs"


@dataclass(frozen=True)
class Loaded:
    """A copy in stock Yjs.

    Attributes:
        error: what it threw, or `pending` where it waits for more.
        update: all of it.
        places: what stands where: see `tests/yjs/structure.mjs`.
        values: names what all of that is.
    """

    error: str | None
    update: bytes
    places: Mapping[str, Sequence[str]]
    values: str


class YjsClients:
    """A Node process that holds Yjs documents, each named by a number."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def _ask(self, command: str, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **request}).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "node has ended: see its stderr"
        reply: dict[str, Any] = json.loads(line)
        return reply

    def open(self, doc: int, client: int) -> None:
        self._ask("open", doc=doc, client=client)

    def edit(self, doc: int, seed: int, count: int) -> list[bytes]:
        """Random edits; what the program would send."""
        return [b64decode(update) for update in self._ask("edit", doc=doc, seed=seed, count=count)["updates"]]

    def vector(self, doc: int) -> bytes:
        return b64decode(self._ask("vector", doc=doc)["vector"])

    def diff(self, doc: int, vector: bytes) -> bytes:
        return b64decode(self._ask("diff", doc=doc, vector=b64encode(vector).decode())["update"])

    def apply(self, doc: int, update: bytes, *, is_placed: bool = True) -> None:
        """Merges an update, all of which has its place, or not yet."""
        assert self._ask("apply", doc=doc, update=b64encode(update).decode())["pending"] != is_placed

    def read(self, doc: int) -> tuple[dict[str, Any], dict[str, Any], bytes]:
        """The root map `data` as JSON, the other roots, and all of it as an update."""
        reply = self._ask("read", doc=doc)
        return reply["document"], reply["roots"], b64decode(reply["update"])

    def load(self, *copies: Sequence[bytes]) -> list["Loaded"]:
        """What new documents are, each of which has merged these updates one after the other."""
        encoded = [[b64encode(update).decode() for update in updates] for updates in copies]
        return [
            Loaded(copy["error"], b64decode(copy.get("update", "")), copy.get("places", {}), copy.get("values", ""))
            for copy in self._ask("load", copies=encoded)["copies"]
        ]

    def forget(self) -> None:
        self._ask("forget")

    # With a provider: `tests/yjs/providers.mjs` ----------------------------------------------------------------

    def connect(self, doc: int, kind: str, url: str, name: str, token: str | None = None) -> None:
        """Gives a document a provider, `y-websocket` or `hocuspocus`."""
        self._ask("connect", doc=doc, kind=kind, url=url, name=name, token=token)

    def provider(self, doc: int, call: str) -> None:
        """`connect`, `disconnect` or `cut`."""
        self._ask("provider", doc=doc, call=call)

    def status(self, doc: int) -> dict[str, Any]:
        """`synced`, `unsynced`, `opens`, `closes` as (code, reason), whether it `wants` to be connected, and what its
        developer was `told` (y-websocket tells nobody else)."""
        return self._ask("status", doc=doc)

    def show(self, doc: int, state: object) -> None:
        self._ask("show", doc=doc, state=state)

    def company(self, doc: int) -> dict[str, Any]:
        """Awareness states by client id."""
        return dict(self._ask("company", doc=doc)["states"])

    def replay(self, file: Path, agents: Sequence[int]) -> None:
        """Types a recording, its agents by these documents' providers."""
        self._ask("replay", file=str(file), agents=list(agents))

    def fill(self, doc: int, megabytes: int, words: int) -> int:
        """Writes so much into its text, in so many pieces; its size as an update."""
        return int(self._ask("fill", doc=doc, megabytes=megabytes, words=words)["bytes"])

    def set(self, doc: int, key: str, size_bytes: int) -> None:
        """A string of that size under a key of its root map."""
        self._ask("set", doc=doc, key=key, bytes=size_bytes)

    def text(self, doc: int) -> str:
        return str(self._ask("string", doc=doc)["text"])

    def destroy(self) -> None:
        self._ask("destroy")


@contextmanager
def yjs_clients(directory: Path) -> Iterator[YjsClients]:
    """Skips the test, and says why, where Node is not to be had. `directory` is empty."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm, for stock Yjs clients")
    for name in ("package.json", "package-lock.json", "clients.mjs", "providers.mjs", "structure.mjs"):
        shutil.copy(_SOURCE / name, directory)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = subprocess.run(install, cwd=directory, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install yjs: {installed.stderr.strip().splitlines()[-1:]}")
    with subprocess.Popen(
        [node, "clients.mjs"], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield YjsClients(process)
        assert process.stdin is not None
        process.stdin.close()


def with_cut_pairs(value: Any) -> Any:
    """JSON in which every surrogate pair is cut, as Yjs cuts them: two programs of stock Yjs with one state may
    disagree about one that was cut by a format which was collected, or never left its program."""
    return json.loads(re.sub("[\U00010000-\U0010ffff]", "\ufffd\ufffd", json.dumps(value, ensure_ascii=False)))
