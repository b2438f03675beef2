import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { digestsOf, seededBytes } from '../support/shards.ts'

const SIZES = [5, 0, 70_000, 3 * 1024 * 1024 + 17]
const PIECE = 16 * 1024
let root: string
let hasher: WorkerHasher
let paths: string[]
const contents = SIZES.map((size, i) => seededBytes(`hasher/${i}`, size))

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'wikiseed-hasher-'))
  hasher = new WorkerHasher({ threadsMax: 2 })
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
    expect(files).toEqual(contents.map((bytes) => ({ sizeBytes: bytes.length, digests: digestsOf(bytes) })))
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

  it('has no pieces for no bytes', async () => {
    expect((await hasher.hash([paths[1] ?? ''], { pieceLengthBytes: PIECE })).pieces).toEqual(
      new Uint8Array(),
    )
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
    const one = new WorkerHasher({ threadsMax: 1 })
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
    const one = new WorkerHasher({ threadsMax: 1 })
    const working = one.hash(['/dev/zero'])
    const rejected = expect(working).rejects.toThrow('closed')
    await one.close()
    await rejected
    await expect(one.hash(paths)).rejects.toThrow('closed')
  })

  it('refuses a queue without end', async () => {
    const one = new WorkerHasher({ threadsMax: 1, waitingMax: 1 })
    const jobs = [one.hash(['/dev/zero']), one.hash(['/dev/zero'])]
    const settled = Promise.allSettled(jobs)
    await expect(one.hash(paths)).rejects.toThrow(RangeError)
    await one.close()
    await settled
  })
})
