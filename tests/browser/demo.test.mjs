// The demo in a real browser: people in two windows on two nodes, one of which is killed while they write.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startDemo, startNode, until } from './demo.mjs'
import { DESKTOP, openBrowser, openWindow, PHONE, violations } from './windows.mjs'

let demo, browser

before(async () => {
  demo = await startDemo()
  browser = await openBrowser()
})

after(async () => {
  await browser?.close()
  await demo?.stop()
})

const at = (node, document, base = demo.url) => `${base}#doc=${document}&node=${node}`

test('two people write at once while a node is killed, and nothing is lost', async () => {
  const name = 'demo/killed'
  const alice = await openWindow(browser, 'desktop-light', at('node-1', name), DESKTOP, 'light')
  const bob = await openWindow(browser, 'phone-dark', at('node-2', name), PHONE, 'dark')
  await alice.picture('empty')
  await bob.picture('empty')
  await alice.locator('.cm-content').focus()
  await alice.keyboard.type('# Field notes\n\nAlice has seen: ')
  await until(async () => (await bob.text()).includes('Alice has seen: '), 'bob reads it')
  await bob.locator('.cm-content').focus()
  await bob.keyboard.press('Control+End')
  await bob.keyboard.type('\n\nBob has seen: ')
  await until(async () => (await alice.text()).includes('Bob has seen: '), 'alice reads it')

  const birds = ['curlew', 'snipe', 'lapwing', 'plover', 'dunlin', 'heron', 'harrier', 'merlin', 'skylark', 'pipit']
  const beasts = birds.map((bird) => bird.toUpperCase())
  const killed = until(async () => (await bob.text()).includes('snipe'), 'bob reads the second').then(() => demo.kill('node-1'))
  await Promise.all([write(alice, birds), write(bob, beasts), killed])
  await until(async () => (await alice.node()) !== 'node-1' && (await alice.$('#pill.live')), 'alice is on another node')

  await until(async () => (await alice.text()) === (await bob.text()), 'both read the same')
  const text = await alice.text()
  assert.ok(text.includes(`Alice has seen: ${birds.join(' ')} \n`), text)
  assert.ok(text.endsWith(`Bob has seen: ${beasts.join(' ')} `), text)
  for (const node of ['node-2', 'node-3']) {
    await until(async () => (await demo.text(node, name)) === text, `${node}'s API says the same`)
  }

  await alice.waitForSelector('.nodes li.down >> text=killed')
  await alice.picture('killed')
  await bob.click('#pill')
  await bob.picture('panel')
  await alice.click('button:has-text("Start")')
  await until(async () => (await demo.text('node-1', name)) === text, 'the node has it too, once it is back')
  await alice.click('[aria-label="Move to node-1"]')
  await alice.waitForSelector('#pill.live >> text=node-1')
  assert.deepEqual(alice.wrong, [])
  assert.deepEqual(bob.wrong, [])
})

async function write (page, words) {
  for (const word of words) await page.keyboard.type(`${word} `, { delay: 10 })
}

test('who is here is seen, with a name, a colour, a node and a caret', async () => {
  const name = 'demo/people'
  const alice = await openWindow(browser, 'desktop-dark', at('node-2', name), DESKTOP, 'dark')
  const bob = await openWindow(browser, 'phone-light', at('node-3', name), PHONE, 'light')
  await alice.click('button.face')
  await alice.fill('#me-name', 'Alice')
  await alice.keyboard.press('Enter')
  await alice.locator('.cm-content').focus()
  await alice.keyboard.type('## Birds\n\nof the *high* moor')
  await alice.keyboard.press('Shift+Control+ArrowLeft')
  await bob.waitForSelector('.caret >> text=Alice')
  await bob.waitForSelector('.selected')
  assert.equal(await bob.locator('.people li').count(), 2)
  assert.equal(await bob.locator('#map .person').count(), 2)
  assert.equal(await bob.locator('.people [title="Alice, on node-2"]').count(), 1)
  await alice.picture('people')
  await bob.picture('people')
  await alice.context().close()
  await until(async () => (await bob.locator('.people li').count()) === 1, 'she is gone')
  assert.deepEqual(bob.wrong, [])
})

test('what is written while no node runs is kept, and goes to the first that is back', async () => {
  const name = 'demo/kept'
  const alice = await openWindow(browser, 'desktop-dark', at('node-1', name), DESKTOP, 'dark')
  await alice.locator('.cm-content').focus()
  await alice.keyboard.type('before ')
  await until(async () => (await demo.text('node-2', name)) === 'before ', 'it is on another node')
  for (const node of ['node-1', 'node-2', 'node-3']) await alice.click(`[aria-label="Kill ${node}"]`)
  await alice.waitForSelector('#pill.lost')
  await alice.locator('.cm-content').focus()
  await alice.keyboard.type('and after')
  await alice.waitForSelector('#pill-state >> text="9 kept"')
  await alice.picture('kept')
  await alice.click('[aria-label="Start node-2"]')
  await alice.waitForSelector('#pill.live >> text=node-2')
  await until(async () => (await demo.text('node-2', name)) === 'before and after', 'the node has all of it')
  for (const node of ['node-1', 'node-3']) {
    await alice.click(`[aria-label="Start ${node}"]`)
    await until(async () => (await demo.text(node, name)) === 'before and after', `${node} too`)
  }
  assert.deepEqual(alice.wrong, [])
})

