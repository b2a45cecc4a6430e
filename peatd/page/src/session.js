// The document and its connection. The provider is y-websocket's as it comes: it dials again whatever happens, and we
// only tell it where.
//
// 1. When a connection ends or is not made, the next node is tried.
// 2. Somebody who chooses a node is asked for no reason: the old connection is left, and is no failure.
// 3. What is written while there is no connection waits in the document, and is in the first sync after it.
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { keepToken } from './address.js'

const MAX_PAUSE = 2000 // ms between two attempts, at most: a person is waiting

export function openSession (nodes, address) {
  return new Session(nodes, address)
}

class Session {
  #provider
  #moved = []
  #changed = []
  #failures = 0

  constructor (nodes, { name, token }) {
    this.nodes = nodes
    this.name = name
    this.node = nodes.first
    this.doc = new Y.Doc()
    this.text = this.doc.getText('text')
    this.waiting = 0 // edits of ours that no node has yet
    this.#provider = new WebsocketProvider(this.node.url, name, this.doc, {
      params: parameters(token),
      maxBackoffTime: MAX_PAUSE,
      disableBc: true // windows of one browser would hear of each other without a node
    })
    this.awareness = this.#provider.awareness
    this.#provider.on('connection-close', (event) => this.#closed(event))
    this.#provider.on('closed', ({ reason }) => this.#refused(reason))
    this.#provider.on('status', ({ status }) => {
      if (status === 'disconnected') this.#forgetOthers()
      this.#tell()
    })
    this.#provider.on('sync', () => this.#synced())
    this.doc.on('update', (_update, origin) => this.#updated(origin))
  }

  get isLive () {
    return this.#provider.wsconnected && this.#provider.synced
  }

  // By a token for readers only, no: a node would refuse what they write, and nobody else would ever see it.
  get mayWrite () {
    return readClaims(this.#provider.params.token).access !== 'read'
  }

  // Nobody has let us in, in two rounds.
  get isShutOut () {
    return this.#failures >= 2 * this.nodes.all.length
  }

  onChange (listener) {
    this.#changed.push(listener)
    listener()
  }

  onMove (listener) {
    this.#moved.push(listener)
    listener(this.node, null)
  }

  move (node) {
    this.#aim(node, null)
    this.#provider.disconnect()
    this.#provider.connect()
  }

  use (token) {
    keepToken(token)
    this.#failures = 0
    this.refusal = null
    this.#provider.params = parameters(token)
    this.#provider.disconnect()
    this.#provider.connect()
    this.#tell()
  }

  #closed () {
    if (!this.#provider.ws.url.startsWith(`${this.node.url}/`)) return // Rule 2
    this.#failures += 1
    const next = this.nodes.after(this.node)
    if (next !== this.node) this.#aim(next, this.node)
    this.#tell()
  }

  #refused (reason) {
    this.refusal = reason
    this.#failures = Infinity
    this.#tell()
  }

  #aim (node, left) {
    this.node = node
    this.#provider.serverUrl = node.url
    for (const listener of this.#moved) listener(node, left)
    this.#tell()
  }

  // The provider has taken the others' states away, but not how new they were: told the same ones by another node, it would
  // take them for old, and nobody would be here until they move.
  #forgetOthers () {
    const { meta, clientID } = this.awareness
    for (const client of [...meta.keys()]) if (client !== clientID) meta.delete(client)
  }

  #synced () {
    if (this.#provider.synced) this.waiting = this.#failures = 0
    this.#tell()
  }

  #updated (origin) {
    if (origin === this.#provider || this.isLive) return
    this.waiting += 1
    this.#tell()
  }

  #tell () {
    for (const listener of this.#changed) listener()
  }
}

function parameters (token) {
  return token ? { token } : {}
}

// Of a JWT (RFC 7519), whose signature is for the nodes to check. The API's own token is none, and may do everything.
function readClaims (token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))
  } catch {
    return {}
  }
}
