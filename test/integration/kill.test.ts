/**
 * kill -9 while a process fetches from the miniature Wikimedia (PROTOCOL 6): at every named step of the journal, and at random moments
 * with a transfer active. After each kill the disk is looked at by other code than ours: node:crypto against upstream's bytes.
 * `WIKISEED_KILLS=500` runs the number that is promised; without it there are fewer.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FETCH_STEPS } from '../../node/files/steps.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import type { ChildTask } from '../support/fetching-child.ts'
import { startWorld, type World } from '../world/world.ts'
import { makeDumps, noise } from './world-support.ts'

const KILLS = Number(process.env.WIKISEED_KILLS ?? 28)
const STEPS = ['claimed', ...FETCH_STEPS, 'held'] as const
/** A kill at a later arrival meets later files. */
const COUNT_MAX: Readonly<Record<string, number>> = {
  chunk: 80,
  'side-file': 7,
  'file-synced': 7,
  'file-whole': 7,
  moved: 7,
}
const CHILD = join(import.meta.dirname, '..', 'support', 'fetching-child.ts')

const EXPORT = 'other/mediawiki_content_current/fatwiki/2026-01-01/xml/bzip2/fatwiki-2026-01-01'
const FILES: Record<string, Buffer> = {
  'aawiki/20260101/aawiki-20260101-page.sql.gz': noise(50_000, 1),
  'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2': noise(400_000, 2),
  'aawiki/20260101/aawiki-20260101-pages-meta-history.xml.7z': noise(700_000, 3),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2': noise(600_000, 4),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream-index.txt.bz2': noise(900, 5),
  [`${EXPORT}-p1p99.xml.bz2`]: noise(500_000, 6),
  [`${EXPORT}-p100p200.xml.bz2`]: noise(300_000, 7),
}
const RUNS = ['dumps/aawiki/20260101', 'dumps/fatwiki/20240920', 'content_current/fatwiki/20260101']
const UNIQUE_BYTES = Object.values(FILES).reduce((sum, bytes) => sum + bytes.length, 0)

