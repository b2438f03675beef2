import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { digestsOf, seededBytes } from '../support/shards.ts'

const DUMPS = join(import.meta.dirname, '..', 'fixtures', 'dumps')
const SIZES = [5, 0, 70_000, 3 * 1024 * 1024 + 17]
const PIECE = 16 * 1024
let root: string
let hasher: WorkerHasher
let paths: string[]
const contents = SIZES.map((size, i) => seededBytes(`hasher/${i}`, size))

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'wikiseed-hasher-'))
  hasher = new WorkerHasher({ teamsMax: 2 })
  paths = await Promise.all(
    contents.map(async (bytes, i) => {
      const path = join(root, `${i}`)
      await writeFile(path, bytes)
      return path
    }),
  )
})

afterAll(async () => {
  await hasher.close()
  await rm(root, { recursive: true })
})

describe('hasher', () => {
  it('gives size and all digests of every file, in their order', async () => {
    const { files, pieces } = await hasher.hash(paths)
    expect(files).toEqual(
      contents.map((bytes) => ({ sizeBytes: bytes.length, digests: digestsOf(bytes), finding: null })),
    )
    expect(pieces).toBeNull()
  })

  it('takes piece hashes over the concatenation of the files', async () => {
    const whole = Buffer.concat(contents)
    const expected: Buffer[] = []
    for (let at = 0; at < whole.length; at += PIECE) {
      expected.push(
        createHash('sha1')
          .update(whole.subarray(at, at + PIECE))
          .digest(),
      )
    }
    const { pieces } = await hasher.hash(paths, { pieceLengthBytes: PIECE })
    expect(Buffer.from(pieces ?? []).equals(Buffer.concat(expected))).toBe(true)
  })

  it.each([1_000, 256 * 1024, 1024 * 1024])(
    'divides the pieces of %i bytes among its threads, and misses none',
    async (length) => {
      const whole = Buffer.concat(contents)
      const expected = Array.from({ length: Math.ceil(whole.length / length) }, (_, i) =>
        createHash('sha1')
          .update(whole.subarray(i * length, (i + 1) * length))
          .digest(),
      )
      const { pieces } = await hasher.hash(paths, { pieceLengthBytes: length })
      expect(Buffer.from(pieces ?? []).equals(Buffer.concat(expected))).toBe(true)
    },
  )

  it.each([PIECE, 1024 * 1024])(
    'takes pieces of %i bytes alone: the same as with digests',
    async (length) => {
      const { pieces } = await hasher.hash(paths, { pieceLengthBytes: length })
      expect(await hasher.pieces(paths, { pieceLengthBytes: length })).toEqual(pieces)
    },
  )

  it('has no pieces for no bytes', async () => {
    expect((await hasher.hash([paths[1] ?? ''], { pieceLengthBytes: PIECE })).pieces).toEqual(
      new Uint8Array(),
    )
  })

  it('tells what the form of each file says, when asked', async () => {
    const bz2 = join(DUMPS, 'urwiki/20260101/urwiki-20260101-pages-articles-multistream.xml.bz2')
    const cut = join(root, 'urwiki-20260101-pages-articles.xml.bz2')
    await writeFile(cut, (await readFile(bz2)).subarray(0, 10_000))
    const plain = paths[3] ?? ''
    const { files } = await hasher.hash([bz2, cut, plain], { structure: true })
    expect(files.map(({ finding }) => finding)).toEqual([
      expect.objectContaining({ state: 'ok', container: 'bzip2', content: 'xml', wiki: 'urwiki' }),
      expect.objectContaining({ state: 'bad', offsetBytes: 10_000 }),
      expect.objectContaining({ state: 'unknown' }),
    ])
    expect(files[2]?.digests).toEqual(digestsOf(contents[3] ?? new Uint8Array()))
  })

  it('gives the same digests whether it looks at the form or not', async () => {
    const dump = join(DUMPS, 'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2')
    const [without, withForm] = await Promise.all(
      [false, true].map((structure) => hasher.hash([dump], { structure, pieceLengthBytes: PIECE })),
    )
    expect(withForm?.files[0]?.digests).toEqual(without?.files[0]?.digests)
    expect(withForm?.pieces).toEqual(without?.pieces)
  })

  it('counts every byte once', async () => {
    let count = 0
    await hasher.hash(paths, { onBytes: (more) => (count += more) })
    expect(count).toBe(SIZES.reduce((a, b) => a + b))
  })

  it('does more jobs than it has threads', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => hasher.hash(paths.slice(0, 3))))
    expect(new Set(all.map((facts) => JSON.stringify(facts.files))).size).toBe(1)
  })

  it('rejects with the error of the file system, and goes on', async () => {
    await expect(hasher.hash([join(root, 'missing')])).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'open',
    })
    await expect(hasher.hash([root])).rejects.toMatchObject({ code: 'EISDIR' })
    await expect(hasher.hash(paths)).resolves.toBeDefined()
  })

  it('stops when the signal aborts, in work and in the queue', async () => {
    const one = new WorkerHasher({ teamsMax: 1 })
    try {
      const abort = new AbortController()
      const reason = new Error('changed my mind')
      const endless = '/dev/zero'
      const working = one.hash([endless], { signal: abort.signal, onBytes: () => abort.abort(reason) })
      const queued = one.hash([endless], { signal: abort.signal })
      await expect(working).rejects.toBe(reason)
      await expect(queued).rejects.toBe(reason)
      await expect(one.hash(paths, { signal: abort.signal })).rejects.toBe(reason)
      expect((await one.hash(paths)).files.length).toBe(SIZES.length)
    } finally {
      await one.close()
    }
  })

  it('rejects what is in work and what comes after when it is closed', async () => {
    const one = new WorkerHasher({ teamsMax: 1 })
    const working = one.hash(['/dev/zero'])
    const rejected = expect(working).rejects.toThrow('closed')
    await one.close()
    await rejected
    await expect(one.hash(paths)).rejects.toThrow('closed')
  })

  it('refuses a queue without end', async () => {
    const one = new WorkerHasher({ teamsMax: 1, waitingMax: 1 })
    const jobs = [one.hash(['/dev/zero']), one.hash(['/dev/zero'])]
    const settled = Promise.allSettled(jobs)
    await expect(one.hash(paths)).rejects.toThrow(RangeError)
    await one.close()
    await settled
  })
})
