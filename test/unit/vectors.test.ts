import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import createTorrent from 'create-torrent'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

const test = join(import.meta.dirname, '..')

const VectorFile = z.object({
  path: z.string(),
  sizeBytes: z.number().int().positive(),
  content: z.union([
    z.strictObject({ fixture: z.string() }),
    z.strictObject({ text: z.string() }),
    z.strictObject({ counter: z.string() }),
  ]),
})
type VectorFile = z.infer<typeof VectorFile>

const Vectors = z.object({
  vectors: z.array(
    z.object({
      title: z.string(),
      name: z.string(),
      files: z.array(VectorFile).min(1),
      expected: z.object({
        pieceLengthBytes: z.number().int(),
        pieceCount: z.number().int(),
        piecesSha1: z.string(),
        infoBytes: z.number().int(),
        infohash: z.string(),
      }),
      mktorrent: z.enum(['infohash', 'pieces', 'none']),
    }),
  ),
})

const { vectors } = Vectors.parse(JSON.parse(readFileSync(join(test, 'vectors', 'torrents.json'), 'utf8')))

/** The generator that the vector file describes, written again from its words. */
function contentOf({ content, sizeBytes }: VectorFile): Buffer {
  if ('fixture' in content) return readFileSync(join(test, 'fixtures', content.fixture))
  if ('text' in content) return Buffer.from(content.text)
  const blocks = Array.from({ length: Math.ceil(sizeBytes / 16_384) }, (_, i) =>
    Buffer.alloc(16_384, createHash('sha256').update(`${content.counter}:${i}`).digest()),
  )
  return Buffer.concat(blocks).subarray(0, sizeBytes)
}

/** `create-torrent` over buffers keeps the order they are given in. */
function infohashByCreateTorrent(name: string, pieceLength: number, files: VectorFile[]): Promise<string> {
  const inputs = files.map((file) => Object.assign(contentOf(file), { name: `${name}/${file.path}` }))
  return new Promise((resolve, reject) => {
    createTorrent(inputs, { name, pieceLength, announceList: [] }, (error, torrent) => {
      if (error) return reject(error)
      // The info dictionary is the last key that create-torrent writes: from `4:info` to the last `e`.
      const at = Buffer.from(torrent).indexOf('4:infod')
      resolve(
        createHash('sha1')
          .update(torrent.subarray(at + 6, torrent.length - 1))
          .digest('hex'),
      )
    })
  })
}

describe('test/vectors/torrents.json', () => {
  it.each(vectors)('create-torrent computes the infohash of: $title', async ({ name, files, expected }) => {
    for (const file of files) expect(contentOf(file).length, file.path).toBe(file.sizeBytes)
    expect(await infohashByCreateTorrent(name, expected.pieceLengthBytes, files)).toBe(expected.infohash)
  })

  it('the separate Python implementation still computes every expected value', () => {
    const maker = join(test, 'oracle', 'make-vectors.py')
    expect(execFileSync('python3', [maker, '--check'], { encoding: 'utf8', timeout: 60_000 })).toBe('')
  })
})
