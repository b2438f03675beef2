// Longer than 300 lines: one world, held to each of upstream's quirks that it copies.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { Dice, globMatches } from '../world/faults.ts'
import { jobsOf } from '../world/wikimedia/jobs.ts'
import type { DumpStatus } from '../world/wikimedia/status.ts'
import { startWorld, type World, type WorldOptions } from '../world/world.ts'
import { aawiki, contact, dumpFiles, getJson, makeDumps, raw, temporaryFolder } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function aWorld(options: Partial<WorldOptions> = {}): Promise<World> {
  const dumps = options.dumps ?? (await makeDumps())
  const world = await startWorld({ ...options, dumps })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close)
  return world
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')
const sha1 = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest('hex')
const bytesOf = (name: string) => dumpFiles[name] ?? Buffer.alloc(0)
const get = (world: World, path: string, headers: Record<string, string> = {}) =>
  fetch(`${world.url}/${path}`, { headers: { 'user-agent': contact, ...headers } })
const statusOf = async (world: World, run: string) =>
  (await getJson(`${world.url}/${run}/dumpstatus.json`)) as DumpStatus

describe('the world’s Wikimedia', () => {
  it('lists the newest run of each wiki with the true size and digests of every dump file', async () => {
    const world = await aWorld()
    const index = (await getJson(`${world.url}/index.json`)) as { wikis: Record<string, DumpStatus> }
    expect(Object.keys(index.wikis)).toEqual(['aawiki', 'fatwiki'])
    const files = Object.values(index.wikis).flatMap(({ jobs }) =>
      Object.values(jobs).flatMap((job) => job.files ?? {}),
    )
    const listed = Object.assign({}, ...files) as Record<string, object>
    const wanted = Object.keys(dumpFiles).filter((name) => !/other|20251201|inprog/.test(name))
    for (const path of wanted) {
      const name = path.split('/').at(-1) ?? ''
      const bytes = bytesOf(path)
      expect(listed[name]).toEqual({
        size: bytes.length,
        url: `/${path}`,
        md5: md5(bytes),
        sha1: sha1(bytes),
      })
    }
    const known = Object.values(listed).filter((file) => 'md5' in file)
    expect(known).toHaveLength(wanted.length)
  })

  it('shows a skipped job without files and one whose file entry is empty', async () => {
    const { version, jobs } = await statusOf(await aWorld(), 'fatwiki/20240920')
    expect(version).toBe('0.8')
    expect(jobs.metahistorybz2dump).toEqual({ status: 'skipped', updated: '2024-09-20 08:05:00' })
    expect(jobs.metahistory7zdump?.files).toEqual({ 'fatwiki-20240920-pages-meta-history.xml.7z': {} })
    expect(jobs.articlesmultistreamdump?.status).toBe('done')
  })

  it('keeps the newest file of a run in progress back and lists it with its size alone', async () => {
    const world = await aWorld({ faults: { inProgress: ['aawiki/20260101'] } })
    const { jobs } = await statusOf(world, 'aawiki/20260101')
    const name = aawiki.history.split('/').at(-1) ?? ''
    expect(jobs.metahistory7zdump).toMatchObject({
      status: 'in-progress',
      files: { [name]: { size: 200_000 } },
    })
    expect(jobs.metahistory7zdump?.files?.[name]).not.toHaveProperty('url')
    expect(jobs.metahistorybz2dump).toEqual({ status: 'waiting', updated: '' })
    expect((await get(world, aawiki.history)).status).toBe(404)
    world.faults.inProgress = []
    expect((await get(world, aawiki.history)).status).toBe(200)
  })

  it('lacks the hashes of the newest job in the first reads of a status, though it is done', async () => {
    const world = await aWorld({ faults: { lateHashReads: 1 } })
    const name = aawiki.history.split('/').at(-1) ?? ''
    const early = (await statusOf(world, 'aawiki/20260101')).jobs.metahistory7zdump
    expect(early?.status).toBe('done')
    expect(early?.files?.[name]).toEqual({ size: 200_000, url: `/${aawiki.history}` })
    const late = (await statusOf(world, 'aawiki/20260101')).jobs.metahistory7zdump
    expect(late?.files?.[name]).toMatchObject({ md5: md5(bytesOf(aawiki.history)) })
  })

  it('gives the checksum lists in both forms, and SHA256SUMS for a content file export', async () => {
    const world = await aWorld()
    const text = await (await get(world, 'aawiki/20260101/aawiki-20260101-md5sums.txt')).text()
    const name = aawiki.table.split('/').at(-1) ?? ''
    expect(text.split('\n')).toContain(`${md5(bytesOf(aawiki.table))}  ${name}`)
    const json = await getJson(`${world.url}/aawiki/20260101/aawiki-20260101-sha1sums.json`)
    expect(json).toMatchObject({ sha1: { files: { [name]: sha1(bytesOf(aawiki.table)) } } })
    const folder = 'other/mediawiki_content_current/fatwiki/2026-01-01/xml/bzip2'
    const file = 'fatwiki-2026-01-01-p1p99.xml.bz2'
    const sha256 = createHash('sha256')
      .update(bytesOf(`${folder}/${file}`))
      .digest('hex')
    expect(await (await get(world, `${folder}/SHA256SUMS`)).text()).toBe(`${sha256}  ${file}\n`)
    expect((await get(world, `${folder}/_SUCCESS`)).status).toBe(200)
  })

  it('serves a status document of the folder as it lies there', async () => {
    const own = Buffer.from('{"version":"0.8","jobs":{},"own":true}')
    const world = await aWorld({
      dumps: await makeDumps({ ...dumpFiles, 'aawiki/20260101/dumpstatus.json': own }),
    })
    expect(await (await get(world, 'aawiki/20260101/dumpstatus.json')).text()).toBe(own.toString())
  })

  it('answers ranges, conditions and HEAD as nginx does', async () => {
    const world = await aWorld()
    const bytes = bytesOf(aawiki.current)
    const head = await fetch(`${world.url}/${aawiki.current}`, {
      method: 'HEAD',
      headers: { 'user-agent': contact },
    })
    const etag = head.headers.get('etag') ?? ''
    const modified = head.headers.get('last-modified') ?? ''
    expect(etag).toMatch(/^"[0-9a-f]+-[0-9a-f]+"$/)
    expect(head.headers.get('content-length')).toBe(String(bytes.length))
    const ranged = async (headers: Record<string, string>) => {
      const res = await get(world, aawiki.current, headers)
      return {
        status: res.status,
        range: res.headers.get('content-range'),
        body: Buffer.from(await res.arrayBuffer()),
      }
    }
    const total = bytes.length
    const middle = await ranged({ range: 'bytes=1000-1999' })
    expect(middle).toEqual({
      status: 206,
      range: `bytes 1000-1999/${total}`,
      body: bytes.subarray(1000, 2000),
    })
    expect((await ranged({ range: `bytes=${total - 5}-` })).body).toEqual(bytes.subarray(total - 5))
    expect((await ranged({ range: 'bytes=-7' })).body).toEqual(bytes.subarray(total - 7))
    expect(await ranged({ range: `bytes=${total}-` })).toMatchObject({
      status: 416,
      range: `bytes */${total}`,
    })
    expect((await ranged({ range: 'bytes=5-9', 'if-range': etag })).status).toBe(206)
    expect(await ranged({ range: 'bytes=5-9', 'if-range': '"1-1"' })).toMatchObject({
      status: 200,
      body: bytes,
    })
    expect((await ranged({ 'if-none-match': etag })).status).toBe(304)
    expect((await ranged({ 'if-modified-since': modified })).status).toBe(304)
  })

  it('never leaves its folder, by dots, by encoding or by a link', async () => {
    const dumps = await makeDumps()
    const outside = await temporaryFolder()
    cleanups.push(() => rm(outside, { recursive: true }))
    await writeFile(join(outside, 'secret'), 'secret')
    await symlink(join(outside, 'secret'), join(dumps, 'aawiki/20260101/link'))
    await symlink(outside, join(dumps, 'linked'))
    const world = await aWorld({ dumps })
    const up = '../'.repeat(8)
    const targets = [
      `/${up}${outside}/secret`,
      `/aawiki/%2e%2e/${'%2e%2e/'.repeat(8)}etc/passwd`,
      '/..%2f..%2fetc%2fpasswd',
    ]
    targets.push('/aawiki/20260101/link', '/linked/secret', '/aawiki/20260101/x%00', '/%ff', '//etc/passwd')
    for (const target of targets)
      expect([target, (await raw(world.url, { target })).status]).toEqual([target, 404])
  })

  it('refuses a User-Agent without contact', async () => {
    const world = await aWorld()
    const refused = await get(world, 'index.json', { 'user-agent': 'Wget/1.21' })
    expect(refused.status).toBe(403)
    expect(await refused.text()).toContain('Robot_policy')
  })

  it('answers 429 to the fourth request at once of one client, not to another client', async () => {
    const world = await aWorld({ bytesPerSecond: 100_000 })
    const slow = [1, 2, 3].map(() => get(world, aawiki.history))
    const started = await Promise.all(slow)
    const fourth = await get(world, aawiki.table)
    expect(fourth.status).toBe(429)
    expect(fourth.headers.get('retry-after')).toBe('1')
    expect((await fourth.arrayBuffer()).byteLength).toBe(169)
    expect((await get(world, aawiki.table, { 'user-agent': `other ${contact}` })).status).toBe(200)
    for (const res of started) expect(Buffer.from(await res.arrayBuffer())).toEqual(bytesOf(aawiki.history))
    expect((await get(world, aawiki.table)).status).toBe(200)
    expect(world.summary().byUserAgent[contact]?.maxConcurrent).toBe(4)
  })

  it('lists folders as nginx and runs as the monitor', async () => {
    const world = await aWorld()
    const listing = await (await get(world, 'aawiki/')).text()
    expect(listing).toContain('<a href="20260101/">20260101/</a>')
    expect(await (await get(world, 'aawiki/20260101/')).text()).toContain('aawiki-20260101-md5sums.txt')
    const index = await (await get(world, 'backup-index.html')).text()
    expect(index).toContain(`<a href="aawiki/20260101">aawiki</a>: <span class='done'>Dump complete</span>`)
  })

  it('tells the job of a file by its name', () => {
    const jobs = (names: string[]) =>
      Object.fromEntries(
        jobsOf(names.map((name) => `xwiki-20260101-${name}`)).map((job) => [job.name, job.files.length]),
      )
    expect(jobs(['site_stats.sql.gz', 'change_tag.sql.gz', 'change_tag_def.sql.gz', 'sites.sql.gz'])).toEqual(
      {
        changetagstable: 1,
        changetagdeftable: 1,
        sitestable: 1,
        sitestatstable: 1,
      },
    )
    expect(jobs(['pages-articles-multistream.xml.bz2', 'pages-articles-multistream-index.txt.bz2'])).toEqual({
      articlesmultistreamdump: 2,
    })
    expect(
      jobs(['pages-articles1.xml-p1p9.bz2', 'pages-articles2.xml-p10p20.bz2', 'pages-articles.xml.bz2']),
    ).toEqual({
      articlesdump: 2,
      articlesdumprecombine: 1,
    })
    expect(
      jobs(['all-titles-in-ns0.gz', 'all-titles.gz', 'siteinfo2-namespacesv2.json.gz', 'README']),
    ).toEqual({
      pagetitlesdump: 1,
      allpagetitlesdump: 1,
      namespacesv2: 1,
    })
  })
})

