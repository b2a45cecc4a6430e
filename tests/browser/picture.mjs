// Takes README's picture: `node picture.mjs FILE`. Three people write on three nodes.
import { startDemo, until } from './demo.mjs'
import { openBrowser, openWindow } from './windows.mjs'

const [, , file] = process.argv
const SIZE = { width: 1240, height: 800 }
const SHARPNESS = 1.25 // pixels per point: more would not fit into 150 KB
const QUIET = 5 // ms

const demo = await startDemo()
try {
  const browser = await openBrowser()
  await take(browser).finally(() => browser.close())
} finally {
  await demo.stop()
}

async function take (browser) {
  const people = []
  for (const [index, name] of ['Ada', 'Grace', 'Hedy'].entries()) {
    const page = await openWindow(browser, name, `${demo.url}#node=node-${index + 1}`, SIZE, 'light', { sharpness: SHARPNESS })
    await page.click('button.face')
    await page.fill('#me-name', name)
    await page.click(`#me-colours .peer-${[2, 0, 1][index]}`)
    await page.keyboard.press('Escape')
    people.push(page)
  }
  const [ada, grace, hedy] = people

  await write(ada, '# Field notes\n\nThe bog is **wet** today, and the *curlews* are back.\n\n## Seen\n\n- twelve geese\n- two hares\n- \n\nWhat is written here is on three nodes at once. ')
  await until(async () => (await hedy.text()).endsWith('at once. '), 'all have it')
  await write(grace, 'Kill one, and go on')
  await hedy.locator('.cm-line').nth(8).click()
  await hedy.keyboard.press('End')
  await hedy.keyboard.type('one very tired engineer')
  await until(async () => (await ada.textContent('#json-text')).includes('tired engineer'), 'another node says so')
  await ada.locator('.cm-line').nth(2).click()
  await ada.keyboard.press('End')
  await until(async () => { // round trips of a machine that is busy otherwise say nothing of ours
    const states = await ada.locator('.nodes .state').allTextContents()
    return states.every((state) => Number(/([\d.]+) ms/.exec(state)?.[1]) < QUIET)
  }, 'the machine is quiet')
  await grace.keyboard.press('Shift+Control+ArrowLeft')
  await grace.keyboard.press('Shift+Control+ArrowLeft')
  await ada.waitForSelector('.selected')
  await hedy.keyboard.type('.')
  await ada.waitForFunction(() => { // edits are on their way, and stay there
    const pulses = document.getAnimations().filter(({ effect }) => effect.target.matches('.pulse'))
    for (const pulse of pulses) Object.assign(pulse, { currentTime: 250 }).pause()
    return pulses.length > 0
  })
  await ada.screenshot({ path: file })
}

async function write (page, text) {
  await page.locator('.cm-content').focus()
  await page.keyboard.press('Control+End')
  await page.keyboard.type(text)
}
