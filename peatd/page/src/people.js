// Who is here: a name, one of eight colours, and the node they are on. All of it is awareness, gone with its owner.
import { element } from './element.js'

// What is told to others, in the words that other Yjs editors use. The style sheet has these colours for either scheme.
const COLOURS = ['#c2410c', '#0f766e', '#7c3aed', '#be185d', '#1d4ed8', '#a16207', '#15803d', '#b91c1c']

const KEPT = 'peat.me'
const NAMES = ['Ada', 'Alan', 'Barbara', 'Donald', 'Edsger', 'Frances', 'Grace', 'Hedy', 'Katherine', 'Ken', 'Leslie',
  'Margaret', 'Niklaus', 'Radia', 'Sophie', 'Tony', 'Whitfield', 'Yukihiro']
const MAX_NAME = 24
const SHOWN = 4 // the rest is a number

export function showPeople (session) {
  return new People(session)
}

class People {
  #session
  #listeners = []
  #shown = null

  constructor (session) {
    this.#session = session
    const { awareness } = session
    awareness.setLocalStateField('user', kept() ?? { name: pick(NAMES), color: pick(COLOURS) })
    session.onMove((node) => awareness.setLocalStateField('node', node.name))
    awareness.on('change', () => this.#changed())
    session.onChange(() => this.#changed())
    this.#bindCard()
    this.#changed()
  }

  // Everybody, ourselves first. While there is no connection these are the ones who were here last.
  all = []

  onChange (listener) {
    this.#listeners.push(listener)
    listener()
  }

  #changed () {
    const { awareness, doc, isLive } = this.#session
    if (isLive || this.all.length === 0) {
      this.all = [...awareness.getStates()]
        .filter(([, state]) => state.user)
        .map(([client, state]) => ({ client, isMe: client === doc.clientID, ...person(state) }))
        .sort((a, b) => b.isMe - a.isMe || a.client - b.client)
      this.#giveWay()
    } else {
      Object.assign(this.all[0], person(awareness.getLocalState()))
    }
    this.#show()
    for (const listener of this.#listeners) listener()
  }

  // Of two with one colour or one name, both picked by chance, the later number takes another.
  #giveWay () {
    const [me, ...others] = this.all
    if (kept() !== null) return
    const before = others.filter((other) => other.client < me.client)
    const colours = new Set(others.map((other) => other.color))
    const names = new Set(others.map((other) => other.name))
    const user = { name: me.name, color: me.color }
    if (before.some((other) => other.color === me.color)) {
      user.color = COLOURS.find((color) => !colours.has(color)) ?? me.color
    }
    if (before.some((other) => other.name === me.name)) user.name = NAMES.find((name) => !names.has(name)) ?? me.name
    if (user.name !== me.name || user.color !== me.color) this.#session.awareness.setLocalStateField('user', user)
  }

  // Nothing is made anew that looks the same: awareness tells of every key, and a face may be about to be clicked.
  #show () {
    const looks = JSON.stringify(this.all)
    if (looks === this.#shown) return
    this.#shown = looks
    const shown = this.all.length > SHOWN + 1 ? this.all.slice(0, SHOWN) : this.all
    const more = this.all.length - shown.length
    const faces = shown.map((one) => {
      const label = one.isMe ? `${one.name}, that is you` : `${one.name}, on ${one.node}`
      const face = one.isMe
        ? element('button', { type: 'button', class: 'face', popovertarget: 'me', 'aria-label': label, title: label })
        : element('span', { class: 'face', title: label, role: 'img', 'aria-label': label })
      face.classList.add(one.look)
      face.append(initial(one.name))
      return element('li', {}, face)
    })
    if (more > 0) faces.push(element('li', {}, element('span', { class: 'face more' }, `+${more}`)))
    const row = document.getElementById('people')
    const focused = row.contains(document.activeElement)
    row.replaceChildren(...faces)
    if (focused) row.querySelector('button')?.focus()
  }

  #bindCard () {
    const card = document.getElementById('me')
    const name = document.getElementById('me-name')
    const colours = document.getElementById('me-colours')
    COLOURS.forEach((value, index) => {
      const label = `Colour ${index + 1}`
      colours.append(element('input', { type: 'radio', name: 'colour', value, class: look(value), 'aria-label': label }))
    })
    card.addEventListener('beforetoggle', ({ newState }) => {
      if (newState !== 'open') return
      const { user } = this.#session.awareness.getLocalState()
      name.value = user.name
      colours.querySelector(`[value="${user.color}"]`).checked = true
    })
    card.addEventListener('input', () => {
      const user = { name: name.value.trim() || 'Somebody', color: colours.querySelector(':checked').value }
      sessionStorage.setItem(KEPT, JSON.stringify(user))
      this.#session.awareness.setLocalStateField('user', user)
    })
    card.querySelector('form').addEventListener('submit', (event) => {
      event.preventDefault()
      card.hidePopover()
    })
  }
}

// What others say of themselves may be anything.
export function person ({ user, node }) {
  const name = String(user?.name ?? '').slice(0, MAX_NAME) || 'Somebody'
  return { name, color: user?.color, look: look(user?.color), node: typeof node === 'string' ? node : '' }
}

// The class that colours them. A colour goes into no style: it could be any text.
function look (color) {
  return `peer-${Math.max(COLOURS.indexOf(color), 0)}`
}

export function initial (name) {
  return [...name][0].toUpperCase()
}

function kept () {
  return JSON.parse(sessionStorage.getItem(KEPT))
}

function pick (list) {
  return list[Math.floor(Math.random() * list.length)]
}
