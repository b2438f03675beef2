import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const WIKISEED = join(import.meta.dirname, '..', '..', 'node', 'wikiseed.js')
/** Says at its end how a process was started. */
const TELLS = `data:text/javascript,process.on('exit',()=>console.error(process.env.MALLOC_ARENA_MAX,process.execArgv[0]))`

function howStarted(words: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { MALLOC_ARENA_MAX: _, ...rest } = process.env
  const args = ['--import', TELLS, WIKISEED, ...words, '--help']
  return spawnSync(process.execPath, args, { env: { ...rest, ...env }, encoding: 'utf8' }).stderr.trim()
}

describe.skipIf(process.platform !== 'linux')('the launcher', () => {
  it.each([[['start']], [['coordinator', 'start']]])(
    'begins again, frugally, for what runs long: %s',
    (words) => {
      expect(howStarted(words)).toBe('1 --max-semi-space-size=8')
    },
  )

  it('does not for what ends soon', () => {
    expect(howStarted(['verify'])).toBe('undefined --import')
  })

  it('leaves it to whoever set one of these already', () => {
    expect(howStarted(['start'], { MALLOC_ARENA_MAX: '7' })).toBe('7 --import')
  })
})
