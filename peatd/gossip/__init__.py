"""What nodes tell each other about the mesh: who is a member, who is linked to whom, and who is not heard of any more.

cards.py        what a member says of itself, and signs
book.py         all cards
members.py      this node's card among them, and who is within reach by them
doubts.py       who is suspected, and when that counts (SWIM with Lifeguard)
peer_gossip.py  all that over one link
gossip.py       the tasks behind it
"""
