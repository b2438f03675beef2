import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { realSleep } from '../../coordinator/http/sleep.ts'
import {
  type ArchiveOptions,
  type ArchiveUpload,
  createInternetArchive,
} from '../../coordinator/preserve/internet-archive.ts'
import type { Log } from '../../node/ports.ts'
import { isInfohash, isShardDigest, shardId } from '../../protocol/ids.ts'
import { startWorld, type World } from '../world/world.ts'

let dir: string
let world: World
const logged: string[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wikiseed-preserve-'))
  logged.length = 0
  await mkdir(join(dir, 'dumps'))
  world = await startWorld({ dumps: join(dir, 'dumps'), archiveLagMs: 150, seed: 'preserve' })
})
afterEach(async () => {
  await world.close()
  await rm(dir, { recursive: true, force: true })
})

const note = (fields: object, message: string) => void logged.push(`${JSON.stringify(fields)} ${message}`)
const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log }
const { accessKey, secretKey } = { accessKey: 'world-archive-access', secretKey: 'world-archive-secret' }

function archive(change: Partial<ArchiveOptions> = {}) {
  return createInternetArchive({
    s3Url: world.urls.archiveS3,
    siteUrl: world.urls.archive,
    accessKey,
    secretKey,
    userAgent: 'wikiseed-test (mailto:test@example.org)',
    clock: { wallMs: Date.now, monotonicMs: () => performance.now() },
    // Pauses of the real thing, a hundred times faster.
    sleep: (ms, signal) => realSleep(ms / 100, signal),
    log,
    timing: { slowDownMs: 3_000, pollMs: 1_000, pollMsMax: 5_000, visibleMsMax: 4_000, busyMsMax: 4_000 },
    ...change,
  })
}

/** A shard of three files on disk, one of them empty. */
async function upload(change: { digest?: string; content?: string } = {}): Promise<ArchiveUpload> {
  const contents: [string, Buffer][] = [
    [
      '20260101/tenwiki-20260101-pages-articles.xml.bz2',
      Buffer.from((change.content ?? 'pages ').repeat(50_000)),
    ],
    ['20260101/tenwiki-20260101-empty.sql.gz', Buffer.alloc(0)],
    ['20260101/wikiseed-01234567/HASH.json', Buffer.from('{}\n')],
  ]
  const files = await Promise.all(
    contents.map(async ([path, bytes]) => {
      const diskPath = join(dir, 'held', change.digest ?? 'a', path)
      await mkdir(dirname(diskPath), { recursive: true })
      await writeFile(diskPath, bytes)
      const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
      return {
        path,
        diskPath,
        sizeBytes: bytes.length,
        digests: { md5: hash('md5'), sha1: hash('sha1'), sha256: hash('sha256') },
      }
    }),
  )
  const digest = (change.digest ?? 'a').repeat(64)
  const infohash = 'b'.repeat(40)
  if (!isShardDigest(digest) || !isInfohash(infohash)) throw new Error('not ids')
  return {
    id: shardId({ dataset: 'dumps', wiki: 'tenwiki', date: '20260101', part: 0 }),
    digest,
    infohash,
    name: 'tenwiki',
    files,
  }
}

const puts = () => world.log.filter((record) => record.service === 'archiveS3' && record.method === 'PUT')

