// The carets and selections of others, and where ours is. The awareness field is y-codemirror's: `cursor: {anchor, head}`,
// relative positions of Yjs, so that its carets and ours see each other.
import { Annotation } from '@codemirror/state'
import { Decoration, ViewPlugin, WidgetType } from '@codemirror/view'
import * as Y from 'yjs'
import { element } from './element.js'
import { person } from './people.js'

const moved = Annotation.define()

export function showCarets ({ text, awareness }) {
  return ViewPlugin.define((view) => new Carets(view, text, awareness), { decorations: (carets) => carets.decorations })
}

class Carets {
  decorations = Decoration.none

  constructor (view, text, awareness) {
    this.text = text
    this.awareness = awareness
    this.listener = ({ added, updated, removed }) => {
      const changed = [...added, ...updated, ...removed]
      if (changed.some((client) => client !== awareness.clientID)) view.dispatch({ annotations: moved.of(true) })
    }
    awareness.on('change', this.listener)
  }

  destroy () {
    this.awareness.off('change', this.listener)
  }

  update ({ view, state, docChanged, selectionSet, focusChanged, transactions }) {
    if (selectionSet || focusChanged || docChanged) this.#tell(view.hasFocus ? state.selection.main : null)
    if (docChanged || transactions.some((one) => one.annotation(moved))) this.#draw(state)
  }

  // Without the focus ours stays where it was: whoever looks something up has not left.
  #tell (selection) {
    if (selection === null) return
    const [anchor, head] = [selection.anchor, selection.head].map((at) => Y.createRelativePositionFromTypeIndex(this.text, at))
    const told = this.awareness.getLocalState()?.cursor
    const isSame = told && Y.compareRelativePositions(told.anchor, anchor) && Y.compareRelativePositions(told.head, head)
    if (!isSame) this.awareness.setLocalStateField('cursor', { anchor, head })
  }

  #draw (state) {
    const drawn = []
    for (const [client, other] of this.awareness.getStates()) {
      if (client === this.awareness.clientID || !other.cursor) continue
      const [anchor, head] = [other.cursor.anchor, other.cursor.head].map((position) => this.#index(position, state))
      if (anchor === null || head === null) continue
      const { name, look } = person(other)
      if (anchor !== head) {
        const mark = Decoration.mark({ class: `selected ${look}` })
        drawn.push({ from: Math.min(anchor, head), to: Math.max(anchor, head), value: mark })
      }
      const widget = new Caret(name, look, JSON.stringify(other.cursor))
      drawn.push({ from: head, to: head, value: Decoration.widget({ widget, side: head > anchor ? -1 : 1 }) })
    }
    this.decorations = Decoration.set(drawn.map(({ from, to, value }) => value.range(from, to)), true)
  }

  #index (position, state) {
    try {
      const found = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(position), this.text.doc)
      return found?.type === this.text ? Math.min(found.index, state.doc.length) : null
    } catch {
      return null // not a position: others may say anything
    }
  }
}

// A new one whenever its owner moves, so that the name shows again for a moment.
class Caret extends WidgetType {
  constructor (name, look, cursor) {
    super()
    Object.assign(this, { name, look, cursor })
  }

  eq (other) {
    return other.name === this.name && other.look === this.look && other.cursor === this.cursor
  }

  toDOM () {
    return element('span', { class: `caret ${this.look}`, 'aria-hidden': 'true' }, element('b', {}, this.name))
  }

  ignoreEvent () {
    return true
  }
}
