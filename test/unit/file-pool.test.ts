import { mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ChunkStore } from '../../node/transfer/chunk-store.ts'
import { FilePool, ShortFileError } from '../../node/transfer/file-pool.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import { PIECE_BYTES, sampleTorrent, wrongFiles } from '../support/torrents.ts'

let root: string
let pool: FilePool
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'wikiseed-pool-'))
  pool = new FilePool(3)
})
afterEach(async () => {
  await pool.close()
  await rm(root, { recursive: true })
})

/** Files of this process that lie below root. */
async function openBelowRoot(): Promise<number> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  )
  return links.filter((link) => link.startsWith(root)).length
}

describe('file pool', () => {
  it('reads and writes at positions of many files with never more than its bound open', async () => {
    const paths = Array.from({ length: 20 }, (_, i) => join(root, `d${i}`, 'f'))
    let most = 0
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        await pool.write(paths[i % 20] ?? '', Buffer.from([i]), Math.floor(i / 20))
        most = Math.max(most, await openBelowRoot())
      }),
    )
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(3)
    expect(pool.size).toBeLessThanOrEqual(3)
    const got = Buffer.alloc(10)
    await pool.read(paths[7] ?? '', got, 0)
    expect([...got]).toEqual(Array.from({ length: 10 }, (_, k) => 7 + 20 * k))
  })

  it('says when a file is too short, missing or not to be read, and goes on', async () => {
    const path = join(root, 'short')
    await writeFile(path, 'abc')
    await expect(pool.read(path, Buffer.alloc(4), 0)).rejects.toThrow(ShortFileError)
    await expect(pool.read(join(root, 'missing'), Buffer.alloc(1), 0)).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await expect(pool.write(join(path, 'below-a-file'), Buffer.alloc(1), 0)).rejects.toMatchObject({
      code: 'EEXIST',
    })
    await writeFile(join(root, 'missing'), 'x')
    await pool.read(join(root, 'missing'), Buffer.alloc(1), 0)
  })

  it('reads the new file after a released one was replaced', async () => {
    const path = join(root, 'f')
    await writeFile(path, 'old')
    const got = Buffer.alloc(3)
    await pool.read(path, got, 0)
    await pool.release([path])
    expect(await openBelowRoot()).toBe(0)
    await writeFile(join(root, 'g'), 'new')
    await rename(join(root, 'g'), path)
    await pool.read(path, got, 0)
    expect(got.toString()).toBe('new')
  })

  it('seals: cuts what is too long, makes what is empty, refuses what is too short', async () => {
    const path = join(root, 'f')
    await writeFile(path, 'abcdef')
    await pool.seal(path, 3)
    expect(await readFile(path, 'utf8')).toBe('abc')
    await pool.seal(join(root, 'empty'), 0)
    expect(await readFile(join(root, 'empty'), 'utf8')).toBe('')
    await expect(pool.seal(path, 4)).rejects.toThrow(ShortFileError)
  })
})

describe('chunk store', () => {
  const sample = sampleTorrent('tenwiki', [PIECE_BYTES - 3, 0, 10, 2 * PIECE_BYTES])
  const info = decodeInfo(sample.info)
  if (info === null) throw new Error('the sample must decode')
  const whole = Buffer.concat(sample.files.map((file) => file.bytes))

  it('puts pieces into the files they belong to and gives back any block', async () => {
    const store = new ChunkStore(pool, root, info)
    for (let piece = 3; piece >= 0; piece--) {
      await store.put(piece, whole.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES))
    }
    await store.seal()
    expect(await wrongFiles(sample, root)).toEqual([])
    expect((await store.get(0)).equals(whole.subarray(0, PIECE_BYTES))).toBe(true)
    expect((await store.get(3)).equals(whole.subarray(3 * PIECE_BYTES))).toBe(true)
    expect(
      (await store.get(0, PIECE_BYTES - 5, 5)).equals(whole.subarray(PIECE_BYTES - 5, PIECE_BYTES)),
    ).toBe(true)
    expect((await store.get(1, 3, 9)).equals(whole.subarray(PIECE_BYTES + 3, PIECE_BYTES + 12))).toBe(true)
  })

  it.each([
    [-1, 0, 1],
    [4, 0, 1],
    [0, -1, 2],
    [0, 0, -1],
    [0, PIECE_BYTES - 1, 2],
    [3, 0, PIECE_BYTES],
    [Number.NaN, 0, 1],
  ])('refuses the block piece %i, offset %i, length %i', async (piece, offset, length) => {
    const store = new ChunkStore(pool, root, info)
    await expect(store.get(piece, offset, length)).rejects.toThrow(RangeError)
  })

  it('refuses work after it was closed and holds no file open', async () => {
    const store = new ChunkStore(pool, root, info)
    const writing = store.put(0, whole.subarray(0, PIECE_BYTES))
    await store.close()
    await writing
    expect(await openBelowRoot()).toBe(0)
    await expect(store.get(0)).rejects.toThrow('closed')
  })
})
