// The editor: CodeMirror on the document's text, laid out as prose. What it looks like is in style.css.
import { defaultKeymap, indentLess, indentMore } from '@codemirror/commands'
import { defineLanguageFacet, HighlightStyle, Language, syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState } from '@codemirror/state'
import { drawSelection, dropCursor, EditorView, keymap } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { parser, Strikethrough } from '@lezer/markdown'
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next'
import { showCarets } from './carets.js'

const markdown = new Language(defineLanguageFacet(), parser.configure([Strikethrough]), [], 'markdown')

const looks = HighlightStyle.define([
  { tag: tags.heading1, class: 'md-h1' },
  { tag: tags.heading2, class: 'md-h2' },
  { tag: [tags.heading3, tags.heading4, tags.heading5, tags.heading6], class: 'md-h3' },
  { tag: tags.strong, class: 'md-strong' },
  { tag: tags.emphasis, class: 'md-emphasis' },
  { tag: tags.strikethrough, class: 'md-struck' },
  { tag: tags.monospace, class: 'md-code' },
  { tag: [tags.link, tags.url], class: 'md-link' },
  { tag: tags.quote, class: 'md-quote' },
  { tag: [tags.processingInstruction, tags.contentSeparator], class: 'md-mark' }
])

export function showEditor (session) {
  const nonce = document.querySelector('meta[name=csp-nonce]').content
  const writing = new Compartment()
  const rights = () => EditorView.editable.of(session.mayWrite)
  const view = new EditorView({
    parent: document.getElementById('editor'),
    state: EditorState.create({
      doc: session.text.toString(),
      extensions: [
        EditorView.cspNonce.of(nonce),
        EditorView.lineWrapping,
        writing.of(rights()),
        EditorView.contentAttributes.of({ 'aria-label': 'Text', spellcheck: 'true', autocapitalize: 'sentences' }),
        markdown,
        syntaxHighlighting(looks),
        drawSelection(),
        dropCursor(),
        // Tab indents only a selection: with none, it goes on to the next thing on the page.
        keymap.of([{ key: 'Tab', run: (view) => !view.state.selection.main.empty && indentMore(view), shift: indentLess }]),
        keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
        // Carets are ours: the library's would need styles in attributes, which the page's policy forbids.
        yCollab(session.text, null),
        showCarets(session)
      ]
    })
  })
  session.onChange(() => {
    if (view.state.facet(EditorView.editable) !== session.mayWrite) view.dispatch({ effects: writing.reconfigure(rights()) })
  })
  return view
}
