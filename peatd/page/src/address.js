// What the address asks for, behind the `#`: `doc=demo/welcome&node=node-2&token=…`. It never reaches a server.

const DOCUMENT = 'demo/welcome'
const NAME = /^[A-Za-z0-9._:-]{1,255}\/[A-Za-z0-9._:-]{1,255}$/
const TOKEN = 'peat.token'

export function readAddress (location) {
  const asked = new URLSearchParams(location.hash.slice(1))
  const token = asked.get('token') ?? sessionStorage.getItem(TOKEN)
  if (asked.has('token')) {
    keepToken(token)
    asked.delete('token') // an address gets copied, and a picture of it taken
    replace(asked)
  }
  const name = asked.get('doc') ?? ''
  return { name: NAME.test(name) ? name : DOCUMENT, node: asked.get('node'), token }
}

export function keepToken (token) {
  sessionStorage.setItem(TOKEN, token)
}

// Loaded again, the page is on the node that it was on.
export function writeNode (node) {
  const asked = new URLSearchParams(location.hash.slice(1))
  asked.set('node', node)
  replace(asked)
}

// This page, with another node.
export function addressOn (node) {
  const asked = new URLSearchParams(location.hash.slice(1))
  asked.set('node', node)
  return hash(asked)
}

function replace (asked) {
  history.replaceState(null, '', hash(asked))
}

function hash (asked) {
  return '#' + asked.toString().replaceAll('%2F', '/').replaceAll('%3A', ':')
}
