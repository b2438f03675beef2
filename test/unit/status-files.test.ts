/** Every real status file that we have, and each of upstream's known troubles: what an operator is shown of it; and of the pace. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { coordinatorProblems } from '../../coordinator/problems.ts'
import { describe as describeLines } from '../../node/commands/status.ts'
import { badSource, paused } from '../../node/observe/pace-status.ts'
import type { NodeStatus } from '../../node/observe/status.ts'
import type { Origin } from '../../node/ports.ts'
import { type Discovery, discover } from '../../node/upstream/discover.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'

const DAY = 86_400_000
const folder = join(import.meta.dirname, '..', 'fixtures', 'dumpstatus')

function fixture(name: string): unknown {
  const bytes = readFileSync(join(folder, name))
  return JSON.parse((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'))
}

/** One round at this moment over an origin with one wiki, whose index and own status both say this. */
function look(wiki: string, date: string, status: unknown, nowMs: number): Promise<Discovery> {
  const origin: Origin = {
    index: async () => new Map([[wiki, { date, status }]]),
    dumpStatus: async () => status,
    checksums: async () => null,
    list: async () => null,
    text: async () => null,
    facts: async () => null,
    download: async () => [],
    range: async () => {},
    label: 'origin',
    bytesReceived: 0,
    bytesElsewhere: 0,
    close: async () => {},
  }
  const clock = { wallMs: () => nowMs, monotonicMs: () => 0 }
  const parts = { origin, clock, log: silentLog, settledAfterMs: DAY }
  return discover(parts, () => false, new AbortController().signal)
}

const told = ({ problems }: Discovery) => problems.map((one) => [one.code, one.detail])

/** File, wiki, date, when it is looked at; then shards, and what is told. */
const REAL: readonly (readonly [string, string, string, string, number, readonly (readonly string[])[]])[] = [
  ['enwiki-20201001-two-jobs.json', 'enwiki', '20201001', '2020-11-01', 1, []],
  [
    'enwiki-20201001-two-jobs-waiting.json',
    'enwiki',
    '20201001',
    '2020-10-04',
    0,
    [['in-progress', 'upstream is still writing this run']],
  ],
  [
    'enwiki-20230301-in-progress.json',
    'enwiki',
    '20230301',
    '2023-03-04',
    0,
    [['in-progress', 'upstream is still writing this run']],
  ],
  [
    'enwiki-20230301-in-progress.json',
    'enwiki',
    '20230301',
    '2026-11-27',
    0,
    [['abandoned', 'it says that it is still being written, but nobody has touched it for weeks']],
  ],
  [
    'enwiki-20240801.json.gz',
    'enwiki',
    '20240801',
    '2024-08-09',
    0,
    [['not-settled-yet', 'its newest part was made too short a time ago']],
  ],
  ['enwiki-20240801.json.gz', 'enwiki', '20240801', '2024-08-11', 110, []],
  [
    'enwikivoyage-20170801.json',
    'enwikivoyage',
    '20170801',
    '2026-11-27',
    0,
    [['digests-missing', 'upstream has not published a checksum for every file yet']],
  ],
]

describe('a real status file', () => {
  it.each(REAL)('%s of %s/%s on %s', async (name, wiki, date, day, shards, problems) => {
    const found = await look(wiki, date, fixture(name), Date.parse(`${day}T12:00:00Z`))
    expect(told(found)).toEqual(problems)
    expect(found.runs.flat()).toHaveLength(shards)
  })

  it('is in the table above, each of them', () => {
    const files = readdirSync(folder).filter((name) => !name.endsWith('.md'))
    expect(new Set(REAL.map(([name]) => name))).toEqual(new Set(files))
  })
})

