// @y/websocket-server as its own program sets it up, on a port that the kernel picks. Prints the port.

import http from 'node:http'

import { setupWSConnection } from '@y/websocket-server/utils'
import { WebSocketServer } from 'ws'

const server = http.createServer()
const sockets = new WebSocketServer({ noServer: true })
sockets.on('connection', setupWSConnection)
server.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (client) => sockets.emit('connection', client, request)),
)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
