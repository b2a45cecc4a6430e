"""The mesh drawn on a terminal: a tree of the shortest ways from this node, and beside each node its other links."""

from collections import deque

from cli.picture import Topology, beyond, neighbours
from cli.render import duration, plain, terminal_width

_COLOURS = {"self": "bold", "suspected": "yellow", "unreachable": "red", "left": "dim"}
_REACHABLE = "green"


def draw(found: Topology) -> str:
    """With the escapes of a terminal's colours."""
    from rich.console import Console  # here, because only a drawing needs it: loading it takes longer than all the rest
    from rich.text import Text
    from rich.tree import Tree

    states = {member.id: member.state for member in found.members}
    graph = neighbours(found)
    root = found.members[0].id if found.members else next(iter(graph), "this node")
    ways = _ways(graph, root)

    def shown(name: str) -> Text:
        return Text(plain(name), style=_COLOURS.get(states.get(name, ""), _REACHABLE))

    trees = {root: Tree(shown(root).append("  this node", style="dim"))}
    for there, here in ways.items():
        rtt_ms = graph[here][there]
        line = shown(there).append("" if rtt_ms is None else f"  {duration(rtt_ms / 1000)}", style="default")
        others = sorted(name for name in graph[there] if name != here and ways.get(name) != there)
        if others:
            line.append(f"  also linked: {', '.join(map(plain, others))}", style="dim")
        trees[there] = trees[here].add(line)
    drawn = [trees[root]]
    if lost := beyond(found):
        drawn.append(Tree(Text("out of reach")))
        for member in lost:
            since = "left" if member.unreachable_secs is None else f"since {duration(member.unreachable_secs)}"
            drawn[1].add(shown(member.id).append(f"  {since}", style="default"))
    console = Console(force_terminal=True, highlight=False, width=terminal_width())
    with console.capture() as capture:
        for tree in drawn:
            console.print(tree)
    return capture.get()


def _ways(graph: dict[str, dict[str, float | None]], root: str) -> dict[str, str]:
    """Of each node that links lead to, from which one the shortest way comes; the nearest first."""
    ways: dict[str, str] = {}
    waiting = deque([root])
    while waiting:
        here = waiting.popleft()
        for there in sorted(graph.get(here, {})):
            if there != root and there not in ways:
                ways[there] = here
                waiting.append(there)
    return ways
