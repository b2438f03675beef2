/** `wikiseed get wikiseed-2026-01`: all small runs of a month in one folder, from whoever seeds the bundle. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyPublication } from '../../node/publication/verify.ts'
import type { Cycle } from '../../protocol/ids.ts'
import { readMergedManifest } from '../../protocol/manifest/merged-manifest.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { at, sentence, useCli, wikiseed } from '../support/cli.ts'
import { type Published, publishRuns } from '../support/published.ts'

const NAME = 'wikiseed-2026-01'

let published: Published
beforeAll(async () => {
  // Nobody seeds the shards' own torrents: what comes, comes by the bundle.
  published = await publishRuns({
    runs: ['aawiki/20260101', 'htwiki/20260101', 'fatwiki/20240920'],
    bundleOf: '2026-01' as Cycle,
    seedsShards: false,
    publicUrl: 'https://example.org/w/',
  })
})
afterAll(() => published.close())

useCli()
const from = (...more: string[]) => ['--manifest', published.dir, '--root', published.rootPath, ...more]

interface Report {
  ok: boolean
  bundle: string
  files: { path: string; state: string; from?: string; source?: string; reasons?: string[] }[]
  beside: string[]
}
async function get(...args: string[]): Promise<{ code: number | null; report: Report; error: string }> {
  const { code, out, error } = await wikiseed('get', ...args, '--json')
  return { code, report: out === '' ? (null as unknown as Report) : JSON.parse(out), error }
}

const filesOf = () => {
  const torrent = published.bundles[0]?.torrent ?? new Uint8Array()
  return decodeInfo(decodeMetainfo(torrent)?.info ?? new Uint8Array(), 'bundle')?.files ?? []
}

async function expectWhole(folder: string): Promise<void> {
  expect(filesOf()).not.toEqual([])
  for (const { path } of filesOf()) {
    const [ours, theirs] = await Promise.all(
      [published.mirror, folder].map((one) => readFile(join(one, path))),
    )
    expect(ours?.equals(theirs ?? Buffer.alloc(0)), path).toBe(true)
  }
}

describe('wikiseed get of a bundle', () => {
  it('brings every file of every run from the bundle, and its torrent beside', async () => {
    const { code, report } = await get(NAME, ...from('--to', at('dumps')))
    expect([code, report.ok, report.bundle]).toEqual([0, true, NAME])
    await expectWhole(at('dumps', NAME))
    expect(report.files.map(({ path }) => path).sort()).toEqual(
      filesOf()
        .map(({ path }) => path)
        .sort(),
    )
    expect(new Set(report.files.map((one) => one.source))).toEqual(new Set(['the bundle']))
    expect(report.beside).toEqual([at('dumps', `${NAME}.torrent`)])
    expect(new Uint8Array(readFileSync(at('dumps', `${NAME}.torrent`)))).toEqual(
      published.bundles[0]?.torrent,
    )
  })

  it('fetches nothing twice, and repairs what is cut or wrong', async () => {
    await get(NAME, ...from('--to', at('dumps')))
    const paths = filesOf().map(({ path }) => at('dumps', NAME, path))
    const big = paths.filter((path) => readFileSync(path).length > 100)
    truncateSync(big[0] ?? '', 50)
    const bytes = readFileSync(big[1] ?? '')
    writeFileSync(big[1] ?? '', bytes.fill(0, 10, 20))
    const { code, report } = await get(NAME, ...from('--to', at('dumps')))
    expect(code).toBe(0)
    expect(report.files.filter((one) => one.state === 'fetched')).toHaveLength(2)
    await expectWhole(at('dumps', NAME))
  })

  it('takes only files that match, and names the bundles that there are', async () => {
    const some = await get(NAME, ...from('--to', at('some'), '--files', '*.sql.gz'))
    expect(some.code).toBe(0)
    expect(some.report.files.every((one) => one.path.endsWith('.sql.gz'))).toBe(true)
    const none = await wikiseed('get', 'wikiseed-2025-12', ...from('--to', at('none')))
    expect(sentence(none)).toContain('has no bundle wikiseed-2025-12; there are wikiseed-2026-01')
  })

  it('gives a folder that wikiseed verify judges, as it does what any client downloaded', async () => {
    await get(NAME, ...from('--to', at('dumps')))
    const whole = await wikiseed('verify', at('dumps', NAME), '--json')
    expect(whole.code).toBe(0)
    const judged = (JSON.parse(whole.out) as { files: { path: string; verdict: string }[] }).files
    const expected = filesOf().map(({ path }) => at('dumps', NAME, path))
    expect(judged.map(({ path }) => path).sort()).toEqual(expected.sort())
    const [first = ''] = expected
    writeFileSync(first, readFileSync(first).fill(1, 0, 4))
    const altered = await wikiseed('verify', at('dumps', NAME))
    expect([altered.code, altered.out]).toEqual([1, expect.stringMatching(new RegExp(`altered +${first}`))])
  })
})

describe('a publication with a bundle', () => {
  it('names its runs, is signed with them, and is in the feed', async () => {
    const manifest = readMergedManifest(readFileSync(join(published.dir, 'manifest.json')))
    const [bundle, ...more] = manifest.bundles ?? []
    expect(more).toEqual([])
    const { infohash, sizeBytes } = published.bundles[0] ?? { infohash: '', sizeBytes: 0 }
    expect(bundle).toMatchObject({ name: NAME, cycle: '2026-01', infohash, sizeBytes })
    expect(bundle?.magnet).toContain(`magnet:?xt=urn:btih:${infohash}&dn=${NAME}&x.pe=127.0.0.1%3A`)
    expect(bundle?.shards.map((key) => key.split('@')[0])).toEqual([
      'dumps/aawiki/20260101',
      'dumps/htwiki/20260101',
    ])
    const torrent = readFileSync(join(published.dir, bundle?.torrent ?? ''))
    expect(decodeMetainfo(torrent)?.infohash).toBe(infohash)
    const feed = readFileSync(join(published.dir, 'feed.xml'), 'utf8')
    expect(feed).toContain(
      `<title>${NAME} bundle</title><guid isPermaLink="false">urn:btih:${infohash}</guid>`,
    )
    const report = await verifyPublication({ source: published.dir, root: published.root })
    expect(report).toMatchObject({ ok: true, torrents: 4 })
  })
})
