// Stock Yjs clients that edit at random, for tests: a request a line of JSON on stdin, a reply a line on stdout.
// Everything follows from the seeds in the requests. With a provider (providers.mjs) they do so on real nodes.
import readline from 'node:readline'
import * as Y from 'yjs'
import { PROVIDER_COMMANDS } from './providers.mjs'
import { loaded } from './structure.mjs'

const docs = new Map()

// mulberry32
const chance = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const WORDS = ['a', 'word ', '😀', '👨‍👩‍👧', 'é', '日本', '\n', '<b>&', 'x😀y😁z', '🙂🙃']
const KEYS = ['k0', 'k1', 'k2', 'ключ', '😀']
const FORMATS = ['bold', 'em', 'link']

class Editor {
  constructor (doc, random) {
    this.doc = doc
    this.random = random
  }

  below (limit) {
    return Math.floor(this.random() * limit)
  }

  pick (list) {
    return list[this.below(list.length)]
  }

  scalar () {
    return this.pick([0, 1, -1, 2 ** 31, 2 ** 40, 1.5, 0.1, 'text', '😀', '', true, false, null, new Uint8Array([1, 2]),
      { plain: [1, { x: null }] }, [1, [2]]])
  }

  value (depth) {
    if (depth > 3 || this.random() < 0.5) return this.scalar()
    const made = this.pick([() => new Y.Map(), () => new Y.Array(), () => new Y.Text(this.pick(WORDS)),
      () => new Y.XmlFragment(), () => new Y.XmlText('xt'), () => new Y.XmlElement('p')])()
    if (made instanceof Y.Map) for (let n = this.below(3); n > 0; n--) made.set(this.pick(KEYS), this.value(depth + 1))
    if (made.constructor === Y.Array) made.insert(0, Array.from({ length: this.below(4) }, () => this.value(depth + 1)))
    return made
  }

  formats () {
    return { [this.pick(FORMATS)]: this.pick([true, {}, { href: 'x', 1: 'y' }, 'red', 7]) }
  }

  // Where a pair is cut, clearing a format that is not there would cut it for this client only: a fault of Yjs.
  isWhole (text, index) {
    const code = text.toString().charCodeAt(index)
    return !(code >= 0xdc00 && code <= 0xdfff)
  }

  text (text) {
    const length = text.length
    const index = this.below(length + 1)
    const size = Math.min(1 + this.below(6), length - index)
    switch (this.below(8)) {
      case 0: case 1: case 2:
        return text.insert(index, this.pick(WORDS), this.random() < 0.2 ? this.formats() : undefined)
      case 3:
        return size && text.insertEmbed(index, this.pick([{ image: 'x' }, 'embed', 5]))
      case 4: case 5:
        return size && text.delete(index, size)
      case 6:
        return size && text.format(index, size, this.formats())
      default: {
        const isPlain = [...text.toDelta()].every((op) => typeof op.insert === 'string')
        if (size && isPlain && this.isWhole(text, index) && this.isWhole(text, index + size)) {
          text.format(index, size, { [this.pick(FORMATS)]: null })
        }
      }
    }
  }

  map (map, depth) {
    const key = this.pick(KEYS)
    const current = map.get(key)
    if (current instanceof Y.AbstractType && this.random() < 0.7) return this.type(current, depth + 1)
    if (this.random() < 0.25) return map.delete(key)
    map.set(key, this.pick([undefined, 5n, 2n ** 53n + 1n, ...Array(9).fill(null)]) ?? this.value(depth))
  }

  array (array, depth) {
    const index = this.below(array.length + 1)
    const size = Math.min(1 + this.below(3), array.length - index)
    const current = array.get(index)
    if (current instanceof Y.AbstractType && this.random() < 0.6) return this.type(current, depth + 1)
    if (size && this.random() < 0.4) return array.delete(index, size)
    array.insert(index, Array.from({ length: 1 + this.below(3) }, () => this.value(depth)))
  }

