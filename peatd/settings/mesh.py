"""Settings of the mesh's shape."""

from peatd.settings.setting import Setting
from peatd.settings.values import whole_number

MAX_LINKS: Setting[int] = Setting(
    name="max_links",
    metavar="N",
    variables=("PEAT_MAX_LINKS",),
    parse=whole_number(4, 256),
    meaning="links that this node keeps at most. A mesh of no more other nodes is full: each is linked to each. In a "
    "larger one a node keeps so many, and what happens elsewhere comes to it by way of others",
    default="16",
    reason="a full mesh of 17 is cheap; with sixteen links each, a thousand nodes are three steps from each other",
)
