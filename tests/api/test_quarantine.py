"""What was set aside, and who brought it."""

from peatd.library import SetAside
from peatd.names import DocumentName


async def test_what_was_set_aside_is_told_with_who_brought_it(node):
    empty = await node.ask("GET", "/quarantine")
    assert (empty.status, empty.json) == (200, {"updates": [], "count": 0})
    node.mesh.documents.set_aside = [
        SetAside(DocumentName("notes/a"), 2, "client 192.0.2.7:5000 (alice)", "it hung", 1764000000.5, "ab" * 32, 51, 3)
    ]
    told = await node.ask("GET", "/quarantine")
    assert told.json == {
        "updates": [
            {
                "collection": "notes",
                "id": "a",
                "incarnation": 2,
                "origin": "client 192.0.2.7:5000 (alice)",
                "reason": "it hung",
                "time": "2025-11-24T16:00:00Z",
                "sha256": "ab" * 32,
                "size_bytes": 51,
                "times": 3,
            }
        ],
        "count": 1,
    }
    assert (await node.ask("GET", "/quarantine?limit=1")).status == 400
