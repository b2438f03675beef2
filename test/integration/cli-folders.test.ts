/** `wikiseed torrent create` and `wikiseed verify`, on folders of real dump files. */
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import createTorrent from 'create-torrent'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { at, ROOT, sentence, useCli, wikiseed } from '../support/cli.ts'

const RUN = join(ROOT, 'test', 'fixtures', 'dumps', 'aawiki', '20260101')

useCli()

describe('wikiseed torrent create', () => {
  const Made = z.object({
    source: z.string(),
    ignored: z.array(z.string()),
    shards: z.array(z.object({ id: z.string(), infohash: z.string(), torrent: z.string().nullable() })),
  })
  const create = async (...args: string[]) => {
    const ended = await wikiseed('torrent', 'create', ...args, '--json')
    expect(ended.error).toBe('')
    return Made.parse(JSON.parse(ended.out))
  }

  it('gives the infohash that create-torrent computes of the same files, whatever the folder is called', async () => {
    const copy = at('any name')
    cpSync(RUN, copy, { recursive: true })
    const made = await create(copy, '--metadata', '--out', at())
    const [shard] = made.shards
    const torrent = decodeMetainfo(readFileSync(shard?.torrent ?? ''))
    expect(torrent?.infohash).toBe(shard?.infohash)

    const mirror = at('mirror', 'aawiki')
    mkdirSync(mirror, { recursive: true })
    cpSync(copy, join(mirror, '20260101'), { recursive: true })
    const [metadata] = readdirSync(join(mirror, '20260101')).filter((name) => name.startsWith('wikiseed-'))
    const dumps = readdirSync(RUN).sort()
    const order = [
      ...dumps,
      ...['HASH.json', 'STATUS.json', 'README.txt'].map((name) => `${metadata}/${name}`),
    ]
    const input = order.map((name) =>
      Object.assign(readFileSync(join(mirror, '20260101', name)), { name: `aawiki/20260101/${name}` }),
    )
    const options = { name: 'aawiki', pieceLength: 16_384, announceList: [] }
    const oracle = await promisify(createTorrent)(input, options)
    expect(decodeMetainfo(oracle)?.infohash).toBe(shard?.infohash)
  })

  it('gives the same from a held copy as from bare files', async () => {
    const bare = await create(RUN)
    expect(bare.source).toBe('file names')
    const copy = at('copy')
    cpSync(RUN, copy, { recursive: true })
    await create(copy, '--metadata')
    const held = await create(copy)
    expect(held.source).toBe('STATUS.json')
    expect(held.shards[0]?.infohash).toBe(bare.shards[0]?.infohash)
  })

  it('refuses in one sentence what is no run, or not whole', async () => {
    const copy = at('copy')
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('cannot be read')
    mkdirSync(copy)
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('holds no dump files')
    cpSync(RUN, copy, { recursive: true })
    await create(copy, '--metadata')
    truncateSync(join(copy, 'aawiki-20260101-pagelinks.sql.gz'), 10)
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('aawiki-20260101-pagelinks.sql.gz')
    writeFileSync(join(copy, 'tenwiki-20260101-page.sql.gz'), 'x')
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('more than one run')
  })

  it('refuses a broken or unfinished dumpstatus.json', async () => {
    const copy = at('copy')
    cpSync(RUN, copy, { recursive: true })
    writeFileSync(join(copy, 'dumpstatus.json'), '<html>')
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('not readable')
    writeFileSync(
      join(copy, 'dumpstatus.json'),
      '{"version":"0.8","jobs":{"a":{"status":"in-progress","updated":""}}}',
    )
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('not finished')
  })
})

