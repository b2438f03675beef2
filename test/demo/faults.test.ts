import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Demo, eventually, removeDemo, shardsOf, startDemo, statusOf } from './support.ts'

describe('an outside world with faults', () => {
  let demo: Demo | null = null
  afterAll(() => removeDemo(demo), 60_000)

  it('serves bytes that do not match the digest: never held, never seeded, named with the reason; the rest gets safe', async () => {
    demo = await startDemo(['--world-args', '--wrong-bytes yowiki/**'])
    const running = demo
    const file = await eventually('the demo starts', 30_000, async () => {
      const now = await running.file().catch(() => null)
      return now?.coordinator !== undefined && now
    })
    const named = await eventually('a node names the wrong file', 60_000, async () => {
      for (const node of file.nodes) {
        const problem = (await statusOf(node))?.problems.find((one) => one.code === 'digest-mismatch')
        if (problem !== undefined) return problem
      }
      return null
    })
    expect(named.shard).toBe('dumps/yowiki/20260101')
    expect(named.detail).toContain('yowiki-20260101-pages-articles.xml.bz2')
    expect(named.detail).toMatch(/upstream says [0-9a-f]{32}/)
    await eventually('everything else is safe', 180_000, async () => {
      const rows = (await shardsOf(file.coordinator)).filter((row) => row.wiki !== 'yowiki')
      return rows.length >= 17 && rows.every((row) => row.safe)
    })
    for (const node of file.nodes) {
      expect(await readdir(join(node.dataDir, 'mirror'))).not.toContain('yowiki')
    }
  }, 300_000)

  it('cuts, refuses, and answers HTML for JSON: the demo still ends safe', async () => {
    const faults =
      '--fault-429 0.1 --fault-503 0.1 --fault-cut 0.1 --fault-truncated-json 0.3 --fault-html-json 0.3'
    const rough = await startDemo(['--exit', '--json', '--timeout', '240', '--world-args', faults])
    try {
      const { code, lastLine } = await rough.ended
      expect(code, rough.errors()).toBe(0)
      const summary = JSON.parse(lastLine) as { originBytes: number; uniqueBytes: number }
      expect(summary.originBytes / summary.uniqueBytes).toBeLessThanOrEqual(1.25)
    } finally {
      await removeDemo(rough)
    }
  }, 300_000)
})