describe('preserve', () => {
  it('uploads every file, waits until the metadata shows its hashes, and only then says so', async () => {
    const wanted = await upload()
    const archived = await archive().preserve(wanted)
    expect(archived.item).toBe('wikiseed-tenwiki-20260101')
    expect(archived.files).toHaveLength(3)
    expect(archived.storage).toBe(`${new URL(world.urls.archive ?? '').host}/0/items/${archived.item}`)
    const answer = await fetch(`${world.urls.archive}/metadata/${archived.item}`)
    const { metadata, files } = (await answer.json()) as {
      metadata: Record<string, unknown>
      files: Record<string, string>[]
    }
    for (const file of wanted.files) {
      const row = files.find((each) => each.name === file.path)
      expect(row).toMatchObject({
        md5: file.digests.md5,
        sha1: file.digests.sha1,
        size: String(file.sizeBytes),
      })
    }
    expect(metadata).toMatchObject({
      mediatype: 'data',
      collection: 'opensource',
      title: 'Wikimedia database dump of tenwiki on 20260101',
      subject: ['wiki', 'dumps', 'data dumps', 'tenwiki', 'wikiseed'],
      'wikiseed-infohash': wanted.infohash,
      'wikiseed-shard': `dumps/tenwiki/20260101@${wanted.digest}`,
    })
    const first = wanted.files[0]
    const held = await fetch(`${world.urls.archive}/download/${archived.item}/${first?.path}`)
    expect(Buffer.from(await held.arrayBuffer())).toEqual(await readFile(first?.diskPath ?? ''))
  })

  it('sends nothing again when everything is there', async () => {
    const wanted = await upload()
    await archive().preserve(wanted)
    const before = puts().length
    expect((await archive().preserve(wanted)).item).toBe('wikiseed-tenwiki-20260101')
    expect(puts()).toHaveLength(before)
  })

  it('goes through bursts of SlowDown, cut connections and redirects', async () => {
    Object.assign(world.faults, { archive503Rate: 0.3, archiveCutRate: 0.3, archiveRedirectRate: 0.5 })
    await archive().preserve(await upload())
    const seen = new Set(world.log.flatMap((record) => record.faults ?? []))
    expect([...seen].sort()).toEqual(['SlowDown', 'cut', 'redirect'])
    expect(logged.join('\n')).toContain('slow-down')
  })

  it('waits while the queue is over its limit, and sends nothing meanwhile', async () => {
    world.faults.archiveOverLimit = true
    const sleeps: number[] = []
    const done = archive({
      sleep: async (ms, signal) => {
        sleeps.push(ms)
        expect(puts()).toHaveLength(sleeps.length <= 3 ? 0 : puts().length)
        if (sleeps.length === 3) world.faults.archiveOverLimit = false
        await realSleep(20, signal)
      },
    }).preserve(await upload())
    expect((await done).item).toBe('wikiseed-tenwiki-20260101')
    expect(sleeps.slice(0, 3)).toEqual([1_000, 2_000, 4_000])
  })

  it('gives up as busy in the end', async () => {
    world.faults.archive503Rate = 1
    await expect(
      archive({ timing: { busyMsMax: 100, pollMs: 1, slowDownMs: 1 } }).preserve(await upload()),
    ).rejects.toMatchObject({
      code: 'busy',
    })
  })

  it('says that uploads do not show in time', async () => {
    const slow = await startWorld({ dumps: join(dir, 'dumps'), archiveLagMs: 60_000 })
    try {
      const client = archive({
        s3Url: slow.urls.archiveS3,
        siteUrl: slow.urls.archive,
        timing: { visibleMsMax: 100 },
      })
      await expect(client.preserve(await upload())).rejects.toMatchObject({ code: 'not-visible' })
    } finally {
      await slow.close()
    }
  })

  it('names the file whose bytes on disk are not those of its digest', async () => {
    const wanted = await upload()
    const path = wanted.files[0]?.diskPath ?? ''
    const bytes = await readFile(path)
    bytes[1_000] = (bytes[1_000] ?? 0) ^ 1
    await writeFile(path, bytes)
    await expect(archive().preserve(wanted)).rejects.toMatchObject({
      code: 'bad-digest',
      message: expect.stringContaining(path),
    })
  })

  it('names the file that is missing or too short on disk', async () => {
    const short = await upload()
    await writeFile(short.files[0]?.diskPath ?? '', 'short')
    await expect(archive().preserve(short)).rejects.toMatchObject({
      code: 'disk',
      message: expect.stringContaining('shorter'),
    })
    await rm(short.files[0]?.diskPath ?? '')
    await expect(archive().preserve(short)).rejects.toMatchObject({ code: 'disk' })
  })

  it('keeps another revision of the run in an item of its own', async () => {
    await archive().preserve(await upload())
    const second = await archive().preserve(await upload({ digest: 'c', content: 'other ' }))
    expect(second.item).toBe('wikiseed-tenwiki-20260101-cccccccc')
  })

  it('says that the keys are wrong, once, without showing them', async () => {
    const failed = archive({ secretKey: 'not-the-secret' }).preserve(await upload())
    await expect(failed).rejects.toMatchObject({ code: 'unauthorized' })
    await failed.catch((error: Error) => expect(String(error)).not.toContain('not-the-secret'))
    expect(puts()).toHaveLength(1)
  })

  it('says that the collection may not be written to', async () => {
    const failed = archive({ collection: 'wikimediadownloads' }).preserve(await upload())
    await expect(failed).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('privileges'),
    })
  })

  it('stops when asked to', async () => {
    world.faults.archiveOverLimit = true
    const stop = new AbortController()
    const failed = archive({
      sleep: async () => stop.abort(),
    }).preserve(await upload(), { signal: stop.signal })
    await expect(failed).rejects.toMatchObject({ code: 'aborted' })
  })

  it('never logs the secret', async () => {
    Object.assign(world.faults, { archive503Rate: 0.5 })
    await archive().preserve(await upload())
    expect(logged.length).toBeGreaterThan(0)
    expect(logged.join('\n')).not.toContain(secretKey)
  })
})

describe('reverify', () => {
  it('agrees with what was just archived, and knows what was not', async () => {
    const archived = await archive().preserve(await upload())
    const [first, ...rest] = archived.files
    if (first === undefined) throw new Error('no files')
    expect((await archive().reverify(archived.item, archived.files)).item).toBe(archived.item)
    await expect(archive().reverify('wikiseed-nothing', archived.files)).rejects.toMatchObject({
      code: 'not-found',
    })
    const other = { ...first, digests: { ...first.digests, sha1: '0'.repeat(40) } }
    await expect(archive().reverify(archived.item, [...rest, other])).rejects.toMatchObject({
      code: 'mismatch',
      message: expect.stringContaining(first.path),
    })
    await expect(
      archive().reverify(archived.item, [{ ...first, path: '20260101/lost' }]),
    ).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('20260101/lost'),
    })
  })
})