describe('the world’s faults', () => {
  it('come in bursts with Retry-After, and the same for the same seed', async () => {
    const statuses = async () => {
      const world = await aWorld({
        seed: '7',
        faults: { wikimedia503Rate: 0.3, burstLength: 2, retryAfterSeconds: 9 },
      })
      const seen: string[] = []
      for (let count = 0; count < 20; count++) {
        const res = await get(world, aawiki.table)
        seen.push(`${res.status} ${res.headers.get('retry-after')}`)
      }
      return seen
    }
    const first = await statuses()
    expect(new Set(first)).toEqual(new Set(['200 null', '503 9']))
    expect(first.join(',')).toMatch(/503 9,503 9/)
    expect(await statuses()).toEqual(first)
  })

  it('truncate a status document, or give a page of HTML for it', async () => {
    const world = await aWorld({ faults: { truncatedJsonRate: 1 } })
    const cutOff = await get(world, 'index.json')
    const text = await cutOff.text()
    expect(cutOff.status).toBe(200)
    expect(cutOff.headers.get('content-length')).toBe(String(text.length))
    expect(() => JSON.parse(text)).toThrow()
    Object.assign(world.faults, { truncatedJsonRate: 0, htmlJsonRate: 1 })
    const page = await get(world, 'index.json')
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  })

  it('cut a download in its body, and the log counts the bytes that were sent', async () => {
    const world = await aWorld({ faults: { cutRate: 1 } })
    const answer = await raw(world.url, { target: `/${aawiki.history}` })
    expect(answer.cut).toBe(true)
    expect(answer.body.length).toBeGreaterThan(0)
    expect(answer.body.length).toBeLessThan(200_000)
    expect(answer.body).toEqual(bytesOf(aawiki.history).subarray(0, answer.body.length))
    expect(world.log.at(-1)).toMatchObject({
      bytes: answer.body.length,
      cut: true,
      faults: ['cut'],
      kind: 'dump',
    })
  })

  it('alter one byte of a matching file as often as asked, the length being right', async () => {
    const world = await aWorld({ faults: { wrongBytes: [{ glob: 'aawiki/*/*.7z', times: 1 }] } })
    const read = async (name: string) => Buffer.from(await (await get(world, name)).arrayBuffer())
    const wrong = await read(aawiki.history)
    const right = bytesOf(aawiki.history)
    expect(wrong.length).toBe(right.length)
    expect([...wrong].filter((byte, at) => byte !== right[at])).toHaveLength(1)
    expect(await read(aawiki.history)).toEqual(right)
    expect(await read(aawiki.current)).toEqual(bytesOf(aawiki.current))
  })

  it('change a file between two reads, after which the status tells the new digests', async () => {
    const world = await aWorld({ faults: { changing: [{ glob: '**/*.7z', afterReads: 1 }] } })
    const before = await get(world, aawiki.history)
    const first = Buffer.from(await before.arrayBuffer())
    expect(first).toEqual(bytesOf(aawiki.history))
    const etag = before.headers.get('etag') ?? ''
    const resumed = await get(world, aawiki.history, { range: 'bytes=100-', 'if-range': etag })
    expect(resumed.status).toBe(200)
    const second = Buffer.from(await resumed.arrayBuffer())
    expect(second.length).toBe(first.length)
    expect(second).not.toEqual(first)
    expect(resumed.headers.get('last-modified')).not.toBe(before.headers.get('last-modified'))
    const { jobs } = await statusOf(world, 'aawiki/20260101')
    expect(Object.values(jobs.metahistory7zdump?.files ?? {})[0]?.md5).toBe(md5(second))
  })

  it('are switched at run time, and a fault that does not exist changes nothing', async () => {
    const world = await aWorld()
    const post = (body: string) => fetch(`${world.url}/_world/faults`, { method: 'POST', body })
    expect((await post('{"wikimedia429Rate":1}')).status).toBe(200)
    expect((await get(world, aawiki.table)).status).toBe(429)
    for (const bad of [
      '{"cutrate":1}',
      '{"cutRate":2}',
      '{"wrongBytes":["x"]}',
      '{"down":["mars"]}',
      '[]',
      'x',
    ]) {
      expect([bad, (await post(bad)).status]).toEqual([bad, 400])
    }
    expect((await post('{"wikimedia429Rate":0,"down":["wikimedia"]}')).status).toBe(200)
    await expect(get(world, aawiki.table)).rejects.toThrow()
    expect((await post('{"down":[]}')).status).toBe(200)
    expect((await get(world, aawiki.table)).status).toBe(200)
  })

  it('draw the same for one subject in whatever order the subjects come', () => {
    const one = new Dice('s')
    const two = new Dice('s')
    const alone = [one.draw('k', 'a'), one.draw('k', 'a')]
    two.draw('k', 'b')
    const first = two.draw('k', 'a')
    two.draw('k', 'b')
    expect([first, two.draw('k', 'a')]).toEqual(alone)
    expect(globMatches('*.7z', '/aawiki/20260101/x.7z')).toBe(true)
    expect(globMatches('aawiki/*.7z', '/aawiki/20260101/x.7z')).toBe(false)
    expect(globMatches('aawiki/**.7z', '/aawiki/20260101/x.7z')).toBe(true)
  })
})

