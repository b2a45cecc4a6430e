// An element with attributes and children. Text is text, whoever wrote it.
export function element (tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children)
}

export function drawing (tag, attributes = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children)
}

function filled (made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) made.setAttribute(name, value === true ? '' : value)
  }
  made.append(...children)
  return made
}
