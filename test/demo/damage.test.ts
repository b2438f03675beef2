import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Demo, eventually, removeDemo, shardsOf, startDemo, statusOf } from './support.ts'

const NAME = 'fatwiki-20240920-pages-articles-multistream.xml.bz2'

describe('1 MiB of a held file overwritten in the middle of the demo', () => {
  let demo: Demo | null = null
  afterAll(() => removeDemo(demo), 60_000)

  it('is found by an audit, named in the status, and repaired from the swarm', async () => {
    demo = await startDemo([])
    const running = demo
    const file = await eventually('the demo starts', 30_000, async () => {
      const now = await running.file().catch(() => null)
      return now?.coordinator !== undefined && now
    })
    const victim = await eventually('three nodes hold fatwiki, and nothing is missing', 120_000, async () => {
      const rows = await shardsOf(file.coordinator)
      const row = rows.find((one) => one.wiki === 'fatwiki')
      // What nobody holds may come from origin while the damage is repaired.
      if (row === undefined || row.replicas < 3 || rows.some((one) => one.replicas === 0)) return null
      return file.nodes.find((node) => row.holders[0]?.node === node.peerId) ?? null
    })
    const path = join(victim.dataDir, 'mirror/fatwiki/20240920', NAME)
    const before = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    const summary = async () =>
      (await (await fetch(`${file.world.wikimedia}/_world/summary`)).json()) as { originBytes: number }
    const originBefore = (await summary()).originBytes

    const handle = await open(path, 'r+')
    await handle.write(Buffer.alloc(1024 * 1024, 0x42), 0, 1024 * 1024, 1_000_000)
    await handle.close()

    const problem = await eventually('the damage is found and repaired', 120_000, async () => {
      const status = await statusOf(victim)
      return status?.problems.find((one) => one.code === 'damaged' && one.resolvedAtMs !== null) ?? null
    })
    expect(problem.shard).toBe('dumps/fatwiki/20240920')
    expect(problem.files.join(' ')).toContain(NAME)
    expect(
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ).toBe(before)
    expect((await summary()).originBytes).toBe(originBefore)
    await eventually('the replica counts again', 60_000, async () => {
      const row = (await shardsOf(file.coordinator)).find((one) => one.wiki === 'fatwiki')
      return row?.holders.some((holder) => holder.node === victim.peerId && holder.audited) === true
    })
  }, 360_000)
})
