// Around the editor: the connection's state, the panel, what stands on an empty page, and what is said in passing.
import { addressOn } from './address.js'

const TOAST = 5000 // ms
const NARROW = matchMedia('(max-width: 860px)')

const $ = (id) => document.getElementById(id)

export function showConnection (session) {
  $('name').textContent = session.name
  let lost = null // where we were, until we are somewhere else
  session.onMove((node, left) => { lost = left === null ? null : lost ?? left })
  session.onChange(() => {
    if (session.isLive && lost !== null) {
      if (lost !== session.node) say(`${lost.name} went away. You are on ${session.node.name} now.`)
      lost = null
    }
    $('pill').className = `pill ${session.isLive ? 'live' : 'lost'}`
    $('pill-node').textContent = session.node.name
    $('pill-state').textContent = describe(session)
    $('pill').title = session.isLive ? '' : `${session.waiting} edits are kept here until a node has them`
    if (session.isShutOut && session.nodes.isDemo) {
      say('No node runs. What you write is kept here.')
    } else if (session.isShutOut && !$('ask').open) {
      $('ask-why').textContent = session.refusal ?? 'If the nodes run, they want a token from you.'
      $('ask').showModal()
    }
  })
  $('ask').addEventListener('close', () => session.use($('ask-token').value.trim()))
}

function describe ({ isLive, mayWrite, waiting }) {
  if (isLive) return mayWrite ? 'live' : 'read only'
  return waiting === 0 ? 'joining' : `${waiting} kept`
}

let silence = null

function say (words) {
  clearTimeout(silence)
  $('toast').textContent = words
  silence = setTimeout(() => { $('toast').textContent = '' }, TOAST)
}

// Beside the text where there is room, unless it is put away; else below it, when it is asked for. In either case the class
// `toggled` is what makes it otherwise, so that it stands right before any of this runs.
export function showPanel () {
  const [pill, panel] = [$('pill'), $('panel')]
  const show = (isToggled) => {
    document.body.classList.toggle('toggled', isToggled)
    panel.inert = NARROW.matches !== isToggled
    pill.setAttribute('aria-expanded', !panel.inert)
  }
  show(false)
  NARROW.addEventListener('change', () => show(false))
  pill.addEventListener('click', () => show(!document.body.classList.contains('toggled')))
  document.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape' || !NARROW.matches || panel.inert) return
    show(false)
    pill.focus()
  })
  document.querySelector('.paper').addEventListener('pointerdown', () => NARROW.matches && show(false))
}

export function showEmpty (session, editor) {
  const { text, nodes } = session
  $('try-kill').hidden = !nodes.isDemo
  let isKnown = false // whether it is empty: not before a node has said so
  const show = () => { $('empty').hidden = !isKnown || text.length > 0 }
  text.observe(show)
  session.onChange(() => {
    isKnown ||= session.isLive
    show()
  })
  const point = () => {
    const other = nodes.after(session.node)
    $('second').href = addressOn(other.name)
    $('second-where').textContent = `It is on ${other === session.node ? 'this node too' : other.name}; write in both.`
  }
  session.onMove(point)
  nodes.onChange(point)
  editor.focus()
}
