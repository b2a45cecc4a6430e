// The demo's page, put together: one document, one connection, and what is seen of both.
//
// address.js      what the address asks for: which document, on which node, with which token
// session.js      the document and its connection, which moves to another node when its own goes away
// people.js       who is here: names and colours, and the row of them
// editor.js       the editor; carets.js the others' carets in it
// mesh.js         the nodes as a picture and as a list; pulses.js edits on their way
// json.js         the document as another node gives it
import { readAddress, writeNode } from './address.js'
import { showEditor } from './editor.js'
import { showJson } from './json.js'
import { showMesh } from './mesh.js'
import { openNodes } from './nodes.js'
import { showPeople } from './people.js'
import { openSession } from './session.js'
import { showConnection, showEmpty, showPanel } from './surroundings.js'

const address = readAddress(location)
const nodes = await openNodes(address.node)
const session = openSession(nodes, address)

document.title = `${session.name} · peat`
session.onMove((node) => writeNode(node.name))

const people = showPeople(session)
const editor = showEditor(session, people)
showConnection(session)
showPanel()
showEmpty(session, editor)
showMesh(session, nodes, people)
showJson(session, nodes)
