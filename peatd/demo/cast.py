"""The three nodes together: implements `api.demo_control.Stage`."""

import http.client
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import trio

from peatd.api.demo_page import DemoLink, DemoNode
from peatd.api.errors import error_body
from peatd.demo.child import Child
from peatd.errors import DemoFailed

_ANSWER = 2.0
"""Seconds for a node of this machine to answer. One that was killed refuses at once."""

_PAUSE = 0.1
"""Seconds until nodes that are not linked yet are asked again."""

_LINKED = 60.0
"""Seconds until all are linked with each other. It takes two, and many more on a machine that is busy."""


class Cast:
    """The nodes of a demo, by name, and what they say of themselves."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = {child.place.name: child for child in children}

    @property
    def names(self) -> Sequence[str]:
        return list(self._children)

    async def start(self, name: str) -> None:
        await self._children[name].start()

    async def kill(self, name: str) -> None:
        await self._children[name].kill()

    async def stop(self) -> None:
        """All of them in order, at one time."""
        async with trio.open_nursery() as nursery:
            for child in self._children.values():
                nursery.start_soon(child.stop)

    def kill_now(self) -> None:
        for child in self._children.values():
            child.kill_now()

    async def watch(self, tell: Callable[[str], None]) -> None:
        async with trio.open_nursery() as nursery:
            for child in self._children.values():
                nursery.start_soon(child.watch, tell)

    async def link(self) -> None:
        """Starts all, and returns when each is linked with all others.

        Raises:
            DemoFailed: if one has ended, or they are not linked in time.
        """
        async with trio.open_nursery() as nursery:
            for child in self._children.values():
                nursery.start_soon(child.start)
        with trio.move_on_after(_LINKED):
            while not self._are_linked(await self.look()):
                ended = [child.last_words() for child in self._children.values() if not child.is_running]
                if ended:
                    raise DemoFailed("; ".join(ended))
                await trio.sleep(_PAUSE)
            return
        logs = " ".join(str(child.place.log) for child in self._children.values())
        raise DemoFailed(f"the nodes are not linked after {_LINKED:.0f} s; their logs say why: {logs}")

    async def look(self) -> Sequence[DemoNode]:
        found: dict[str, DemoNode] = {}

        async def look_at(child: Child) -> None:
            links = await self._links(child) if child.is_running else []
            found[child.place.name] = DemoNode(child.place.name, str(child.place.clients), child.is_running, links)

        async with trio.open_nursery() as nursery:
            for child in self._children.values():
                nursery.start_soon(look_at, child)
        return [found[name] for name in self._children]

    async def ask(self, name: str, path: str) -> tuple[int, bytes]:
        child = self._children[name]
        try:
            return await trio.to_thread.run_sync(_get, child, path, abandon_on_cancel=True)
        except (OSError, http.client.HTTPException):
            body = error_body("unavailable", f"{name} does not answer", "start it, or ask another")
            return HTTPStatus.SERVICE_UNAVAILABLE, body

    async def _links(self, child: Child) -> list[DemoLink]:
        status, body = await self.ask(child.place.name, "/api/v1/topology")
        told: dict[str, Any] = json.loads(body) if status == HTTPStatus.OK else {"links": []}
        return [DemoLink(link["to"], link["rtt_ms"]) for link in told["links"] if link["from"] == child.place.name]

    def _are_linked(self, nodes: Sequence[DemoNode]) -> bool:
        return all(node.links and {link.to for link in node.links} == set(self.names) - {node.name} for node in nodes)


def _get(child: Child, path: str) -> tuple[int, bytes]:
    token = (child.place.directory / "api.token").read_text(encoding="ascii").strip()
    connection = http.client.HTTPConnection(child.place.api.host, child.place.api.port, timeout=_ANSWER)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
