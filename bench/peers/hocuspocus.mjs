// @hocuspocus/server with its Redis extension as its manual sets them up. The arguments: a name, Redis' port.
// Prints the port that the kernel picked.

import { Redis } from '@hocuspocus/extension-redis'
import { Server } from '@hocuspocus/server'

const [identifier, port] = process.argv.slice(2)
const server = new Server({
  name: identifier,
  address: '127.0.0.1',
  port: 0,
  quiet: true,
  stopOnSignals: true,
  extensions: [new Redis({ identifier, host: '127.0.0.1', port: Number(port) })],
})
await server.listen()
console.log(server.address.port)
