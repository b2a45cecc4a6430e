"""This node, its peers, and who is linked to whom."""

from http import HTTPStatus

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.answers import json_answer
from peatd.api.refusal import Refusal
from peatd.api.views import Mesh, NodeView, PeersView


def add_node_routes(app: QuartTrio, mesh: Mesh) -> None:
    """`/node`, `/peers`, `/peers/{id}` and `/topology`."""

    async def node() -> TrioResponse:
        return json_answer(
            NodeView(
                node_id=mesh.node_id,
                device_id=mesh.device_id,
                public_key=mesh.public_key,
                formation=mesh.formation,
                uptime_secs=int(mesh.uptime()),
                version=mesh.version,
                addresses=mesh.addresses(),
                documents=mesh.documents.count(),
                digest=mesh.documents.digest(),
                secrets=mesh.secrets,
                relays=mesh.relays(),
            )
        )

    async def peers() -> TrioResponse:
        known = mesh.peers()
        return json_answer(PeersView(known, len(known)))

    async def peer(peer_id: str) -> TrioResponse:
        found = mesh.peer(peer_id)
        if found is None:
            raise Refusal(
                HTTPStatus.NOT_FOUND,
                "no_such_peer",
                f"no peer is known as {peer_id[:80]!r}",
                "GET /api/v1/peers lists them by node id and device id",
            )
        return json_answer(found)

    async def topology() -> TrioResponse:
        return json_answer(mesh.topology())

    app.add_url_rule("/api/v1/node", view_func=node)
    app.add_url_rule("/api/v1/peers", view_func=peers)
    app.add_url_rule("/api/v1/peers/<peer_id>", view_func=peer)
    app.add_url_rule("/api/v1/topology", view_func=topology)
