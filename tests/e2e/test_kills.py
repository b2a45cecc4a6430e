"""kill -9, again and again, under writes: what was acknowledged is there."""

import random

from e2e.nodes import Formation, up, wait_linked
from e2e.writers import check_all_there, wait_acknowledged, writing

ROUNDS = 6


def test_every_acknowledged_write_survives_every_kill(formation: Formation) -> None:
    chance = random.Random(1)
    nodes = formation.mesh("alice", "bob", "carol")
    up(*nodes)
    nodes[0].write("PUT", "kills/shared", {"nested": {}}, "?ack=replicated:2")
    with writing(nodes, per_node=2, shared="kills/shared") as writers:
        for turn in range(ROUNDS):
            wait_acknowledged(writers, 8)
            victims = chance.sample(nodes, 3 if turn == ROUNDS - 1 else chance.choice((1, 1, 2)))
            for victim in victims:
                victim.kill()
            for victim in victims:
                victim.start()
            for victim in victims:
                victim.wait_ready()
        wait_acknowledged(writers, 8)
    wait_linked(*nodes)
    check_all_there(nodes, writers)
    assert min(len(writer.fields) for writer in writers) > ROUNDS
    for node in nodes:  # and on its own disk, too
        node.kill()
    for node in nodes:
        node.start().wait_ready()
        check_all_there([node], writers)
        node.stop()
