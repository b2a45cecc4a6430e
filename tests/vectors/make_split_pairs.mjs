// Makes split_pairs.json: what Yjs makes of programs that cut an emoji in two.
//
// A script and not a test: `npm install yjs` somewhere, and there `node make_split_pairs.mjs > split_pairs.json`.
// `updates` are sent in this order; a Yjs that gets them one by one, or all merged into one, shows `text` and encodes
// as `state`.
import * as Y from 'yjs'

const hex = (bytes) => Buffer.from(bytes).toString('hex')

const replica = (client, ...updates) => {
  const doc = new Y.Doc()
  doc.clientID = client
  for (const update of updates) Y.applyUpdate(doc, update)
  return doc
}

const edit = (doc, change) => {
  const updates = []
  const note = (update) => updates.push(update)
  doc.on('update', note)
  doc.transact(() => change(doc.getText('t')))
  doc.off('update', note)
  return updates
}

const ALONE = {
  'the first half is deleted': (t) => t.delete(1, 1),
  'the second half is deleted': (t) => t.delete(2, 1),
  'a letter and the first half are deleted': (t) => t.delete(0, 2),
  'the second half and a letter are deleted': (t) => t.delete(2, 2),
  'the second half of one and the first of the next are deleted': (t) => t.delete(2, 2),
  'a letter is typed between the halves': (t) => t.insert(2, 'X'),
  'the first half is made bold': (t) => t.format(1, 1, { bold: true }),
  'the second half is made bold': (t) => t.format(2, 1, { bold: true }),
  'the pair is deleted whole': (t) => t.delete(1, 2),
  'a letter is typed behind the pair': (t) => t.insert(3, 'X')
}
const TEXTS = ['a😀b', 'a😀😁b', 'é😀日😁']

const vectors = []

const freeze = (what, updates) => {
  const doc = replica(1000, ...updates)
  const merged = replica(1001, Y.mergeUpdates(updates))
  const text = doc.getText('t').toString()
  if (merged.getText('t').toString() !== text) throw new Error(what)
  vectors.push({
    what,
    updates: updates.map(hex),
    merged: hex(Y.mergeUpdates(updates)),
    text,
    state: hex(Y.encodeStateAsUpdate(doc))
  })
}

for (const text of TEXTS) {
  for (const [what, change] of Object.entries(ALONE)) {
    const start = edit(replica(5), (t) => t.insert(0, text))
    freeze(`${text}: ${what}`, [...start, ...edit(replica(9, ...start), change)])
  }
  const start = edit(replica(5), (t) => t.insert(0, text))
  const alice = edit(replica(9, ...start), (t) => t.delete(1, 1))
  const bob = edit(replica(4, ...start), (t) => t.delete(2, 1))
  const carol = edit(replica(7, ...start), (t) => t.insert(2, '🙂'))
  freeze(`${text}: both halves are deleted by two at once`, [...start, ...alice, ...bob])
  freeze(`${text}: cut by three at once`, [...start, ...carol, ...alice, ...bob])
  const dave = edit(replica(3, ...start, ...carol), (t) => t.delete(3, 1))
  freeze(`${text}: a pair between the halves of another is cut`, [...start, ...carol, ...dave])
}

const halves = replica(5)
const first = edit(halves, (t) => t.insert(0, 'a\ud83d'))
edit(halves, (t) => t.insert(2, '\ude00b'))
freeze('the second half comes with a state that holds the pair whole', [...first, Y.encodeStateAsUpdate(halves)])

console.log(JSON.stringify({ written_by: 'make_split_pairs.mjs, yjs 13.6.33', vectors }, null, 1))
