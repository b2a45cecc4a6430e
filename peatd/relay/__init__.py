"""Relays: nodes that cannot reach each other meet at one that both can reach.

protocol.py ◦       what is said to a relay and by it: messages, frames, what is signed
gate.py ◦           who may ask what of a relay
allowance.py ◦      how many bytes a second
websocket.py        bytes through a WebSocket
connecting.py       from a node to a relay: TCP, TLS, WebSocket, proxy
asking.py           what a node asks of a relay, and what comes of it
registration.py     a node behind relays: stays registered, takes the circuits that come
ways.py             how a peer is reached: directly, else by a relay, and directly again
switchboard.py      at the relay: who is registered, which circuits there are
splice.py           at the relay: one circuit
reception.py        at the relay: its port
"""
