"""Relays: nodes that cannot reach each other meet at one that both can reach.

protocol.py ◦       what is said to a relay and by it: messages, frames, what is signed
connecting.py       from a node to a relay: TCP, TLS, WebSocket, proxy
upgrade.py          the WebSocket handshake, either end; websocket.py: bytes through it
asking.py           what a node asks of a relay, and what comes of it
registration.py     a node behind relays: stays registered, takes the circuits that come
ways.py             how a peer is reached: directly, else by a relay, and directly again; race.py
part.py             all that a node has to do with relays, put together

gate.py ◦           at the relay: who may ask what; allowance.py ◦: how many bytes a second
switchboard.py      at the relay: who is registered, and which circuits there are; splice.py: one of them
reception.py        at the relay: its port; control.py: the connection of a node that is registered
role.py             being a relay, put together; alone.py and status.py: one that is no node
"""
