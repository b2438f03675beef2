import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { NO_STRANGERS } from '../support/cli.ts'
import {
  ask,
  type Demo,
  type DemoFile,
  eventually,
  ROOT,
  type Row,
  removeDemo,
  shardsOf,
  startDemo,
} from './support.ts'

describe('a volunteer who leaves', () => {
  let demo: Demo | null = null
  const children: ChildProcess[] = []
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL')
    await removeDemo(demo)
  }, 60_000)

  it('hands everything over first, then stops by itself', async () => {
    demo = await startDemo(['--nodes', '2'])
    const running = demo
    const file = await eventually('the demo starts', 30_000, async () => {
      const now = await running.file().catch(() => null)
      return now?.coordinator !== undefined && now
    })
    const leaver = await startVolunteer(file, join(running.dir, 'leaver'), children, [])
    const all = (rows: Row[]) => rows.length >= 18 && rows
    await eventually('the third volunteer holds everything', 120_000, async () => {
      const rows = all(await rowsOf(leaver.url))
      return rows !== false && rows.every((row) => row.own === 'held' && row.replicas >= 2)
    })
    await startVolunteer(file, join(running.dir, 'heir'), children, [])
    leaver.child.kill('SIGTERM')
    await leaver.ended
    const leaving = await startVolunteer(file, join(running.dir, 'leaver'), children, ['--leave'])
    expect(await leaving.ended).toBe(0)
    expect(leaving.output()).toContain('Everything is handed over')
    const rows = await shardsOf(file.coordinator)
    for (const row of rows) expect(row.holders.length, row.id).toBeGreaterThanOrEqual(3)
  }, 300_000)
})

const rowsOf = async (url: string): Promise<Row[]> =>
  (await ask<{ shards: Row[] }>(`${url}api/v1/shards`))?.shards ?? []

/** `wikiseed start` as a volunteer types it, into the demo's federation. */
async function startVolunteer(
  file: DemoFile,
  dataDir: string,
  children: ChildProcess[],
  flags: readonly string[],
) {
  const args = [
    ...[join(ROOT, 'node/wikiseed.js'), 'start', '--data', dataDir, '--root', file.root, '--capacity', '1GB'],
    ...['--origin', file.world.wikimedia, '--contact', 'me@example.org', '--listen', '/ip4/127.0.0.1/tcp/0'],
    ...['--bittorrent-port', '0', '--http', '127.0.0.1:0', ...flags],
  ]
  const env = { ...process.env, ...NO_STRANGERS }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  children.push(child)
  let output = ''
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  child.stderr.on('data', (data: Buffer) => {
    output += data
  })
  child.stdout.on('data', (data: Buffer) => {
    output += data
  })
  const url = await eventually(
    'a volunteer starts',
    30_000,
    async () => /(http:\S+)\s/.exec(output)?.[1] ?? null,
  )
  return { child, url, ended, output: () => output }
}