describe('what upstream breaks', () => {
  const HASHES = { md5: 'ab'.repeat(16), sha1: 'cd'.repeat(20) }
  const at = Date.parse('2026-01-20T00:00:00Z')
  const file = (rest: string) => `tenwiki-20260101-${rest}`
  const done = (rest: string, facts: object = { size: 5, ...HASHES }) => ({
    status: 'done',
    updated: '2026-01-02 03:04:05',
    files: { [file(rest)]: facts },
  })
  const run = (jobs: Record<string, object>) => look('tenwiki', '20260101', { version: '0.8', jobs }, at)

  it('a run with failed jobs is taken, and told from a whole one', async () => {
    const failed = { status: 'failed', updated: '2026-01-02 03:04:06', files: { [file('x.gz')]: {} } }
    const found = await run({ pagetable: done('page.sql.gz'), xmlstubsdump: failed })
    expect(found.runs.flat()).toHaveLength(1)
    expect(told(found)).toEqual([['failed-jobs', '1 of 2 jobs failed at Wikimedia: xmlstubsdump']])
  })

  it('a run of which done jobs lost files is taken, and the files are named', async () => {
    const found = await run({ pagetable: done('page.sql.gz'), lost: done('lost.sql.gz', {}) })
    expect(found.runs.flat()[0]?.files).toHaveLength(1)
    expect(told(found)).toEqual([
      ['files-missing', '1 files are listed by finished jobs, but not there: tenwiki-20260101-lost.sql.gz'],
    ])
  })

  it('a run whose every job failed has nothing, and says so', async () => {
    const failed = { status: 'failed', updated: '2026-01-02 03:04:06' }
    expect(told(await run({ a: failed, b: failed })).map(([code]) => code)).toEqual([
      'failed-jobs',
      'no-files',
    ])
  })

  it('a run of 2013 that never ended is abandoned; one that ended is taken like any other', async () => {
    const old = (status: string) => ({
      jobs: {
        pagetable: {
          status,
          updated: '2013-05-06 07:08:09',
          files: { 'aawiki-20130501-page.sql.gz': { size: 5, ...HASHES } },
        },
      },
    })
    expect(told(await look('aawiki', '20130501', old('in-progress'), at)).map(([code]) => code)).toEqual([
      'abandoned',
    ])
    expect((await look('aawiki', '20130501', old('done'), at)).runs.flat()[0]?.id).toBe(
      'dumps/aawiki/20130501',
    )
  })

  it('a date that follows no calendar of dumps is as good as any', async () => {
    const status = {
      jobs: {
        pagetable: { ...done('x'), files: { 'tenwiki-20260113-page.sql.gz': { size: 5, ...HASHES } } },
      },
    }
    expect((await look('tenwiki', '20260113', status, at)).runs.flat()[0]?.id).toBe('dumps/tenwiki/20260113')
  })
})

describe('what the operator of a coordinator reads', () => {
  const problem = (wiki: string, code: 'in-progress' | 'failed-jobs' | 'abandoned') => ({
    dataset: 'dumps' as const,
    wiki,
    date: '20260101',
    code,
    detail: `why ${code}`,
    atMs: 1,
  })
  const publish = { targets: () => [] } as unknown as Parameters<typeof coordinatorProblems>[0]['publish']
  const shown = (runProblems: ReturnType<typeof problem>[]) =>
    coordinatorProblems({
      discoverProblem: null,
      runProblems,
      preserve: null,
      publish,
      silentMirrors: [],
      nowMs: 1,
    })

  it('a thousand runs in progress are one line, so that failed ones stay in sight', () => {
    const busy = Array.from({ length: 1_000 }, (_, index) => problem(`w${index}wiki`, 'in-progress'))
    const lines = shown([...busy, problem('aawiki', 'failed-jobs'), problem('abwiki', 'abandoned')])
    expect(lines.map((one) => `${one.code}: ${one.detail}`)).toEqual([
      'in-progress: 1000 runs, such as dumps/w0wiki/20260101, dumps/w1wiki/20260101, dumps/w2wiki/20260101, dumps/w3wiki/20260101, dumps/w4wiki/20260101: why in-progress',
      'failed-jobs: dumps/aawiki/20260101: why failed-jobs',
      'abandoned: dumps/abwiki/20260101: why abandoned',
    ])
  })

  it('`wikiseed status` prints them with their words', () => {
    const problems = shown([problem('aawiki', 'failed-jobs')])
    const now = { ...EMPTY, problems } as unknown as NodeStatus
    expect(describeLines(now).at(-1)).toContain('failed-jobs: dumps/aawiki/20260101: why failed-jobs')
  })
})