describe('wikiseed verify', () => {
  it('tells whole, altered, truncated, missing and foreign files apart', async () => {
    const copy = at('mirror', 'aawiki', '20260101')
    cpSync(RUN, copy, { recursive: true })
    await wikiseed('torrent', 'create', copy, '--metadata')
    expect((await wikiseed('verify', at())).code).toBe(0)

    const name = (rest: string) => join(copy, `aawiki-20260101-${rest}`)
    const altered = readFileSync(name('pagelinks.sql.gz'))
    altered[50] = (altered[50] ?? 0) ^ 1
    writeFileSync(name('pagelinks.sql.gz'), altered)
    truncateSync(name('categorylinks.sql.gz'), 100)
    rmSync(name('pages-meta-history.xml.7z'))
    writeFileSync(join(copy, 'strange.txt'), 'x')
    const ended = await wikiseed('verify', at(), '--json')
    expect(ended.code).toBe(1)
    const report: { files: { path: string; verdict: string }[] } = JSON.parse(ended.out)
    const verdicts = Object.fromEntries(report.files.map((file) => [file.path, file.verdict]))
    expect(verdicts).toMatchObject({
      [name('pagelinks.sql.gz')]: 'altered',
      [name('categorylinks.sql.gz')]: 'truncated',
      [name('pages-meta-history.xml.7z')]: 'missing',
      [name('pages-meta-current.xml.bz2')]: 'whole',
      [join(copy, 'strange.txt')]: 'foreign',
    })
    expect((await wikiseed('verify', name('pages-meta-current.xml.bz2'))).code).toBe(0)
    expect((await wikiseed('verify', name('pagelinks.sql.gz'))).code).toBe(1)
  })

  it('notices a HASH.json that was changed to fit the files', async () => {
    const copy = at('copy')
    cpSync(RUN, copy, { recursive: true })
    await wikiseed('torrent', 'create', copy, '--metadata')
    const [metadata] = readdirSync(copy).filter((name) => name.startsWith('wikiseed-'))
    const path = join(copy, metadata ?? '', 'HASH.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"sha1":"../, '"sha1":"00'))
    const { code, out } = await wikiseed('verify', copy)
    expect(code).toBe(1)
    expect(out).toMatch(/^altered .*(STATUS|HASH)\.json/m)
  })

  it('reads upstream checksum lists too, and says when nothing is known', async () => {
    const dump = 'aawiki-20260101-pagelinks.sql.gz'
    cpSync(join(RUN, dump), at(dump))
    expect(sentence(await wikiseed('verify', at(), '--no-structure'))).toContain('nothing is known')
    writeFileSync(at('aawiki-20260101-sha1sums.txt'), `${'0'.repeat(40)}  ${dump}\n`)
    expect((await wikiseed('verify', at())).out).toMatch(/^altered .*sha1/m)
    expect(sentence(await wikiseed('verify', 'gone'))).toContain('cannot be read')
  })

  const Report = z.object({
    ok: z.boolean(),
    files: z.array(
      z.object({
        verdict: z.string(),
        by: z.string().nullable(),
        offsetBytes: z.number().nullable(),
        detail: z.string(),
        structure: z.object({ state: z.string() }).nullable(),
      }),
    ),
  })
  const report = async (...args: string[]) => {
    const { code, out } = await wikiseed('verify', ...args, '--json')
    const { ok, files } = Report.parse(JSON.parse(out))
    expect(ok).toBe(code === 0)
    return { code, file: files[0] }
  }
  const sha1 = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest('hex')

  it('judges a file of which no digest is known by its structure alone, and says at which byte it breaks', async () => {
    const name = 'aawiki-20260101-pages-meta-current.xml.bz2'
    cpSync(join(RUN, name), at(name))
    const whole = await report(at(name))
    expect(whole).toMatchObject({ code: 0, file: { verdict: 'whole', by: 'structure', offsetBytes: null } })
    expect(whole.file?.detail).toBe('structure whole, but nothing to compare its bytes with')
    expect((await wikiseed('verify', at())).out).toContain('1 of them by structure only')

    truncateSync(at(name), 100_000)
    expect(await report(at(name))).toMatchObject({
      code: 1,
      file: { verdict: 'truncated', by: 'structure', offsetBytes: 100_000 },
    })
    const bytes = readFileSync(join(RUN, name))
    bytes[20] = (bytes[20] ?? 0) ^ 1
    writeFileSync(at(name), bytes)
    expect(await report(at(name))).toMatchObject({ code: 1, file: { verdict: 'altered', offsetBytes: 4 } })
    expect(await report(at(name), '--no-structure')).toMatchObject({ code: 1, file: { verdict: 'foreign' } })
  })

  it.each(['pages-meta-current.xml.bz2', 'pages-meta-history.xml.7z', 'pagelinks.sql.gz'])(
    'finds by digest what no check of the format sees: %s with another bit in its header',
    async (rest) => {
      const name = `aawiki-20260101-${rest}`
      const bytes = readFileSync(join(RUN, name))
      writeFileSync(at('aawiki-20260101-sha1sums.txt'), `${sha1(bytes)}  ${name}\n`)
      // The bits that fill up the last byte of bzip2; the version of 7z; the system in the header of gzip.
      const place = rest.endsWith('.bz2') ? bytes.length - 1 : rest.endsWith('.7z') ? 6 : 9
      bytes[place] = (bytes[place] ?? 0) ^ 1
      writeFileSync(at(name), bytes)
      expect(await report(at(name))).toMatchObject({
        code: 1,
        file: { verdict: 'altered', by: 'digests', detail: expect.stringContaining('sha1') },
      })
    },
  )

  it('calls whole what is as upstream published it, and says beside it that upstream broke it', async () => {
    const name = 'aawiki-20260101-pagelinks.sql.gz'
    const bytes = readFileSync(join(RUN, name)).subarray(0, 1_000)
    writeFileSync(at(name), bytes)
    writeFileSync(at('aawiki-20260101-sha1sums.txt'), `${sha1(bytes)}  ${name}\n`)
    expect(await report(at(name))).toMatchObject({
      code: 0,
      file: { verdict: 'whole', by: 'digests', offsetBytes: 1_000, structure: { state: 'bad' } },
    })
  })
})
