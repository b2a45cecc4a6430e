// Makes browser_documents.json: documents as Yjs programs write them, and the JSON that Yjs itself makes of them.
//
// A script and not a test: `npm install yjs` somewhere, and there `node make_browser_documents.mjs > browser_documents.json`.
// Where JSON has no word for a value, ours is: base64 for bytes, a number for a BigInt, null for undefined.
import * as Y from 'yjs'

const plain = (value) => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'string') return value.toWellFormed() // as every encoder of UTF-8 does
  if (value === undefined) return null
  if (value instanceof Date) return {} // what lib0 makes of it
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, plain(child)]))
  }
  return value
}

const vectors = []

const freeze = (what, write, hooks = false) => {
  const doc = new Y.Doc()
  doc.clientID = 5
  write(doc)
  const shared = Object.fromEntries([...doc.share].map(([name, type]) => [name, plain(type.toJSON())]))
  const { data: document = {}, ...roots } = shared
  vectors.push({ what, hooks, hex: Buffer.from(Y.encodeStateAsUpdate(doc)).toString('hex'), document, roots })
}

const text = (words, ...formats) => {
  const made = new Y.Text()
  made.insert(0, words)
  for (const [start, length, attributes] of formats) made.format(start, length, attributes)
  return made
}

freeze('texts, arrays and maps in a map', (doc) => {
  const data = doc.getMap('data')
  data.set('text', text('héllo 😀 wörld, how are you?', [0, 5, { bold: true }], [9, 5, { link: 'x' }]))
  data.set('list', Y.Array.from([1, new Y.Map([['a', 1], ['b', text('in a map')]]), Y.Array.from([true, null]), 'end']))
  data.set('plain', { list: [1, { x: 1.5 }], none: null })
  data.get('text').insertEmbed(3, { image: 'x.png' })
  data.get('list').delete(3, 1)
  data.get('list').insert(0, [0.5, 'two'])
})

freeze('values without a word in JSON', (doc) => {
  const data = doc.getMap('data')
  const values = [undefined, 10n ** 15n, -3n, new Uint8Array([1, 2, 255]), NaN, Infinity, -0, 1e300, 2 ** 40, new Date(0)]
  values.forEach((value, index) => data.set(`v${index}`, value))
  data.set('nested', { list: values })
  data.set('list', Y.Array.from(values.filter((value) => typeof value === 'number' || value instanceof Uint8Array)))
})

const paragraph = (doc) => {
  const p = new Y.XmlElement('Paragraph')
  const words = new Y.XmlText()
  doc.getXmlFragment('prose').insert(0, [p])
  p.insert(0, [words])
  words.insert(0, 'hello 😀 world <&> again')
  return [p, words]
}

freeze('prose with formats, as an editor writes it', (doc) => {
  const [p, words] = paragraph(doc)
  p.setAttribute('level', 2)
  p.setAttribute('Align', 'left')
  p.setAttribute('none', null)
  p.setAttribute('odd', { z: 1 })
  p.setAttribute('list', [1, null, [2]])
  p.setAttribute('no', undefined)
  words.format(0, 5, { strong: {} })
  words.format(3, 6, { link: { href: 'https://example.org/?a=1&b=2', 10: 'x', 9: 'y' }, em: true })
  words.format(4, 1, { code: 'ab😀' })
  words.insert(5, ' dear', { em: true })
  words.delete(2, 2)
  words.setAttribute('kept', 'but not shown')
  doc.getXmlFragment('prose').push([new Y.XmlElement('hr')])
})

freeze('prose with embeds and numbers of every size', (doc) => {
  const [p, words] = paragraph(doc)
  words.insertEmbed(2, { image: 1 })
  words.insertEmbed(5, 'a string')
  words.insertEmbed(8, 1.5)
  words.insertEmbed(9, new Y.Map([['x', 1]]))
  words.insertEmbed(10, new Y.XmlElement('IMG'))
  const numbers = [0.1, 1e21, 1.5e21, 123456789012345680000, 1e-6, 1.5e-5, 1e-7, -1.25e-7, 2 ** 53, -0, 5e-324, 100, 1 / 3]
  numbers.forEach((number, index) => p.setAttribute(`n${index}`, number))
  p.setAttribute('bytes', new Uint8Array([1, 2]))
  p.setAttribute('big', 2n ** 60n + 1n)
  p.setAttribute('yes', true)
})

freeze('XML in maps and arrays', (doc) => {
  const data = doc.getMap('data')
  data.set('fragment', new Y.XmlFragment())
  data.set('element', new Y.XmlElement('DIV'))
  const words = new Y.XmlText()
  data.set('words', words)
  words.insert(0, 'ab')
  words.format(0, 1, { em: {} })
  const list = doc.getArray('list')
  list.insert(0, [new Y.XmlElement('li'), 1])
  list.get(0).insert(0, [new Y.XmlText('one')])
})

freeze('roots of every kind', (doc) => {
  doc.getText('text').insert(0, 'words')
  doc.getText('text').format(0, 2, { bold: true })
  doc.getText('text').insertEmbed(2, { x: 1 })
  doc.getArray('array').insert(0, [1, new Y.Map([['k', 'v']]), text('t')])
  doc.getMap('map').set('k', new Y.Map())
  doc.getXmlFragment('xml').insert(0, [new Y.XmlElement('p')])
})

freeze('overwritten, emptied and deleted', (doc) => {
  const data = doc.getMap('data')
  for (let n = 0; n < 20; n++) data.set('n', n)
  data.set('gone', new Y.Map([['x', 1]]))
  data.delete('gone')
  data.set('again', 1)
  data.delete('again')
  data.set('again', new Y.Array())
  data.get('again').insert(0, [1, 2, 3, 4])
  data.get('again').delete(1, 2)
  doc.getText('text').insert(0, 'abcdef')
  doc.getText('text').delete(0, 3)
  doc.getText('text').insert(1, 'x😀y')
})

freeze('an XML hook', (doc) => {
  const hook = new Y.XmlHook('hook')
  doc.getXmlFragment('xml').insert(0, [hook])
  hook.set('k', 'v')
  doc.getMap('data').set('hook', new Y.XmlHook('other'))
}, true)

console.log(JSON.stringify({ written_by: 'make_browser_documents.mjs, yjs 13.6.33', vectors }, null, 1))