describe('what a volunteer reads of the pace', () => {
  const line = (pace: object) =>
    describeLines({ ...EMPTY, pace: { ...EMPTY.pace, ...pace }, problems: [] } as unknown as NodeStatus).find(
      (one) => one.startsWith('pace'),
    )

  it('is nothing when nothing is limited, else the limits, what is spent, and why it waits', () => {
    expect(line({})).toBeUndefined()
    const limits = {
      webLimitBytesPerSecond: 5e6,
      quietHours: ['08:00-18:00'],
      monthlyBudgetBytes: 2e12,
      monthUsedBytes: 1e12,
    }
    const shown = line({ ...limits, pausedBy: 'quiet-hours', pausedFetches: 3 })
    expect(shown).toMatch(
      /a second over HTTP; quiet 08:00-18:00; .* of .* this month; 3 fetches paused \(quiet-hours\)$/,
    )
  })

  it('a spent budget and a full disk are problems, a quiet hour is none; a source that gave wrong bytes is named', () => {
    const pace = { ...EMPTY.pace, pausedFetches: 2, monthUsedBytes: 0 }
    const codes = (pausedBy: 'disk-full' | 'budget-used' | 'quiet-hours') =>
      paused({ pace: { ...pace, pausedBy }, nowMs: 1 }).map((one) => one.code)
    expect([codes('disk-full'), codes('budget-used'), codes('quiet-hours')]).toEqual([
      ['disk-full'],
      ['budget-used'],
      [],
    ])
    const shard = `dumps/tenwiki/20260101@${'a'.repeat(64)}` as ShardKey
    expect(badSource({ source: 'mirror.example', shard, path: '20260101/x.gz', atMs: 5 })).toMatchObject({
      shard: 'dumps/tenwiki/20260101',
      code: 'bad-source',
      detail: "mirror.example gave bytes that are not Wikimedia's.",
      files: ['20260101/x.gz'],
      resolvedAtMs: 5,
    })
  })
})

describe('what a volunteer reads of how peers are found', () => {
  const line = (dht: object) =>
    describeLines({
      ...EMPTY,
      nowMs: 1_000_000,
      bittorrent: { discovery: { ...EMPTY.bittorrent.discovery, dht } },
      problems: [],
    } as unknown as NodeStatus).find((one) => one.startsWith('discovery'))

  it.each([
    [{ off: null, nodes: 142, announcedAtMs: 988_000 }, 'DHT 142 nodes, announced 12 s ago'],
    [{ off: null, nodes: 0, announcedAtMs: null }, 'DHT nothing announced yet'],
    [{ off: 'turned off', nodes: 0, announcedAtMs: null }, 'DHT off: turned off'],
  ])('of %o', (dht, words) => {
    expect(line(dht)).toBe(
      `discovery   ${words}; DHT over IPv6 off: turned off; local network off: turned off`,
    )
  })
})

const EMPTY = {
  ports: [],
  counts: {},
  bittorrent: {
    discovery: {
      dht: { off: 'turned off' },
      dht6: { off: 'turned off' },
      lsd: { off: 'turned off', nodes: 0, announcedAtMs: null },
    },
  },
  capacity: { bytesTotal: 0, bytesUsed: 0 },
  pace: { pausedBy: null, webLimitBytesPerSecond: null, quietHours: [], monthlyBudgetBytes: null },
  traffic: { originBytes: 0, elsewhereBytes: 0, swarmDownBytes: 0, swarmUpBytes: 0 },
  catalog: { source: 'none', readAtMs: null, observed: 0 },
  fetches: [],
  operator: '',
  nowMs: 0,
  startedAtMs: 0,
}
