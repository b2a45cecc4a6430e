// Makes redone.json: what Yjs writes when it redoes an item that stands between another and what that was redone from.
//
// A script and not a test: `npm install yjs` somewhere, and there `node make_redone.mjs > redone.json`.
// `updates` are sent in this order, `state` is all of them at once, `array` is what their author has. In each, one
// struct names the same neighbour on both sides.
import * as Y from 'yjs'

const hex = (bytes) => Buffer.from(bytes).toString('hex')

const VALUES = {
  'behind bytes': [[2 ** 31], new Uint8Array([1, 2]), 1.5],
  'behind a number that is one struct with what stands before it': [[1], 2, new Uint8Array([9])],
  'behind a string that is one struct with what stands before it': [['a'], 'b', new Uint8Array([9])],
  'a shared type': [[{ a: 1 }, 5], 'b', 'type']
}

const plain = (value) => value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value instanceof Y.AbstractType ? value.toJSON() : value

const vectors = Object.entries(VALUES).map(([what, [before, undone, between]]) => {
  const doc = new Y.Doc()
  doc.clientID = 7
  const updates = []
  doc.on('update', (update) => updates.push(hex(update)))
  const data = doc.getMap('data')
  const undo = new Y.UndoManager([data], { captureTimeout: 0, trackedOrigins: new Set(['edit']) })
  const edit = (change) => doc.transact(change, 'edit')
  edit(() => data.set('k', new Y.Array()))
  edit(() => data.get('k').insert(0, [...before, undone]))
  edit(() => data.get('k').delete(before.length, 1))
  undo.undo() // the value stands before what is left of it
  edit(() => data.get('k').insert(before.length + 1, [between === 'type' ? new Y.Map() : between])) // and this between the two
  edit(() => data.delete('k'))
  undo.undo()
  const hasIt = doc.store.clients.get(7).some(({ origin, rightOrigin }) => origin && Y.compareIDs(origin, rightOrigin))
  if (!hasIt) throw new Error(what)
  return { what, updates, state: hex(Y.encodeStateAsUpdate(doc)), array: data.get('k').toArray().map(plain) }
})

console.log(JSON.stringify({ written_by: 'make_redone.mjs, yjs 13.6.33', vectors }, null, 1))