/** As they lie in the mirror: the exports without `other/`. */
const truth = new Map(Object.entries(FILES).map(([path, bytes]) => [path.replace(/^other\//, ''), bytes]))

let world: World
let dumps: string
let dataDir: string

beforeAll(async () => {
  dumps = await makeDumps(FILES)
  world = await startWorld({
    dumps,
    seed: '9',
    bytesPerSecond: 3_000_000,
    faults: {
      cutRate: 0.2,
      wikimedia429Rate: 0.03,
      wikimedia503Rate: 0.03,
      retryAfterSeconds: 0,
      burstLength: 2,
    },
  })
  dataDir = await mkdtemp(join(tmpdir(), 'wikiseed-kill-'))
})
afterAll(async () => {
  await world.close()
  await rm(dumps, { recursive: true })
  await rm(dataDir, { recursive: true, force: true })
})

/** Deterministic, so that a failure can be had again; the moments themselves are the machine's. */
let random = 20261127
function below(limit: number): number {
  random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff
  return random % limit
}

/** Runs the child to its end, or kills it `afterMs` after its first bytes of a file. True: it was killed. */
async function run(killAt: ChildTask['killAt'], afterMs: number | null): Promise<boolean> {
  const task: ChildTask = { dataDir, originUrl: `${world.url}/`, runs: RUNS, killAt }
  const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  let timer: NodeJS.Timeout | undefined
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  child.stdout.on('data', (chunk: Buffer) => {
    if (afterMs === null || timer !== undefined || !chunk.includes('.')) return
    timer = setTimeout(() => child.kill('SIGKILL'), afterMs)
  })
  const [code, signal] = await once(child, 'exit')
  clearTimeout(timer)
  if (signal === 'SIGKILL') return true
  expect([code, errors]).toEqual([0, ''])
  return false
}

/** Paths of dump files below a folder. */
function dumpFilesOf(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() &&
        !/\/wikiseed-[0-9a-f]{8}$/.test(entry.parentPath) &&
        !/\.meta\.json|\.tmp$/.test(entry.name),
    )
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Nothing unverified is in the mirror, and whatever the journal calls held is there whole. Returns what is held. */
async function look(): Promise<ReadonlySet<string>> {
  const mirror = join(dataDir, 'mirror')
  const there = new Set<string>()
  for (const path of dumpFilesOf(mirror)) {
    const name = path.slice(mirror.length + 1)
    expect([name, truth.get(name)?.equals(readFileSync(path))]).toEqual([name, true])
    there.add(name)
  }
  if (!existsSync(join(dataDir, 'store.created'))) return new Set()
  const store = await openLevelStore(join(dataDir, 'store'))
  const kept = await new KeptStore(store).load()
  await store.close()
  const held = (kept?.own ?? []).filter((row) => row.state === 'held')
  for (const { shard, infohash } of held) {
    expect(shard.files.filter((file) => !there.has(`${shard.name}/${file.path}`))).toEqual([])
    expect(existsSync(join(dataDir, 'torrents', `${infohash}.torrent`))).toBe(true)
  }
  return new Set(held.map((row) => row.shard.id))
}

/** Origin path -> bytes of it that are on the disk, wherever. */
function onDisk(): Map<string, number> {
  const sizes = new Map<string, number>()
  const staging = join(dataDir, 'staging')
  const note = (name: string, path: string) => {
    const origin = name.startsWith('mediawiki_') ? `/other/${name}` : `/${name}`
    sizes.set(origin, Math.max(sizes.get(origin) ?? 0, statSync(path).size))
  }
  for (const path of dumpFilesOf(join(dataDir, 'mirror'))) note(path.slice(dataDir.length + 8), path)
  for (const path of dumpFilesOf(staging)) {
    const inside = path.slice(staging.length + 1)
    const name = inside.slice(inside.indexOf('/') + 1)
    // Before its first bytes a side file stands alone.
    if (truth.has(name) && existsSync(`${path}.meta.json`)) note(name, path)
    else if (truth.get(name)?.length === statSync(path).size) note(name, path)
  }
  return sizes
}

interface Life {
  /** What was on the disk when it began. */
  readonly before: ReadonlyMap<string, number>
  readonly fromAt: string
  readonly toAt: string
}

/**
 * Where the first request that was answered for each file began, in the life of one process. The first request goes on where the disk
 * ended: not one byte that was written is asked for again. A line is logged when its answer ended, which may be after the process did.
 */
function firstRequests({ fromAt, toAt }: Life): Map<string, number> {
  const first = new Map<string, number>()
  const own = world.log.filter((one) => one.at >= fromAt && one.at <= toAt)
  for (const { path, method, range, status, kind } of own.sort((a, b) => (a.at < b.at ? -1 : 1))) {
    const isAnswered = kind === 'dump' && method === 'GET' && (status === 200 || status === 206)
    if (!isAnswered || first.has(path)) continue
    first.set(path, Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0))
  }
  return first
}

describe('kill -9 while fetching', () => {
  it(
    `${KILLS} times, at every named step and at random moments: nothing is lost, nothing unverified is held`,
    async () => {
      const figures = { kills: 0, atSteps: 0, atRandom: 0, rounds: 0, refetched: 0, resumed: 0 }
      const missed = new Set<string>(STEPS)
      const lives: Life[] = []
      let held: ReadonlySet<string> = new Set()
      while (figures.kills < KILLS) {
        const atStep = figures.kills % 2 === 0
        const step = STEPS[(figures.kills / 2) % STEPS.length] ?? 'held'
        const killAt = atStep ? { step, count: 1 + below(COUNT_MAX[step] ?? 2) } : null
        const before = onDisk()
        const fromAt = new Date().toISOString()
        const killed = await run(killAt, atStep ? null : below(900))
        lives.push({ before, fromAt, toAt: new Date().toISOString() })
        const now = await look()
        for (const id of held) expect([...now]).toContain(id)
        held = now
        if (killed) {
          figures.kills++
          figures[atStep ? 'atSteps' : 'atRandom']++
          if (atStep) missed.delete(step)
          continue
        }
        // It came to its end: all is held. Begin anew; a step that was not met is tried with its first arrival.
        expect([...held].sort()).toEqual([...RUNS].sort())
        figures.rounds++
        if (atStep) {
          await rm(dataDir, { recursive: true })
          held = new Set()
          if (await run({ step, count: 1 }, null)) {
            figures.kills++
            figures.atSteps++
            missed.delete(step)
            held = await look()
            continue
          }
          throw new Error(`no fetch comes to the step ${step}`)
        }
        await rm(dataDir, { recursive: true })
        held = new Set()
      }
      expect(await run(null, null)).toBe(false)
      expect([...(await look())].sort()).toEqual([...RUNS].sort())
      for (const life of lives) {
        for (const [path, from] of firstRequests(life)) {
          const had = life.before.get(path) ?? 0
          figures.refetched += Math.max(0, had - from)
          if (from > 0) figures.resumed++
          expect([life.fromAt, path, from]).toEqual([life.fromAt, path, had])
        }
      }
      const { originBytes } = world.summary()
      const rounds = figures.rounds + 1
      console.log(
        `kills: ${JSON.stringify({ ...figures, rounds, notMet: [...missed], uniqueBytes: UNIQUE_BYTES, originBytes, sentPerRound: Number((originBytes / rounds / UNIQUE_BYTES).toFixed(3)) })}`,
      )
      expect(figures.refetched).toBe(0)
      if (KILLS >= 2 * STEPS.length) expect([...missed]).toEqual([])
    },
    60_000 + KILLS * 8_000,
  )
})
