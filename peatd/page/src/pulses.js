// Every edit, on its way from its author's node to all others that have a link.
import { drawing } from './element.js'

const JOURNEY = 520 // ms; a real one takes two, and nobody would see it
const INTERVAL = 140 // ms between two of one node
const still = matchMedia('(prefers-reduced-motion: reduce)')

export function showPulses (layer, places, session, people) {
  const last = new Map()
  session.doc.on('afterTransaction', (transaction) => {
    for (const author of authors(transaction)) {
      const one = people.all.find(({ client }) => client === author)
      if (one) send(one)
    }
  })

  function send ({ node, look }) {
    const now = performance.now()
    if (still.matches || !places.has(node) || now - (last.get(node) ?? 0) < INTERVAL) return
    last.set(node, now)
    const from = places.get(node)
    for (const line of layer.querySelectorAll('line.up')) {
      const ends = [[line.x1, line.y1], [line.x2, line.y2]].map(([x, y]) => ({ x: x.baseVal.value, y: y.baseVal.value }))
      const isFromFirst = near(ends[0], from)
      if (!isFromFirst && !near(ends[1], from)) continue
      travel(from, isFromFirst ? ends[1] : ends[0], look)
    }
  }

  function travel (from, to, look) {
    const pulse = drawing('circle', { class: `pulse ${look}`, r: 4, cx: from.x, cy: from.y })
    layer.append(pulse)
    const path = [{ transform: 'none' }, { transform: `translate(${to.x - from.x}px, ${to.y - from.y}px)` }]
    pulse.animate(path, { duration: JOURNEY, easing: 'cubic-bezier(.4, 0, .3, 1)' }).finished.then(() => pulse.remove())
  }
}

// Those whose clocks this transaction has moved on. Of a first sync there are many, and no edit is new.
function authors ({ beforeState, afterState }) {
  return [...afterState].filter(([client, clock]) => clock > (beforeState.get(client) ?? 0)).map(([client]) => client)
}

function near (a, b) {
  return Math.abs(a.x - b.x) < 1 && Math.abs(a.y - b.y) < 1
}
