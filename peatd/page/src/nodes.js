// The nodes that this page may connect to, as `nodes.json` beside it tells: once where a node serves the page, again and
// again where `peatd --demo` does, which also knows which of them run and can kill them and start them.
//
// {"nodes": [{"name", "clients", "running", "links": [{"to", "rtt_ms"}]}], "is_demo"}

const INTERVAL = 1000 // ms between two looks, while somebody is looking
const RETRY = 500

export async function openNodes (preferred) {
  let told = await ask()
  while (told === null) {
    await new Promise((resolve) => setTimeout(resolve, RETRY))
    told = await ask()
  }
  return new Nodes(told, preferred)
}

async function ask () {
  try {
    const answer = await fetch('nodes.json', { signal: AbortSignal.timeout(5000) })
    return answer.ok ? await answer.json() : null
  } catch {
    return null
  }
}

class Nodes {
  #listeners = []
  #timer = null

  constructor (told, preferred) {
    this.isDemo = told.is_demo
    this.all = told.nodes.map((node) => ({ ...node, url: url(node.clients) }))
    const at = this.all.findIndex((node) => node.name === preferred)
    this.first = at >= 0 ? this.all[at] : this.all.find((node) => node.running !== false) ?? this.all[0]
    if (this.isDemo) {
      document.addEventListener('visibilitychange', () => this.#look())
      this.#wait()
    }
  }

  onChange (listener) {
    this.#listeners.push(listener)
  }

  // The next one in the ring; those that are known not to run only where there is no other.
  after (node) {
    const at = this.all.indexOf(node)
    const ring = [...this.all.slice(at + 1), ...this.all.slice(0, at)]
    return ring.find((other) => other.running !== false) ?? ring[0] ?? node
  }

  named (name) {
    return this.all.find((node) => node.name === name)
  }

  async kill (node) {
    await this.#change(node, 'kill')
  }

  async start (node) {
    await this.#change(node, 'start')
  }

  async #change (node, verb) {
    await fetch(`nodes/${encodeURIComponent(node.name)}/${verb}`, { method: 'POST' }).catch(() => {})
    await this.#look()
  }

  async #look () {
    clearTimeout(this.#timer)
    const told = document.hidden ? null : await ask()
    if (told !== null) {
      for (const { name, running, links } of told.nodes) Object.assign(this.named(name) ?? {}, { running, links })
      for (const listener of this.#listeners) listener()
    }
    this.#wait()
  }

  #wait () {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), INTERVAL)
  }
}

// `:8082` is a port of the host that this page is from.
function url (clients) {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return `${scheme}://${clients.startsWith(':') ? location.hostname + clients : clients}/sync`
}
