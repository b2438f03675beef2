import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLog } from '../../node/observe/log.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-log-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const lines = (name = 'node.log'): Record<string, unknown>[] =>
  readFileSync(join(folder, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('the log', () => {
  it('writes one JSON line an entry, at once, from its level on', () => {
    const log = createLog({ level: 'info', folder })
    log.debug({ a: 1 }, 'too small')
    log.child({ part: 'net' }).warn({ peers: 2 }, 'few peers')
    expect(lines()).toEqual([
      { level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/), part: 'net', peers: 2, msg: 'few peers' },
    ])
  })

  it('never writes secrets, at the top or below', () => {
    const log = createLog({ level: 'info', folder })
    const secret = 'swordfish'
    log.info(
      { token: secret, headers: { authorization: secret }, r2: { keys: { secretAccessKey: secret } } },
      'x',
    )
    log.child({ password: secret }).info({ privateKey: secret, seed: secret }, 'y')
    expect(readFileSync(join(folder, 'node.log'), 'utf8')).not.toContain(secret)
    expect(lines()).toHaveLength(2)
  })

  it('says of errors what they say of themselves', () => {
    createLog({ level: 'info', folder }).error(
      { error: Object.assign(new Error('no room'), { code: 'ENOSPC' }) },
      'failed',
    )
    expect(lines()[0]?.error).toMatchObject({ name: 'Error', message: 'no room', code: 'ENOSPC' })
  })

  it('turns the file over before it is too large, and loses no line', () => {
    const log = createLog({ level: 'info', folder, fileBytesMax: 2_000 })
    for (let number = 0; number < 30; number++) log.info({ number }, 'a line')
    expect(existsSync(join(folder, 'node.log.1'))).toBe(true)
    const kept = [...lines('node.log.1'), ...lines()].map((line) => line.number)
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => 30 - kept.length + index))
    expect(readFileSync(join(folder, 'node.log')).length).toBeLessThanOrEqual(2_000)
  })

  it('goes on in the file of before', () => {
    createLog({ level: 'info', folder }).info({}, 'one')
    createLog({ level: 'info', folder }).info({}, 'two')
    expect(lines().map((line) => line.msg)).toEqual(['one', 'two'])
  })
})
