import { describe, expect, it } from 'vitest'
import { type Origin, OriginError } from '../../node/ports.ts'
import { discover } from '../../node/upstream/discover.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { NOW } from '../support/manifests.ts'

const HASHES = { md5: 'ab'.repeat(16), sha1: 'cd'.repeat(20) }
const NAME = 'tenwiki-20260101-pages-articles.xml.bz2'

const RECENTLY = new Date(NOW - 3_600_000).toISOString().replace('T', ' ').slice(0, 19)

/** A status as upstream writes it: one job, one file. */
function statusOf(
  job: Record<string, unknown> = {},
  file: Record<string, unknown> = { size: 5, ...HASHES },
): unknown {
  return {
    version: '0.8',
    jobs: {
      articlesdump: { status: 'done', updated: '2026-01-02 03:04:05', files: { [NAME]: file }, ...job },
    },
  }
}

/** An origin whose index shows this status; `asked` counts reads of the run's own status. */
function originOf(index: unknown, run: () => unknown = () => index): { origin: Origin; asked: () => number } {
  let asked = 0
  const origin: Origin = {
    index: async () => new Map([['tenwiki', { date: '20260101', status: index }]]),
    dumpStatus: async () => {
      asked++
      return run()
    },
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
  return { origin, asked: () => asked }
}

function look(origin: Origin, known: (id: string) => boolean = () => false) {
  const clock = { wallMs: () => NOW, monotonicMs: () => 0 }
  const parts = { origin, clock, log: silentLog, settledAfterMs: 86_400_000 }
  return discover(parts, (shard) => known(shard.id), new AbortController().signal)
}

describe('discovery', () => {
  it('finds a settled run', async () => {
    const { runs, problems } = await look(originOf(statusOf()).origin)
    expect(runs.flat().map((shard) => shard.id)).toEqual(['dumps/tenwiki/20260101'])
    expect(problems).toEqual([])
  })

  it('does not ask upstream again for a run that the catalog has', async () => {
    const { origin, asked } = originOf(statusOf())
    expect((await look(origin, () => true)).runs).toEqual([])
    expect(asked()).toBe(0)
  })

  it('names a run that is still being written, and asks for no more of it', async () => {
    const { origin, asked } = originOf(
      statusOf({ status: 'in-progress', updated: RECENTLY, files: { [NAME]: { size: 3 } } }),
    )
    expect((await look(origin)).problems[0]).toMatchObject({ wiki: 'tenwiki', code: 'in-progress' })
    expect(asked()).toBe(0)
  })

  it('names a run whose newest job ended less than a day ago', async () => {
    expect((await look(originOf(statusOf({ updated: RECENTLY })).origin)).problems[0]?.code).toBe(
      'not-settled-yet',
    )
  })

  it('waits for checksums that lag behind, and says so', async () => {
    const { runs, problems } = await look(originOf(statusOf({}, { size: 5 })).origin)
    expect(runs).toEqual([])
    expect(problems[0]?.code).toBe('digests-missing')
  })

  it('names a status that stays HTML or truncated however often it is asked for', async () => {
    const run = () => {
      throw new OriginError('not-json', 'dumpstatus.json of tenwiki is HTML, not JSON')
    }
    const { problems } = await look(originOf(statusOf(), run).origin)
    expect(problems[0]).toMatchObject({
      code: 'unreadable',
      detail: 'dumpstatus.json of tenwiki is HTML, not JSON',
    })
  })

  it('names a status of the wrong shape, with the place', async () => {
    const { problems } = await look(
      originOf({ version: '0.8', jobs: { articlesdump: { status: 'exploded' } } }).origin,
    )
    expect(problems[0]?.code).toBe('unreadable')
    expect(problems[0]?.detail).toContain('articlesdump')
  })

  it('fails as a whole when the index itself cannot be read', async () => {
    const { origin } = originOf(statusOf())
    origin.index = async () => {
      throw new OriginError('not-json', 'index.json is HTML')
    }
    await expect(look(origin)).rejects.toThrow('index.json is HTML')
  })
})
