// The stock providers of y-websocket and Hocuspocus, told what to do by a test.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { HocuspocusProvider } from '@hocuspocus/provider'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

// What y-websocket is told and does not do something about, it writes there: by the URL that it names.
const warnings = []
console.warn = (...words) => warnings.push(words.join(' '))

const FIRST_CLIENT = 1000 // in a recording, client ids ascend with the agents

// Hocuspocus takes its listeners off a socket before it closes it; of one that was still connecting, Node then ends.
class Socket extends WebSocket {
  constructor (...where) {
    super(...where)
    this.on('error', () => {})
  }
}

class YWebsocket {
  constructor (doc, { url, name, token }) {
    const params = token ? { token } : {}
    this.closes = []
    this.provider = new WebsocketProvider(`${url}/sync`, name, doc, { WebSocketPolyfill: WebSocket, disableBc: true, params, maxBackoffTime: 300 })
    this.opens = 0
    this.provider.on('status', ({ status }) => { this.opens += status === 'connected' })
    this.provider.on('connection-close', (event) => this.closes.push(event ? [event.code, event.reason] : [0, 'closed here']))
  }

  get status () {
    const { synced, shouldConnect, url } = this.provider
    const told = warnings.filter((warning) => warning.includes(url))
    return { synced, unsynced: 0, opens: this.opens, closes: this.closes, wants: shouldConnect, told }
  }

  connect () { this.provider.connect() }
  disconnect () { this.provider.disconnect() }
  cut () { this.provider.ws?.terminate() }
}

class Hocuspocus {
  constructor (doc, { url, name, token }) {
    this.closes = []
    this.opens = 0
    this.provider = new HocuspocusProvider({
      url: `${url}/hocuspocus`,
      name,
      document: doc,
      token: token ?? '',
      WebSocketPolyfill: Socket,
      delay: 100,
      minDelay: 100,
      maxDelay: 300,
      onClose: ({ event }) => this.closes.push([event.code, event.reason]),
      onAuthenticationFailed: ({ reason }) => this.closes.push([403, reason])
    })
    this.provider.on('open', () => { this.opens++ })
  }

  get status () {
    const { synced, unsyncedChanges, configuration } = this.provider
    return { synced, unsynced: unsyncedChanges, opens: this.opens, closes: this.closes, wants: configuration.websocketProvider.shouldConnect }
  }

  connect () { this.provider.connect() }
  disconnect () { this.provider.disconnect() }
  cut () { this.provider.configuration.websocketProvider.webSocket?.terminate() }
}

const KINDS = { 'y-websocket': YWebsocket, hocuspocus: Hocuspocus }

const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
}

const codeUnits = (text, codePoints) => [...text].slice(0, codePoints).join('').length

// One agent of a recording: what it types goes to a node by its provider's document, and it sees of the others' what has
// come that way, no sooner than its recorded hand did.
class Author {
  constructor (agent, connected) {
    this.doc = new Y.Doc()
    this.doc.clientID = FIRST_CLIENT + agent
    this.text = this.doc.getText('text')
    this.isWide = false
    this.connected = connected
    this.seen = new Set()
  }

  type (patches) {
    let update
    this.doc.once('update', (made) => { update = made })
    this.doc.transact(() => {
      for (const [position, deleted, inserted] of patches) {
        const text = this.isWide ? this.text.toString() : ''
        const index = this.isWide ? codeUnits(text, position) : position
        if (deleted) this.text.delete(index, this.isWide ? codeUnits(text, position + deleted) - index : deleted)
        if (inserted) this.text.insert(index, inserted)
      }
    })
    if (update) Y.applyUpdate(this.connected, update, 'typed')
    return update
  }

  async hear (update, author) {
    const wanted = Y.parseUpdateMeta(update).to.get(author) ?? 0
    await until(() => Y.getState(this.connected.store, author) >= wanted)
    Y.applyUpdate(this.doc, update)
  }
}

const missing = (txns, seen, parents) => {
  const found = new Set()
  const waiting = [...parents]
  while (waiting.length) {
    const index = waiting.pop()
    if (seen.has(index) || found.has(index)) continue
    found.add(index)
    waiting.push(...(txns[index].parents ?? (index ? [index - 1] : [])))
  }
  return [...found].sort((a, b) => a - b)
}

export const PROVIDER_COMMANDS = (docs) => {
  const providers = new Map()
  return {
    connect: ({ doc, kind, ...where }) => {
      providers.set(doc, new KINDS[kind](docs.get(doc), where))
      return {}
    },
    provider: ({ doc, call }) => {
      providers.get(doc)[call]()
      return {}
    },
    status: ({ doc }) => providers.get(doc).status,
    show: ({ doc, state }) => {
      providers.get(doc).provider.awareness.setLocalState(state)
      return {}
    },
    company: ({ doc }) => ({ states: Object.fromEntries(providers.get(doc).provider.awareness.getStates()) }),
    replay: async ({ file, agents }) => {
      const { txns } = JSON.parse(gunzipSync(readFileSync(file)))
      const authors = agents.map((doc, agent) => new Author(agent, docs.get(doc)))
      const isWide = txns.some(({ patches }) => patches.some(([, , text]) => /[\ud800-\udfff]/.test(text)))
      const updates = []
      for (const [index, { agent = 0, patches, ...txn }] of txns.entries()) {
        const author = authors[agent]
        author.isWide = isWide
        for (const other of missing(txns, author.seen, txn.parents ?? (index ? [index - 1] : []))) {
          if (updates[other]) await author.hear(updates[other], FIRST_CLIENT + (txns[other].agent ?? 0))
          author.seen.add(other)
        }
        updates.push(author.type(patches))
        author.seen.add(index)
        if (index % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      return {}
    },
    fill: ({ doc, megabytes, words }) => {
      const made = docs.get(doc)
      const text = made.getText('t')
      const size = megabytes * 1e6 / words
      made.transact(() => {
        for (let n = 0; n < words; n++) text.insert(n % 2 ? text.length : 0, `${n} `.padEnd(size, 'lorem ipsum '))
      })
      made.getMap('data').set('words', words)
      return { bytes: Y.encodeStateAsUpdate(made).length }
    },
    set: ({ doc, key, bytes }) => {
      docs.get(doc).getMap('data').set(key, 'x'.repeat(bytes))
      return {}
    },
    string: ({ doc }) => ({ text: docs.get(doc).getText('text').toString() }),
    destroy: () => {
      for (const { provider } of providers.values()) provider.destroy()
      providers.clear()
      return {}
    }
  }
}
