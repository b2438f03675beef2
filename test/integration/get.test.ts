/** `wikiseed get`: a person with nothing but a root document and an address of a publication. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { realSleep } from '../../coordinator/http/sleep.ts'
import { createInternetArchive } from '../../coordinator/preserve/internet-archive.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { at, sentence, start, useCli, wikiseed } from '../support/cli.ts'
import { FIXTURES, type Published, publishRuns } from '../support/published.ts'
import { startWorld, type World } from '../world/world.ts'

const RUN = 'fatwiki/20240920'
const CONTENT = `${RUN}/fatwiki-20240920-pages-articles-multistream.xml.bz2`
const ITEM = 'wikiseed-fatwiki-20240920'

let published: Published
let world: World
beforeAll(async () => {
  published = await publishRuns({
    runs: [RUN, 'aawiki/20260101'],
    items: { 'dumps/fatwiki/20240920': ITEM },
    publicUrl: 'https://example.org/w/',
  })
  world = await startWorld({ dumps: FIXTURES, archiveLagMs: 0, seed: 'get' })
  await uploadToArchive()
})
afterAll(async () => {
  await world.close()
  await published.close()
})

async function uploadToArchive(): Promise<void> {
  const archive = createInternetArchive({
    s3Url: world.urls.archiveS3,
    siteUrl: world.urls.archive,
    ...world.credentials.archive,
    userAgent: 'wikiseed-test (mailto:test@example.org)',
    clock: { wallMs: Date.now, monotonicMs: () => performance.now() },
    sleep: (ms, signal) => realSleep(ms / 100, signal),
    log: silentLog,
  })
  const merged = published.held.find((one) => one.merged.name === 'fatwiki')?.merged
  if (merged === undefined) throw new Error('fatwiki is not held')
  const files = merged.files.map((file) => ({
    ...file,
    path: `fatwiki/${file.path}`,
    diskPath: join(published.mirror, 'fatwiki', file.path),
  }))
  await archive.preserve({ ...merged, files })
}

useCli()
const from = (...more: string[]) => ['--manifest', published.dir, '--root', published.rootPath, ...more]
const http = () => ['--contact', 'me@example.org', '--archive-site', `${world.urls.archive}/`]
/** Nobody listens there. */
const nobody = ['--patience', '300ms']

interface Report {
  ok: boolean
  checkedBy: string
  files: { path: string; state: string; from?: string; reasons?: string[] }[]
  beside: string[]
}
async function get(...args: string[]): Promise<{ code: number | null; report: Report; error: string }> {
  const { code, out, error } = await wikiseed('get', ...args, '--json')
  return { code, report: out === '' ? (null as unknown as Report) : JSON.parse(out), error }
}

/** Relative paths of files below a folder. */
const filesBelow = (dir: string) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(dir.length + 1))
    .sort()

function expectSame(to: string, run: string): void {
  const paths = filesBelow(join(published.mirror, run))
  expect(filesBelow(join(to, run))).toEqual(paths)
  for (const path of paths)
    expect(
      readFileSync(join(to, run, path)).equals(readFileSync(join(published.mirror, run, path))),
      path,
    ).toBe(true)
}

