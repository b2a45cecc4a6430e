// What a Yjs document consists of, unit by unit, so that it can be compared with what a node makes of the same updates:
// {container: ids in order} and {container|key: id}, ids as 'client:clock'. A container is 'root NAME' or the id of the
// item that holds a shared type. Of what is deleted nothing is said: that is in the state.
import { createHash } from 'node:crypto'
import * as Y from 'yjs'

const TEXT = 4

// A value as a string, different for all that differ; but for a BigInt, of which pycrdt makes a number where it can.
const written = (value) => {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(written)}]`
  if (value && typeof value === 'object') {
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${written(value[key])}`)}}`
  }
  if (typeof value === 'bigint') return `number ${value}`
  return Object.is(value, -0) ? '-0' : `${typeof value} ${value}`
}

const parts = (item) => {
  const { content } = item
  if (content.getRef() === TEXT) return [...Array(item.length).keys()].map((n) => content.str.charCodeAt(n))
  if (content instanceof Y.ContentType) return [`type ${content.type.constructor.name} ${content.type.nodeName ?? ''}`]
  if (content instanceof Y.ContentFormat) return [`format ${content.key} ${written(content.value)}`]
  return content.getContent().map((value) => (value instanceof Y.Doc ? 'document' : written(value)))
}

export const structure = (doc) => {
  const places = {}
  const values = []
  const waiting = [...doc.share].map(([name, type]) => [`root ${name}`, type])
  const note = (item, offset) => {
    const id = `${item.id.client}:${item.id.clock + offset}`
    values.push(`${id} ${item.content.getRef()} ${parts(item)[offset]}`)
    if (item.content instanceof Y.ContentType) waiting.push([id, item.content.type])
    return id
  }
  while (waiting.length) {
    const [container, type] = waiting.pop()
    const ids = []
    for (let item = type._start; item !== null; item = item.right) {
      if (!item.deleted) for (let n = 0; n < item.length; n++) ids.push(note(item, n))
    }
    if (ids.length) places[container] = ids
    for (const [key, item] of [...type._map].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!item.deleted) places[`${container}|${key}`] = [note(item, item.length - 1)]
    }
  }
  return { places, values: createHash('sha256').update(values.sort().join('\n')).digest('hex') }
}

// A document that has merged these updates, one after the other.
export const loaded = (updates) => {
  const doc = new Y.Doc()
  try {
    for (const update of updates) Y.applyUpdate(doc, update)
  } catch (error) {
    return { error: `${error}` }
  }
  const isPending = doc.store.pendingStructs !== null || doc.store.pendingDs !== null
  return { error: isPending ? 'pending' : null, ...structure(doc), update: Y.encodeStateAsUpdate(doc) }
}
