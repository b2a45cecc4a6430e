"""`peatd --demo`: three nodes on this machine, and a page to see them with. For people, not for programs."""