describe('wikiseed get from the swarm', () => {
  it('brings every file, byte for byte, with what other programs need to go on', async () => {
    const { code, report } = await get('fatwiki', ...from('--to', at('dumps')))
    expect(code).toBe(0)
    expectSame(at('dumps'), RUN)
    expect(new Set(report.files.map((one) => one.from))).toEqual(new Set(['swarm']))
    expect(report.beside.map((path) => path.slice(at('dumps').length + 1))).toEqual([
      'fatwiki-20240920.torrent',
      'fatwiki-20240920.meta4',
    ])
    const verified = await wikiseed('verify', at('dumps'))
    expect([verified.code, verified.out]).toEqual([0, expect.stringContaining('All 5 files are whole')])
    const read = await wikiseed('read', 'fatwiki', 'Nhwɛdo:Databox', '--from', at('dumps'))
    expect(read.out).toBe('{{#invoke:Databox|databox}}\n')
  })

  it('fetches nothing twice', async () => {
    await get('fatwiki', ...from('--to', at('dumps')))
    const before = published.wireBytes()
    const { code, report } = await get('fatwiki', ...from('--to', at('dumps')))
    expect(code).toBe(0)
    expect(new Set(report.files.map((one) => one.state))).toEqual(new Set(['here']))
    expect(published.wireBytes()).toBe(before)
  })

  it('goes on from a partial file, and repairs one whose bytes are wrong', async () => {
    await get('fatwiki', ...from('--to', at('dumps')))
    const path = at('dumps', CONTENT)
    const { size } = statSync(path)
    cpSync(path, `${path}.part`)
    truncateSync(`${path}.part`, Math.floor(size * 0.75))
    const damaged = readFileSync(path)
    damaged[1_000_000] = (damaged[1_000_000] ?? 0) ^ 1
    writeFileSync(path, damaged)
    let before = published.wireBytes()
    expect((await get('fatwiki', ...from('--to', at('dumps')))).code).toBe(0)
    expectSame(at('dumps'), RUN)
    expect(published.wireBytes() - before).toBeLessThan(0.3 * size)
    // A partial file that is wrong in the middle is kept up to there.
    writeFileSync(`${path}.part`, damaged.subarray(0, Math.floor(size * 0.75)))
    writeFileSync(path, damaged)
    before = published.wireBytes()
    expect((await get('fatwiki', ...from('--to', at('dumps')))).code).toBe(0)
    expectSame(at('dumps'), RUN)
    expect(published.wireBytes() - before).toBeLessThan(0.75 * size)
    expect(existsSync(`${path}.part`)).toBe(false)
  })

  it('says how to go on when it is stopped, and goes on', async () => {
    const slow = await publishRuns({ runs: [RUN], seeds: 1, uploadBytesPerSecond: 1_500_000 })
    try {
      const args = ['get', 'fatwiki', '--manifest', slow.dir, '--root', slow.rootPath, '--to', at('dumps')]
      const first = start(args)
      const part = `${at('dumps', CONTENT)}.part`
      const written = () => statSync(part, { throwIfNoEntry: false })?.size ?? 0
      await expect.poll(written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(1_000_000)
      first.child.kill('SIGINT')
      expect(sentence(await first.ended)).toContain('the same command goes on from here')
      const kept = written()
      const before = slow.wireBytes()
      expect((await wikiseed(...args)).code).toBe(0)
      const whole = statSync(at('dumps', CONTENT)).size
      expect(slow.wireBytes() - before).toBeLessThan(1.1 * (whole - kept) + 100_000)
      expect(readFileSync(at('dumps', CONTENT)).equals(readFileSync(join(FIXTURES, CONTENT)))).toBe(true)
    } finally {
      await slow.close()
    }
  })

  it('brings only the files that match', async () => {
    const { code, report } = await get('aawiki', ...from('--to', at('some'), '--files', '*.sql.gz'))
    expect(code).toBe(0)
    expect(report.files.map((one) => one.path)).toEqual([
      'aawiki/20260101/aawiki-20260101-categorylinks.sql.gz',
      'aawiki/20260101/aawiki-20260101-pagelinks.sql.gz',
    ])
    const none = await wikiseed('get', 'aawiki', ...from('--files', '*.zst'))
    expect([none.code, none.error]).toEqual([
      1,
      expect.stringContaining('no file of aawiki of 20260101 matches *.zst'),
    ])
  })

  it('says in words what it did', async () => {
    const done = await wikiseed('get', 'aawiki', ...from('--to', at('words')))
    expect(done.code).toBe(0)
    expect(done.out).toMatch(
      /^7 files fetched \(7 from the swarm\), 3\d\d kB\.\naawiki of 20260101 is in .*words\/aawiki, every digest as published\.\n$/,
    )
  })
})

describe('wikiseed get without a swarm', () => {
  let lonely: Published
  beforeAll(async () => {
    lonely = await publishRuns({
      runs: [RUN, 'aawiki/20260101'],
      seeds: 0,
      items: { 'dumps/fatwiki/20240920': ITEM },
    })
  })
  afterAll(() => lonely.close())
  beforeEach(() => Object.assign(world.faults, { wrongBytes: [] }))
  const here = (...more: string[]) => [
    '--manifest',
    lonely.dir,
    '--root',
    lonely.rootPath,
    ...nobody,
    ...more,
  ]

  it('takes the files from the item of the Internet Archive', async () => {
    const { code, report } = await get('fatwiki', ...here('--to', at('dumps'), ...http()))
    expect(code).toBe(0)
    expect(new Set(report.files.map((one) => one.from))).toEqual(new Set(['archive']))
    expectSame(at('dumps'), RUN)
  })

  it('takes from a mirror what nobody else has, and tells which of our own files that lacks', async () => {
    const mirror = ['--mirror', `${world.urls.wikimedia}/`, ...http()]
    const { code, report } = await get('aawiki', ...here('--to', at('dumps'), ...mirror))
    expect(code).toBe(0)
    expect(report.files.map((one) => one.from ?? one.state)).toEqual([
      ...Array(4).fill('mirror'),
      ...Array(3).fill('missing'),
    ])
  })

  it('does not believe a source: wrong bytes are thrown away, and the next one is asked', async () => {
    const mirrors = ['--mirror', `${world.urls.wikimedia}/`, ...http()]
    mkdirSync(dirname(at('dumps', CONTENT)), { recursive: true })
    const bent = readFileSync(join(FIXTURES, CONTENT))
    bent[77] = (bent[77] ?? 0) ^ 1
    // The archive finds the file whole in size at once, as if it had come from there.
    writeFileSync(`${at('dumps', CONTENT)}.part`, bent)
    const { code } = await get('fatwiki', ...here('--to', at('dumps'), ...mirrors))
    expect(code).toBe(0)
    expectSame(at('dumps'), RUN)
  })

  it('says for each file why it could not be had, with exit code 1', async () => {
    const { code, report } = await get('aawiki', ...here('--to', at('dumps'), '--peer', '127.0.0.1:1'))
    expect(code).toBe(1)
    expect(report.ok).toBe(false)
    expect(report.files[0]).toMatchObject({ state: 'missing', reasons: [expect.stringContaining('no peer')] })
    const words = await wikiseed('get', 'aawiki', ...here('--to', at('dumps')))
    expect(words.code).toBe(1)
    expect(words.error).toContain('nobody offers it')
    expect(words.error).toContain('With --contact the Internet Archive is asked too')
  })
})

describe('wikiseed get and what it is told', () => {
  it('refuses a manifest that was changed, another root, and a folder that is none', async () => {
    cpSync(published.dir, at('bent'), { recursive: true })
    const name = readdirSync(at('bent', 'targets')).find((one) => one.endsWith('manifest.json')) ?? ''
    const text = readFileSync(at('bent', 'targets', name), 'utf8')
    writeFileSync(at('bent', 'targets', name), text.replace('fatwiki', 'hatwiki'))
    const args = ['aawiki', '--root', published.rootPath, '--to', at('dumps'), '--manifest']
    const bent = await wikiseed('get', ...args, at('bent'))
    expect([bent.code, bent.error]).toEqual([
      1,
      expect.stringContaining('length and sha256 that were signed'),
    ])
    const none = await wikiseed('get', ...args, at('nowhere'))
    expect([none.code, none.error]).toEqual([1, expect.stringContaining('is no folder')])
    const other = await publishRuns({ runs: [], seeds: 0 })
    try {
      const foreign = await wikiseed('get', 'aawiki', '--root', other.rootPath, '--manifest', published.dir)
      expect(foreign.code).toBe(1)
    } finally {
      await other.close()
    }
    expect(existsSync(at('dumps'))).toBe(false)
  })

  it('takes a publication that nobody renews any more only when it is told to, by the signature of manifest.json', async () => {
    const old = await publishRuns({
      runs: ['aawiki/20260101'],
      seeds: 1,
      nowMs: Date.now() - 30 * 86_400_000,
    })
    try {
      const args = ['aawiki', '--manifest', old.dir, '--root', old.rootPath, '--to', at('dumps')]
      const refused = await wikiseed('get', ...args)
      expect([refused.code, refused.error]).toEqual([
        1,
        expect.stringMatching(/have expired.*--allow-expired/),
      ])
      const { code, report, error } = await get(...args, '--allow-expired')
      expect(error).toContain('Taken by its signature alone')
      expect([code, report.checkedBy]).toEqual([0, 'minisign'])
      const path = join(old.dir, 'manifest.json')
      writeFileSync(path, readFileSync(path, 'utf8').replace('aawiki', 'abwiki'))
      const bent = await wikiseed('get', ...args, '--allow-expired')
      expect([bent.code, bent.error]).toEqual([
        1,
        expect.stringContaining('is not signed with the key of the root'),
      ])
    } finally {
      await old.close()
    }
  })
})
