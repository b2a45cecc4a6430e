"""Yjs clients: the listener that stock `y-websocket` and Hocuspocus providers connect to."""
