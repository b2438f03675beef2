import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  type Demo,
  type DemoFile,
  eventually,
  type Member,
  ROOT,
  removeDemo,
  shardsOf,
  startDemo,
  statusOf,
} from './support.ts'

const KILLS = 20
/** Slow enough that transfers are under way for all of the kills, both from origin and in the swarm. */
const SLOW = ['--world-args', '--bytes-per-second 30000', '--node-args', '--download-limit 40kB']

describe('kill -9 at random moments while a transfer is active', () => {
  let demo: Demo | null = null
  afterAll(() => removeDemo(demo), 60_000)

  it(`ends safe after ${KILLS} kills of nodes and coordinator, each started again`, async () => {
    demo = await startDemo(SLOW)
    const running = demo
    const read = () => running.file()
    await eventually(
      'the demo starts',
      30_000,
      async () => (await read().catch(() => null))?.coordinator !== undefined,
    )
    const killed: string[] = []
    let random = 20261122
    const chance = (below: number) => {
      random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff
      return random % below
    }
    while (killed.length < KILLS) {
      // Chance alone might spare the coordinator: half of the way through it is its turn, as soon as it fetches.
      const only = killed.length >= KILLS / 2 && !killed.includes('coordinator') ? 'coordinator' : null
      const victim = await eventually('a transfer is active', 120_000, () => transferring(read, chance, only))
      const pid = victim.pid as number
      process.kill(pid, 'SIGKILL')
      killed.push(victim.name)
      await eventually(`${victim.name} is started again`, 30_000, async () => {
        const now = (await members(read)).find((one) => one.name === victim.name)
        return now?.pid !== null && now?.pid !== pid
      })
    }
    expect(new Set(killed).size).toBeGreaterThanOrEqual(3)
    expect(killed).toContain('coordinator')
    const file = await read()
    await eventually('everything is safe, archived and published', 420_000, async () => {
      const rows = await shardsOf(file.coordinator)
      return (
        rows.length >= 18 &&
        rows.every((row) => row.safe && row.archived && row.published && row.replicas >= 3)
      )
    })
    const oracle = spawnSync('python3', [join(ROOT, 'test/oracle/safe.py'), '--demo', running.dir])
    expect(oracle.status, oracle.stdout.toString() + oracle.stderr.toString()).toBe(0)
  }, 900_000)
})

async function members(read: () => Promise<DemoFile>): Promise<Member[]> {
  const file = await read().catch(() => null)
  return file === null ? [] : [file.coordinator, ...file.nodes]
}

/**
 * A running member with a fetch under way that has begun and not ended; every third time the coordinator, if it can be. `only`:
 * this one or none.
 */
async function transferring(
  read: () => Promise<DemoFile>,
  chance: (below: number) => number,
  only: string | null,
): Promise<Member | null> {
  const busy: Member[] = []
  for (const member of await members(read)) {
    if (member.pid === null) continue
    const status = await statusOf(member)
    if (status?.fetches.some((fetch) => fetch.doneBytes < fetch.sizeBytes)) busy.push(member)
  }
  if (only !== null) return busy.find((member) => member.name === only) ?? null
  const coordinator = busy.find((member) => member.name === 'coordinator')
  if (coordinator !== undefined && chance(3) === 0) return coordinator
  return busy[chance(busy.length || 1)] ?? null
}
