// The nodes: a picture with their links and whoever is on them, and a list to move by.
import { addressOn } from './address.js'
import { drawing, element } from './element.js'
import { initial } from './people.js'
import { showPulses } from './pulses.js'

const WIDTH = 320
const HEIGHT = 208
const RADIUS = 22 // of a node
const FACE = 9 // of a person beside it
const ORBIT = 36
const SHOWN = 6 // people beside one node

export function showMesh (session, nodes, people) {
  const places = layOut(nodes.all)
  const picture = new Picture(document.getElementById('map'), places)
  const list = new List(document.getElementById('nodes'), session, nodes)
  const show = () => {
    picture.show(session, nodes, people)
    list.show()
  }
  nodes.onChange(show)
  people.onChange(show)
  session.onChange(show)
  showPulses(picture.links, places, session, people)
}

// One in the middle, two side by side, more on a ring that begins at the top.
function layOut (nodes) {
  const [x, y] = [WIDTH / 2, nodes.length === 3 ? 116 : HEIGHT / 2]
  if (nodes.length === 1) return new Map([[nodes[0].name, { x, y, angle: -Math.PI / 2 }]])
  const start = nodes.length === 2 ? Math.PI : -Math.PI / 2
  return new Map(nodes.map(({ name }, index) => {
    const angle = start + (index * 2 * Math.PI) / nodes.length
    return [name, { x: x + 92 * Math.cos(angle), y: y + (nodes.length === 3 ? 66 : 58) * Math.sin(angle), angle }]
  }))
}

class Picture {
  #places
  #svg
  #shown = null
  #nodes = drawing('g')
  links = drawing('g')

  constructor (svg, places) {
    this.#svg = svg
    this.#places = places
    svg.append(this.links, this.#nodes)
  }

  show (session, nodes, people) {
    const looks = JSON.stringify([nodes.all, people.all, session.node.name, session.isLive])
    if (looks === this.#shown) return
    this.#shown = looks
    this.#showLinks(nodes.all)
    this.#nodes.replaceChildren(...nodes.all.map((node) => this.#node(node, session, people)))
    this.#svg.setAttribute('aria-label', `${nodes.all.length} nodes; you are on ${session.node.name}`)
  }

  #showLinks (all) {
    const drawn = []
    all.forEach((node, index) => {
      for (const other of all.slice(index + 1)) {
        const [from, to] = [this.#places.get(node.name), this.#places.get(other.name)]
        const isLinked = [[node, other], [other, node]].some(([a, b]) => a.links?.some((link) => link.to === b.name))
        const kind = node.links === undefined ? 'unknown' : isLinked ? 'up' : 'down'
        drawn.push(drawing('line', { class: `link ${kind}`, x1: from.x, y1: from.y, x2: to.x, y2: to.y }))
      }
    })
    this.links.querySelectorAll('line').forEach((line) => line.remove())
    this.links.prepend(...drawn)
  }

  #node (node, session, people) {
    const { x, y, angle } = this.#places.get(node.name)
    const isOurs = node === session.node
    const state = node.running === false ? 'down' : isOurs ? (session.isLive ? 'ours' : 'ours lost') : 'up'
    const group = drawing('g', { class: `node ${state}`, transform: `translate(${x} ${y})` })
    if (isOurs) group.append(drawing('circle', { class: 'halo', r: RADIUS + 5 }))
    group.append(drawing('circle', { class: 'body', r: RADIUS }))
    group.append(drawing('text', { class: 'label' }, short(node.name)))
    const here = people.all.filter((one) => one.node === node.name && (one.isMe || node.running !== false))
    here.slice(0, SHOWN).forEach((one, index) => group.append(person(one, angle, index, Math.min(here.length, SHOWN))))
    return group
  }
}

// Around their node, on its outer side.
function person (one, outward, index, count) {
  const angle = outward + (index - (count - 1) / 2) * 0.62
  const at = `translate(${ORBIT * Math.cos(angle)} ${ORBIT * Math.sin(angle)})`
  const label = one.isMe ? `${one.name} (you)` : one.name
  return drawing('g', { class: `person ${one.look}`, transform: at },
    drawing('title', {}, label), drawing('circle', { r: FACE }), drawing('text', {}, initial(one.name)))
}

// `node-2` is 2, `peat-mesh-0` is 0; a long name of another kind is its beginning.
function short (name) {
  return /\d{1,3}$/.exec(name)?.[0] ?? name.slice(0, 3)
}

class List {
  #rows

  constructor (list, session, nodes) {
    this.#rows = nodes.all.map((node) => row(node, session, nodes))
    list.append(...this.#rows.map(({ item }) => item))
  }

  show () {
    for (const { update } of this.#rows) update()
  }
}

function row (node, session, nodes) {
  const state = element('span', { class: 'state' })
  const move = element('button', { type: 'button' }, 'Move here')
  const power = element('button', { type: 'button' })
  const another = element('a', { class: 'another', target: '_blank', rel: 'noopener' }, '↗')
  another.title = `Another window on ${node.name}`
  another.setAttribute('aria-label', another.title)
  const item = element('li', {}, element('i', { class: 'dot', 'aria-hidden': 'true' }),
    element('p', {}, element('b', {}, node.name), another, state), move, nodes.isDemo ? power : '')
  let isBusy = false
  move.addEventListener('click', () => session.move(node))
  power.addEventListener('click', async () => {
    isBusy = true
    update()
    await (node.running === false ? nodes.start(node) : nodes.kill(node))
    isBusy = false
    update()
  })

  function update () {
    const isOurs = node === session.node
    item.className = node.running === false ? 'down' : isOurs ? (session.isLive ? 'ours' : 'lost') : 'up'
    state.textContent = describe(node)
    another.href = addressOn(node.name)
    move.disabled = isOurs || node.running === false
    move.textContent = isOurs ? 'You are here' : 'Move here'
    power.disabled = isBusy
    power.className = node.running === false ? 'start' : 'kill'
    power.textContent = node.running === false ? 'Start' : 'Kill'
    power.setAttribute('aria-label', `${power.textContent} ${node.name}`)
    move.setAttribute('aria-label', isOurs ? `You are on ${node.name}` : `Move to ${node.name}`)
  }
  update()
  return { item, update }
}

function describe (node) {
  if (node.running === false) return 'killed'
  if (node.links === undefined) return node.clients
  if (node.links.length === 0) return 'alone'
  const rtts = node.links.map((link) => link.rtt_ms).filter((rtt) => rtt !== null)
  const slowest = rtts.length > 0 ? ` · ${Math.max(...rtts).toFixed(1)} ms` : ''
  return `${node.links.length} ${node.links.length === 1 ? 'link' : 'links'}${slowest}`
}
