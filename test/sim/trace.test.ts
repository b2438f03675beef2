/**
 * Stories of the protocol, compared with what really happens. After a wanted change: `UPDATE_TRACES=1 npx vitest run
 * test/sim/trace.test.ts`, and read the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runTrace } from './trace.ts'

const folder = join(import.meta.dirname, '..', 'traces')
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

describe('the story', () => {
  it.each(names)('%s goes as it is told', (name) => {
    const path = join(folder, name)
    const text = readFileSync(path, 'utf8')
    const told = runTrace(text)
    if (process.env.UPDATE_TRACES === '1') writeFileSync(path, told)
    else expect(told).toBe(text)
    expect(told).not.toContain('BROKEN')
  })
})

describe('a trace', () => {
  it('says what is wrong with a command', () => {
    expect(() => runTrace('fedration nodes=3')).toThrow('no such command: fedration nodes=3')
    expect(() => runTrace('run 3h')).toThrow('a story begins with a federation')
    expect(() => runTrace('federation nodes=2 shards=yowiki:1MB\nrun soon')).toThrow(/a time looks like/)
    expect(() => runTrace('federation nodes=2 shards=yowiki:1MB\ncrash n7')).toThrow(
      'no machine is called n7',
    )
  })
})
