// A demo as its user has it: `peatd --demo`, and what its nodes say by their APIs.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

export const PATIENCE = 60_000 // ms after which something that should happen has not
const PAUSE = 30

// The first answer that is true. A question that fails has not been answered.
export async function until (question, what) {
  const deadline = Date.now() + PATIENCE
  let last
  while (Date.now() < deadline) {
    try {
      last = await question()
      if (last) return last
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
  }
  throw new Error(`not within ${PATIENCE / 1000} s: ${what}; last: ${last}`)
}

export async function startDemo () {
  const directory = await temporary()
  const running = new Running(directory, ['peatd', '--demo', '--no-browser', '--data-dir', directory])
  const url = await running.begun(() => /http:\S+/.exec(running.told)?.[0])
  return Object.assign(running, {
    url,
    node: (name) => stated(path.join(directory, name)),

    // As the kernel does when memory is short.
    kill: async (name) => process.kill((await stated(path.join(directory, name))).pid, 'SIGKILL'),

    // What a node's API says of a document.
    text: async (name, document) => {
      const told = await get(path.join(directory, name, 'api.sock'), `/api/v1/documents/${document}`)
      return told.roots?.text
    }
  })
}

// A node by itself, as the flags say.
export async function startNode (name, ...flags) {
  const directory = await temporary()
  const local = ['--node-id', name, '--data-dir', directory, '--bind', '127.0.0.1:0', '--api', '127.0.0.1:0', '--discovery', 'none']
  const running = new Running(directory, ['peatd', ...local, ...flags])
  const { api } = await running.begun(() => stated(directory))
  return Object.assign(running, {
    api,
    token: async (...wanted) => {
      const { stdout } = await promisify(execFile)('peat', ['token', 'mint', '--data-dir', directory, ...wanted])
      return stdout.trim()
    }
  })
}

// A program, the directory that is its own, and what it has told.
class Running {
  constructor (directory, [program, ...words]) {
    this.directory = directory
    this.told = ''
    this.process = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { this.told += text })
    }
  }

  get isOver () {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  // What it says once it is up.
  async begun (question) {
    try {
      const answer = await until(() => this.isOver || question(), `${this.process.spawnargs.join(' ')} is up`)
      if (this.isOver) throw new Error(`it has ended: ${this.told}`)
      return answer
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop () {
    if (!this.isOver) {
      this.process.kill('SIGINT')
      await once(this.process, 'exit')
    }
    await rm(this.directory, { recursive: true, force: true })
  }
}

function temporary () {
  return mkdtemp(path.join(tmpdir(), 'peatd-browser-'))
}

async function stated (directory) {
  return JSON.parse(await readFile(path.join(directory, 'node.json'), 'utf8'))
}

function get (socketPath, route) {
  return new Promise((resolve, reject) => {
    http.get({ socketPath, path: route, agent: false }, async (answer) => {
      let body = ''
      for await (const part of answer.setEncoding('utf8')) body += part
      resolve(JSON.parse(body))
    }).on('error', reject)
  })
}