test('it fits, stands still and can be used by everyone, at either width and in either scheme', async () => {
  for (const [size, width] of [[DESKTOP, 'desktop'], [PHONE, 'phone']]) {
    for (const scheme of ['light', 'dark']) {
      const page = await openWindow(browser, `${width}-${scheme}`, at('node-3', `demo/${width}-${scheme}`), size, scheme)
      await page.waitForSelector('#empty', { state: 'visible' })
      await page.waitForSelector('#map .link.up', { state: 'attached' })
      if (size === PHONE) {
        assert.deepEqual(await violations(page), [])
        await page.click('#pill')
        await page.waitForSelector('#panel', { state: 'visible' })
        await until(() => page.evaluate(() => document.getAnimations().every(({ playState }) => playState === 'finished')), 'the panel is up')
      }
      assert.deepEqual(await violations(page), [])
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out')
      assert.deepEqual(await page.evaluate(() => window.shifted), [])
      assert.deepEqual(page.wrong, [])
      await page.context().close()
    }
  }
})

test('all of it can be reached by keyboard', async () => {
  const page = await openWindow(browser, 'desktop-light', at('node-3', 'demo/keyboard'), DESKTOP, 'light')
  await page.waitForSelector('#empty', { state: 'visible' })
  const reached = []
  for (let step = 0; step < 20; step++) {
    await page.keyboard.press('Tab')
    reached.push(await page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.id))
  }
  for (const wanted of ['pill', 'Text', 'second', 'Move to node-1', 'Kill node-1', 'Kill node-3', 'json-node', 'The document as JSON']) {
    assert.ok(reached.includes(wanted), `${wanted} is not among ${reached}`)
  }
  assert.ok(reached.some((label) => label?.endsWith('that is you')), reached)
})

test('any node serves the page too, without control over the others', async () => {
  const { api } = await demo.node('node-2')
  const page = await openWindow(browser, 'desktop-light', at('node-3', 'demo/served', `http://${api}/demo/`), DESKTOP, 'light')
  assert.equal(await page.node(), 'node-3')
  assert.equal(await page.locator('.nodes li').count(), 3)
  assert.equal(await page.locator('.kill, .start').count(), 0)
  assert.ok(await page.locator('#json').isHidden())
  await page.click('[aria-label="Move to node-1"]')
  await page.waitForSelector('#pill.live >> text=node-1')
  await page.picture('served')
  assert.deepEqual(page.wrong, [])
})

test('who needs a token is asked for it, and may do what it says', async (t) => {
  const guarded = await startNode('guarded', '--clients', '0.0.0.0:0', '--demo-page', 'on')
  t.after(() => guarded.stop())
  const page = await openWindow(browser, 'desktop-light', at('guarded', 'demo/guarded', `http://${guarded.api}/demo/`), DESKTOP, 'light', { isLive: false })
  await page.waitForSelector('#ask', { state: 'visible' })
  await page.picture('token')
  assert.deepEqual(await violations(page), [])
  await page.evaluate(() => document.getElementById('ask').addEventListener('close', () => { window.wasAsked = true }))
  await page.fill('#ask-token', 'wrong')
  await page.keyboard.press('Enter')
  await until(() => page.evaluate(() => window.wasAsked), 'it is tried') // which may be over before one could look
  await page.waitForSelector('#ask', { state: 'visible' })
  await page.fill('#ask-token', await guarded.token('--documents', 'demo/*'))
  await page.keyboard.press('Enter')
  await page.waitForSelector('#pill.live >> text=read only')
  assert.equal(await page.getAttribute('.cm-content', 'contenteditable'), 'false')
  assert.deepEqual(page.wrong, [])
  const token = await guarded.token('--documents', 'demo/*', '--write')
  const writer = await openWindow(browser, 'desktop-light', `${at('guarded', 'demo/guarded', `http://${guarded.api}/demo/`)}&token=${token}`, DESKTOP, 'light')
  assert.ok(!writer.url().includes('token'), 'it does not stay in the address')
  await writer.locator('.cm-content').focus()
  await writer.keyboard.type('by one who may')
  await until(async () => (await page.text()) === 'by one who may', 'the reader reads it')
  assert.deepEqual(writer.wrong, [])
})
