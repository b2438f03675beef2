import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { markerPath, openLevelStore } from '../../node/store/level-store.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { rowsOf, storeSuite } from './store.suite.ts'

const root = mkdtempSync(join(tmpdir(), 'wikiseed-store-'))
let folders = 0
const newFolder = (): string => join(root, String(++folders), 'store')
afterAll(() => rmSync(root, { recursive: true }))

storeSuite('the store in memory', async () => createMemoryStore())
storeSuite('the level store', () => openLevelStore(newFolder()))

const put = (key: string, text: string) =>
  ({ type: 'put', key, value: new TextEncoder().encode(text) }) as const

describe('the level store on disk', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  /** Another process that has the store open. */
  async function holder(folder: string): Promise<ChildProcess> {
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'store-holder.ts'), folder, 'by another'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    children.push(child)
    await once(child.stdout, 'data')
    return child
  }

  it('has everything again after it was closed and opened', async () => {
    const folder = newFolder()
    const first = await openLevelStore(folder)
    await first.batch([put('01/a', 'one'), put('02/b', 'two')])
    await first.close()
    const second = await openLevelStore(folder)
    expect(await rowsOf(second, '')).toEqual(['01/a=one', '02/b=two'])
    await second.close()
  })

  it('refuses a second opener in one sentence, in this process and in another', async () => {
    const folder = newFolder()
    const first = await openLevelStore(folder, '/data/here')
    const second = openLevelStore(folder, '/data/here')
    await expect(second).rejects.toMatchObject({
      code: 'locked',
      message: 'data folder /data/here is in use by another process',
    })
    await first.close()
    const child = await holder(folder)
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: 'locked' })
    child.kill('SIGKILL')
    await once(child, 'exit')
    const after = await openLevelStore(folder)
    expect(await rowsOf(after, '')).toEqual(['01/held=by another']) // Acknowledged, so it outlives kill -9.
    await after.close()
  })

  it('finds a flipped byte and names the key', async () => {
    const folder = newFolder()
    const first = await openLevelStore(folder)
    await first.batch([put('01/good', 'untouched'), put('01/bad', 'needle-in-the-log')])
    await first.close()
    await openLevelStore(folder).then((store) => store.close()) // Moves the log into a table.
    const damaged = readdirSync(folder).filter((name) => {
      const path = join(folder, name)
      const content = readFileSync(path)
      const at = content.indexOf('needle')
      if (at < 0) return false
      content[at] = (content[at] ?? 0) ^ 1
      writeFileSync(path, content)
      return name.endsWith('.ldb')
    })
    expect(damaged).not.toEqual([]) // Else this test would damage nothing.
    const store = await openLevelStore(folder)
    await expect(store.get('01/bad')).rejects.toMatchObject({ code: 'corrupt' })
    await expect(store.get('01/bad')).rejects.toThrow('01/bad')
    await expect(rowsOf(store, '01/')).rejects.toMatchObject({ code: 'corrupt' })
    expect(new TextDecoder().decode((await store.get('01/good')) ?? undefined)).toBe('untouched')
    await store.close()
  })

  it('does not begin anew in silence when its files are gone', async () => {
    const folder = newFolder()
    const first = await openLevelStore(folder)
    await first.batch([put('01/a', 'one')])
    await first.close()
    rmSync(join(folder, 'CURRENT'))
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: 'missing' })
    rmSync(folder, { recursive: true })
    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: 'missing' })
    rmSync(markerPath(folder)) // The operator's word that nothing was there.
    await openLevelStore(folder).then((store) => store.close())
  })
})
