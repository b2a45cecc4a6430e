// The same document as another node gives it, by the HTTP API: `peatd --demo` asks it for us.
import { element } from './element.js'

const PAUSE = 150 // ms after an edit: it has to get there
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)/g

export function showJson (session, nodes) {
  if (!nodes.isDemo) return
  const select = document.getElementById('json-node')
  const text = document.getElementById('json-text')
  const route = document.getElementById('json-route')
  select.append(element('option', { value: '' }), ...nodes.all.map(({ name }) => element('option', { value: name }, name)))
  document.getElementById('json').hidden = false
  let timer = null
  let isAsking = false

  // Unless somebody chose one: a node that we are not on.
  function source () {
    const chosen = nodes.named(select.value)
    return chosen && chosen.running !== false ? chosen : nodes.after(session.node)
  }

  // Not later for every key that is pressed meanwhile, and one question at a time.
  function soon () {
    timer ??= setTimeout(look, PAUSE)
  }

  async function look () {
    timer = null
    if (isAsking) return soon()
    isAsking = true
    select.firstChild.textContent = `another node (${nodes.after(session.node).name})`
    route.textContent = `GET /api/v1/documents/${session.name}`
    const told = await ask(source())
    isAsking = false
    if (told === null) return text.classList.add('none')
    const { status, body } = told
    text.replaceChildren(...(status === 200 ? coloured(JSON.stringify(body, null, 2)) : [body.error.message]))
    text.classList.toggle('none', status !== 200)
  }

  async function ask (node) {
    const path = session.name.split('/').map(encodeURIComponent).join('/')
    try {
      const answer = await fetch(`nodes/${encodeURIComponent(node.name)}/documents/${path}`, { signal: AbortSignal.timeout(5000) })
      return answer.ok ? await answer.json() : null
    } catch {
      return null
    }
  }

  select.addEventListener('change', look)
  session.doc.on('update', soon)
  session.onMove(soon)
  nodes.onChange(soon)
  look()
}

function * coloured (json) {
  let at = 0
  for (const found of json.matchAll(TOKEN)) {
    yield json.slice(at, found.index)
    const [all, string, colon] = found
    const kind = string === undefined ? 'value' : colon === undefined ? 'string' : 'key'
    yield element('span', { class: kind }, string ?? all)
    yield colon ?? ''
    at = found.index + all.length
  }
  yield json.slice(at)
}
