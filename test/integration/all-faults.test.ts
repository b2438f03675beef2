/**
 * One client against the miniature Wikimedia with all its faults on (PROTOCOL 6): everything is fetched in the end, over two connections,
 * no error page is taken for a dump, and hardly a byte is sent twice.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Origin } from '../../node/ports.ts'
import { FetchError } from '../../node/transfer/fetch-error.ts'
import { discover } from '../../node/upstream/discover.ts'
import { ExportDiscovery } from '../../node/upstream/discover-exports.ts'
import { knownAmong } from '../../protocol/catalog/runs-to-read.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { makeFetcher, realClock } from '../support/fetcher.ts'
import { startWorld } from '../world/world.ts'
import { makeDumps, noise } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const EXPORT = 'other/mediawiki_content_history/fatwiki/2026-01-01/xml/bzip2/fatwiki-2026-01-01'
const FILES: Record<string, Buffer> = {
  'aawiki/20260101/aawiki-20260101-page.sql.gz': noise(150_000, 1),
  'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2': noise(1_400_000, 2),
  'aawiki/20260101/aawiki-20260101-pages-meta-history.xml.7z': noise(1_700_000, 3),
  'abwiki/20260101/abwiki-20260101-pages-articles.xml.bz2': noise(900_000, 4),
  'acewiki/20260101/acewiki-20260101-pages-articles.xml.bz2': noise(900_000, 5),
  'acewiki/20260101/acewiki-20260101-site_stats.sql.gz': noise(700, 6),
  'afwiki/20130501/afwiki-20130501-pages-articles.xml.bz2': noise(1_100_000, 7),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2': noise(1_600_000, 8),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream-index.txt.bz2': noise(900, 9),
  [`${EXPORT}-p1p99.xml.bz2`]: noise(1_500_000, 10),
  [`${EXPORT}-p100r1r200.xml.bz2`]: noise(800_000, 11),
}
const WANTED = [
  'content_history/fatwiki/20260101',
  'dumps/aawiki/20260101',
  'dumps/abwiki/20260101',
  'dumps/acewiki/20260101',
  'dumps/afwiki/20130501',
  'dumps/fatwiki/20240920',
]
const SETTLED_AFTER_MS = 1_000

describe('the miniature Wikimedia with all faults on', () => {
  it.each(['1', '2', '3'])(
    'gives everything in the end, politely (seed %s)',
    async (seed) => {
      const dumps = await makeDumps(FILES)
      const world = await startWorld({
        dumps,
        seed,
        connectionLimit: 2,
        faults: {
          wikimedia429Rate: 0.08,
          wikimedia503Rate: 0.05,
          burstLength: 2,
          retryAfterSeconds: 1,
          cutRate: 0.4,
          truncatedJsonRate: 0.25,
          htmlJsonRate: 0.25,
          wrongBytesRate: 0.05,
          wrongBytes: [{ glob: 'abwiki/**', times: 1 }],
          changing: [{ glob: 'acewiki/*/*articles*', afterReads: 1 }],
          lateHashReads: 1,
          inProgress: ['aawiki/20260101'],
          unfinishedExports: ['*/fatwiki/2026-01-01'],
        },
      })
      // What the world sent when it cut a connection need not have come: bytes are counted where they arrive.
      const arrived = new Map<string, number>()
      const count = (origin: Origin): Origin => ({
        ...origin,
        download: (file, toPath, options) =>
          origin.download(file, toPath, {
            ...options,
            onBytes: (bytes) => {
              arrived.set(file.path, (arrived.get(file.path) ?? 0) + bytes)
              options.onBytes?.(bytes)
            },
          }),
      })
      const client = await makeFetcher({ originUrl: `${world.url}/`, wrap: count })
      cleanups.push(() => rm(dumps, { recursive: true }), world.close, client.close)
      const exports = new ExportDiscovery()
      const held = new Map<string, Shard>()
      const told = new Set<string>()
      const { signal } = new AbortController()
      for (let round = 0; round < 40 && held.size < WANTED.length; round++) {
        if (round === 2) Object.assign(world.faults, { inProgress: [], unfinishedExports: [] })
        const parts = {
          origin: client.origin,
          clock: realClock,
          log: silentLog,
          settledAfterMs: SETTLED_AFTER_MS,
        }
        const isKnown = knownAmong(held.values())
        const found = await discover(parts, isKnown, signal).catch(() => ({ runs: [], problems: [] }))
        const more = await exports.round(parts, held.values(), isKnown, signal)
        for (const { code, dataset, wiki } of [...found.problems, ...more.problems])
          told.add(`${code} ${dataset}/${wiki}`)
        for (const shard of [...found.runs, ...more.runs].flat()) {
          // As the core does: what fails is tried again, by what upstream says then.
          const failure = await client.fetcher
            .fetch(shard, { kind: 'origin' }, { onProgress: () => {}, signal })
            .then(() => held.set(shard.id, shard))
            .catch((error: unknown) => error)
          if (failure instanceof Error) {
            expect(failure).toBeInstanceOf(FetchError)
            expect(['digest-mismatch', 'origin-unavailable', 'catalog-disagrees']).toContain(
              (failure as FetchError).code,
            )
          }
        }
      }
      expect([...held.keys()].sort()).toEqual(WANTED)
      expect([...told]).toEqual(
        expect.arrayContaining(['in-progress dumps/aawiki', 'abandoned content_history/fatwiki']),
      )

      const sum = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex')
      for (const shard of held.values()) {
        for (const { path, digests } of shard.files) {
          const bytes = readFileSync(join(client.layout.mirror, shard.name, path))
          expect(bytes.subarray(0, 6).toString('latin1')).not.toBe('<html>')
          if (digests.sha1 !== undefined) expect(sum(bytes)).toBe(digests.sha1)
        }
      }
      expect(readdirSync(client.layout.staging)).toEqual([])

      // Files that the world itself corrupted or changed must come twice.
      const dumpsSent = world.log.filter((one) => one.kind === 'dump' && one.method === 'GET')
      const spoiled = new Set(
        dumpsSent
          .filter((one) => one.faults?.some((fault) => fault === 'wrong-bytes' || fault === 'changed'))
          .map((one) => one.path.slice(1)),
      )
      for (const path of Object.keys(FILES))
        if (path.startsWith('acewiki/') && path.includes('articles')) spoiled.add(path)
      let fetched = 0
      let unique = 0
      for (const [path, bytes] of Object.entries(FILES)) {
        if (spoiled.has(path)) continue
        unique += bytes.length
        fetched += arrived.get(path) ?? 0
      }
      const { maxConcurrentByClient, byStatus, originBytes } = world.summary()
      console.log(
        `all faults, seed ${seed}: ${JSON.stringify({ unique, fetched, ratio: Number((fetched / unique).toFixed(5)), spoiled: spoiled.size, originBytes, maxConcurrentByClient, byStatus })}`,
      )
      expect(maxConcurrentByClient).toBeLessThanOrEqual(2)
      expect(fetched).toBeGreaterThanOrEqual(unique)
      expect(fetched / unique).toBeLessThanOrEqual(1.01)
    },
    120_000,
  )
})
