// Windows of a real Chromium, which remember whatever goes wrong in them.
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import axe from 'axe-core'
import { chromium } from 'playwright-core'
import { PATIENCE } from './demo.mjs'

export const DESKTOP = { width: 1280, height: 800 }
export const PHONE = { width: 390, height: 844 }

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']
const OURS = new Set(['127.0.0.1'])

// A socket that is closed by a node that was killed, and the ones that its place refuses then, are what is tested.
const EXPECTED = /WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/sync\/[^']*' failed|net::ERR_CONNECTION_REFUSED/

export async function openBrowser () {
  const browser = await chromium.launch({ executablePath: process.env.PEAT_CHROMIUM, args: FLAGS })
  const pictures = process.env.PEAT_PICTURES
  await mkdir(pictures, { recursive: true })
  return { browser, pictures, close: () => browser.close() }
}

export async function openWindow ({ browser, pictures }, name, url, size, colorScheme, { sharpness = 1, isLive = true } = {}) {
  const isPhone = size === PHONE
  const context = await browser.newContext({ viewport: size, colorScheme, isMobile: isPhone, hasTouch: isPhone, deviceScaleFactor: isPhone ? 2 : sharpness })
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  const wrong = []
  page.on('pageerror', (error) => wrong.push(error.stack))
  page.on('console', (message) => {
    if (message.type() === 'error' && !EXPECTED.test(message.text())) wrong.push(message.text())
  })
  const look = (address) => { if (!OURS.has(new URL(address).hostname)) wrong.push(`it asked ${address}`) }
  page.on('request', (request) => look(request.url()))
  page.on('websocket', (socket) => look(socket.url()))
  await page.addInitScript(watchLayout)
  await page.goto(url)
  if (isLive) await page.waitForSelector('#pill.live')
  return Object.assign(page, {
    wrong,
    picture: (what) => page.screenshot({ path: path.join(pictures, `${name}-${what}.png`) }),
    node: () => page.textContent('#pill-node'),
    text: () => page.evaluate(readText)
  })
}

// What is written, without the names at the others' carets.
function readText () {
  return [...document.querySelectorAll('.cm-line')].map((line) => {
    const copy = line.cloneNode(true)
    copy.querySelectorAll('.caret').forEach((caret) => caret.remove())
    return copy.textContent
  }).join('\n')
}

// How far what was there already has moved, in the browser's own measure (CLS); by nothing that anybody did.
function watchLayout () {
  window.shifted = []
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries()) {
      if (!hadRecentInput) window.shifted.push({ value, what: sources.map(({ node }) => node?.outerHTML?.slice(0, 80)) })
    }
  }).observe({ type: 'layout-shift', buffered: true })
}

// What a page does wrong by the rules of accessibility (WCAG 2.2 AA), as axe finds it.
export async function violations (page) {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 120)} ${any[0]?.message ?? ''}`).join(' | ')}`)
}