describe('the world’s log', () => {
  it('measures origin bytes: those of dump files alone, in memory, on disk and over HTTP', async () => {
    const folder = await temporaryFolder()
    cleanups.push(() => rm(folder, { recursive: true }))
    const world = await aWorld({ log: join(folder, 'access.jsonl') })
    await (await get(world, aawiki.history)).arrayBuffer()
    await (await get(world, aawiki.current, { range: 'bytes=0-99' })).arrayBuffer()
    const status = await (await get(world, 'index.json')).arrayBuffer()
    const summary = await getJson(`${world.url}/_world/summary`)
    expect(summary).toMatchObject({ originBytes: 200_100, originRequests: 2, statusBytes: status.byteLength })
    const lines = readFileSync(join(folder, 'access.jsonl'), 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(world.log)
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({
      status: 206,
      range: 'bytes=0-99',
      bytes: 100,
      userAgent: contact,
    })
  })

  it('is reached by the real host names when the world is used as a proxy, and by no other name', async () => {
    const world = await aWorld()
    const answer = await raw(world.urls.gist, {
      target: 'http://dumps.wikimedia.org/index.json',
      headers: { host: 'dumps.wikimedia.org' },
    })
    expect(answer.status).toBe(200)
    expect(world.log.at(-1)).toMatchObject({ service: 'wikimedia', path: '/index.json' })
    const foreign = await raw(world.url, {
      target: 'http://example.org/',
      headers: { host: world.url.slice(7) },
    })
    expect(foreign.status).toBe(502)
  })
})

describe('the world as a process', () => {
  const main = fileURLToPath(new URL('../world/main.ts', import.meta.url))
  const start = (args: string[]) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const text = { out: '', err: '' }
    child.stdout.on('data', (chunk: Buffer) => (text.out += chunk))
    child.stderr.on('data', (chunk: Buffer) => (text.err += chunk))
    return { child, text, exit: once(child, 'exit') }
  }

  it('prints one JSON line, serves, and ends with 0 on SIGTERM', async () => {
    const dumps = await makeDumps()
    cleanups.push(() => rm(dumps, { recursive: true }))
    const { child, text, exit } = start([
      '--dumps',
      dumps,
      '--json',
      '--wrong-bytes',
      '*.7z=2',
      '--fault-cut',
      '0',
    ])
    await once(child.stdout, 'data')
    const facts = JSON.parse(text.out) as Record<string, string>
    expect(Object.keys(facts)).toEqual(
      expect.arrayContaining(['wikimedia', 'archive', 's3Archive', 'r2', 'gist', 'gistToken']),
    )
    expect(await getJson(`${facts.url}/_world/faults`)).toMatchObject({
      wrongBytes: [{ glob: '*.7z', times: 2 }],
    })
    child.kill('SIGTERM')
    expect(await exit).toEqual([0, null])
  })

  it('says in one sentence that a port is taken, and ends with 1', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    cleanups.push(async () => holder.close())
    const address = holder.address()
    const port = typeof address === 'object' ? String(address?.port) : ''
    const dumps = await temporaryFolder()
    await mkdir(dirname(join(dumps, 'x')), { recursive: true })
    cleanups.push(() => rm(dumps, { recursive: true }))
    const { text, exit } = start(['--dumps', dumps, '--port', port])
    expect((await exit)[0]).toBe(1)
    expect(text.err.trimEnd().split('\n')).toHaveLength(1)
    expect(text.err).toContain('EADDRINUSE')
  })

  it('says that the dumps folder is not there, and ends with 1', async () => {
    const { text, exit } = start(['--dumps', '/nonexistent/dumps'])
    expect((await exit)[0]).toBe(1)
    expect(text.err.trim()).toBe('world: the dumps folder /nonexistent/dumps is not there')
  })

  it('refuses a flag it does not know, and helps with examples', async () => {
    const wrong = start(['--dumps', '.', '--fault-everything', '1'])
    expect((await wrong.exit)[0]).toBe(1)
    expect(wrong.text.err).toContain('--fault-everything')
    const help = start(['--help'])
    expect((await help.exit)[0]).toBe(0)
    expect(help.text.out).toContain('Examples')
  })
})