  xml (parent, depth) {
    const index = this.below(parent.length + 1)
    const current = index < parent.length ? parent.get(index) : undefined
    if (current && this.random() < 0.6) return this.type(current, depth + 1)
    if (current && this.random() < 0.3) return parent.delete(index, 1)
    const made = this.pick([() => new Y.XmlElement(this.pick(['p', 'Head', 'li'])), () => new Y.XmlText(this.pick(WORDS))])()
    if (depth < 6) parent.insert(index, [made])
  }

  attributes (element) {
    const name = this.pick(['a', 'B', 'level'])
    if (this.random() < 0.3) return element.removeAttribute(name)
    element.setAttribute(name, this.pick(['x', 1, true, null, '😀', { o: 1 }, 1.5, [1, null]]))
  }

  type (type, depth = 0) {
    if (type instanceof Y.XmlText || type instanceof Y.Text) return this.text(type)
    if (type instanceof Y.XmlElement) return this.random() < 0.3 ? this.attributes(type) : this.xml(type, depth)
    if (type instanceof Y.XmlFragment) return this.xml(type, depth)
    if (type instanceof Y.Map) return this.map(type, depth)
    return this.array(type, depth)
  }

  edit () {
    const { doc } = this
    const undo = docs.undo.get(doc)
    const draw = this.random()
    if (draw < 0.08) return void undo.undo()
    if (draw < 0.12) return void undo.redo()
    const root = this.pick([() => doc.getText('t'), () => doc.getMap('data'), () => doc.getMap('data'), () => doc.getArray('a'),
      () => doc.getXmlFragment('x')])()
    doc.transact(() => {
      for (let n = 1 + this.below(3); n > 0; n--) this.type(root)
    }, 'edit')
  }
}
docs.undo = new Map()

const plain = (value) => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'string') return value.toWellFormed()
  if (value === undefined) return null
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, plain(child)]))
  }
  return value
}

const base64 = (bytes) => Buffer.from(bytes).toString('base64')
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))

const COMMANDS = {
  open: ({ doc, client }) => {
    const made = new Y.Doc()
    made.clientID = client
    const roots = [made.getText('t'), made.getMap('data'), made.getArray('a'), made.getXmlFragment('x')]
    docs.set(doc, made)
    docs.undo.set(made, new Y.UndoManager(roots, { captureTimeout: 0, trackedOrigins: new Set(['edit']) }))
    return {}
  },
  edit: ({ doc, seed, count }) => {
    const updates = []
    const made = docs.get(doc)
    const note = (update) => updates.push(base64(update))
    made.on('update', note)
    const editor = new Editor(made, chance(seed))
    for (let n = 0; n < count; n++) editor.edit()
    made.off('update', note)
    return { updates }
  },
  vector: ({ doc }) => ({ vector: base64(Y.encodeStateVector(docs.get(doc))) }),
  diff: ({ doc, vector }) => ({ update: base64(Y.encodeStateAsUpdate(docs.get(doc), bytes(vector))) }),
  apply: ({ doc, update }) => {
    Y.applyUpdate(docs.get(doc), bytes(update))
    return { pending: docs.get(doc).store.pendingStructs !== null || docs.get(doc).store.pendingDs !== null }
  },
  read: ({ doc }) => {
    const made = docs.get(doc)
    const { t, data, a, x } = Object.fromEntries([...made.share].map(([name, type]) => [name, plain(type.toJSON())]))
    return { document: data, roots: { t, a, x }, update: base64(Y.encodeStateAsUpdate(made)) }
  },
  load: ({ copies }) => ({
    copies: copies.map((updates) => {
      const copy = loaded(updates.map(bytes))
      return copy.update ? { ...copy, update: base64(copy.update) } : copy
    })
  }),
  ...PROVIDER_COMMANDS(docs),
  forget: () => {
    docs.clear()
    docs.undo.clear()
    return {}
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { command, ...request } = JSON.parse(line)
  process.stdout.write(JSON.stringify(await COMMANDS[command](request)) + '\n')
}

process.exit(0) // whatever timers and sockets there are
