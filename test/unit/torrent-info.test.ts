// Longer than 300 lines: one definition, held to each of its oracles and to every kind of damage.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import createTorrent from 'create-torrent'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bdecode, bencode } from '../../protocol/codec/bencode.ts'
import { concatBytes } from '../../protocol/codec/bytes.ts'
import { metadataFiles } from '../../protocol/shard/metadata-files.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import {
  decodeInfo,
  encodeInfo,
  infohashOf,
  infoMatchesShard,
  shardInfo,
  shardPieceLength,
  torrentFiles,
} from '../../protocol/torrent/info.ts'
import { magnetLink, parseMagnet } from '../../protocol/torrent/magnet.ts'
import { decodeMetainfo, encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { digestsOf, seededBytes, shardOfFiles } from '../support/shards.ts'

interface Tree {
  readonly shard: Shard
  /** Every file of the torrent in order. */
  readonly files: readonly { path: string; bytes: Uint8Array }[]
  readonly info: Uint8Array
}

/** A shard with real bytes, and its info dictionary with piece hashes taken here, apart from the product's hasher. */
function treeOf(wiki: string, dumps: ReadonlyMap<string, Uint8Array>): Tree {
  const shard = shardOfFiles(wiki, dumps)
  const digests = new Map([...dumps].map(([path, bytes]) => [path, digestsOf(bytes)]))
  const files = [...[...dumps].map(([path, bytes]) => ({ path, bytes })), ...metadataFiles(shard, digests)]
  const pieces = pieceHashes(
    files.map((file) => file.bytes),
    shardPieceLength(shard),
  )
  return { shard, files, info: shardInfo(shard, pieces) }
}

function pieceHashes(files: readonly Uint8Array[], pieceLength: number): Uint8Array {
  const whole = concatBytes(...files)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < whole.length; at += pieceLength) {
    pieces.push(
      createHash('sha1')
        .update(whole.subarray(at, at + pieceLength))
        .digest(),
    )
  }
  return concatBytes(...pieces)
}

const TREES: readonly (readonly [string, Tree])[] = [
  [
    'one small file',
    treeOf('aawiki', new Map([['20260101/aawiki-20260101-sites.sql.gz', seededBytes('s', 77)]])),
  ],
  [
    'several files over several pieces',
    treeOf(
      'fatwiki',
      new Map([
        ['20260101/fatwiki-20260101-a.sql.gz', seededBytes('a', 16_384)],
        ['20260101/fatwiki-20260101-b.sql.gz', seededBytes('b', 40_001)],
        ['20260101/fatwiki-20260101-pages-articles-multistream-index.txt.bz2', seededBytes('c', 5)],
        ['20260101/fatwiki-20260101-pages-articles-multistream.xml.bz2', seededBytes('d', 123_456)],
      ]),
    ),
  ],
  [
    'more than 32 MiB, so that the piece length grows',
    treeOf(
      'urwiki',
      new Map([['20260101/urwiki-20260101-big.xml.bz2', seededBytes('big', 33 * 1024 * 1024)]]),
    ),
  ],
]
const SECOND = TREES[1]?.[1] as Tree

describe.each(TREES)('infohash of %s', (_name, tree) => {
  it('equals what create-torrent computes from the same ordered files', async () => {
    const inputs = tree.files.map(({ path, bytes }) =>
      Object.assign(Buffer.from(bytes), { name: `${tree.shard.name}/${path}` }),
    )
    const torrent = await new Promise<Uint8Array>((resolve, reject) =>
      createTorrent(
        inputs,
        { name: tree.shard.name, pieceLength: shardPieceLength(tree.shard), announceList: [] },
        (error: Error | null, made: Uint8Array) => (error === null ? resolve(made) : reject(error)),
      ),
    )
    const read = decodeMetainfo(new Uint8Array(torrent))
    expect(read?.info).toEqual(tree.info)
    expect(read?.infohash).toBe(infohashOf(tree.info))
  })

  // mktorrent 1.1 sorts by whole path (so HASH, README, STATUS) and makes no piece shorter than 32 KiB: the comparison is
  // of our encoder, given that order and piece length.
  it('equals what mktorrent computes, in the order and piece length that it takes', (context) => {
    const root = mkdtempSync(join(tmpdir(), 'wikiseed-info-'))
    try {
      for (const { path, bytes } of tree.files) {
        const file = join(root, tree.shard.name, path)
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, bytes)
      }
      const pieceLength = Math.max(shardPieceLength(tree.shard), 32 * 1024)
      const out = join(root, 'out.torrent')
      const options = ['-d', '-l', String(Math.log2(pieceLength)), '-o', out]
      try {
        execFileSync('mktorrent', [...options, join(root, tree.shard.name)], { stdio: 'pipe' })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        context.skip('mktorrent is not installed')
      }
      const theirs = decodeMetainfo(readFileSync(out))
      const order = decodeInfo(theirs?.info ?? new Uint8Array())?.files.map((file) => file.path) ?? []
      expect(order.toSorted()).toEqual(tree.files.map((file) => file.path).toSorted())
      const files = order.map((path) => ({
        path,
        bytes: tree.files.find((file) => file.path === path)?.bytes ?? new Uint8Array(),
      }))
      const ours = encodeInfo({
        name: tree.shard.name,
        files: files.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length })),
        pieceLengthBytes: pieceLength,
        pieces: pieceHashes(
          files.map((file) => file.bytes),
          pieceLength,
        ),
      })
      expect(theirs?.infohash).toBe(infohashOf(ours))
    } finally {
      rmSync(root, { recursive: true })
    }
  })
})

describe('info dictionary', () => {
  const { shard, info } = SECOND

  it('holds exactly files, name, piece length and pieces', () => {
    const decoded = bdecode(info, { bytesMax: 1_000_000, itemsMax: 1_000 })
    expect(decoded instanceof Map ? [...decoded.keys()] : null).toEqual([
      'files',
      'name',
      'piece length',
      'pieces',
    ])
  })

  it('gives back what was encoded', () => {
    const decoded = decodeInfo(info)
    expect(decoded?.files).toEqual(torrentFiles(shard))
    expect(decoded === null ? null : encodeInfo(decoded)).toEqual(info)
  })

  it('matches its own shard', () => {
    expect(infoMatchesShard(info, shard)).toBe(true)
  })

  const parts = decodeInfo(info)
  if (parts === null) throw new Error('the info dictionary of the fixture must decode')
  const { files, pieces } = parts
  const swapped = [files[1], files[0], ...files.slice(2)].flatMap((file) => file ?? [])
  const resized = files.map((file, i) =>
    i === 0
      ? { ...file, sizeBytes: file.sizeBytes + 1 }
      : i === 1
        ? { ...file, sizeBytes: file.sizeBytes - 1 }
        : file,
  )
  const renamed = files.map((file, i) => (i === 0 ? { ...file, path: `${file.path}x` } : file))
  it.each([
    ['another name', { ...parts, name: 'enwiki' }],
    ['files in another order', { ...parts, files: swapped }],
    ['other sizes with the same sum', { ...parts, files: resized }],
    ['another path', { ...parts, files: renamed }],
    [
      'another piece length',
      {
        ...parts,
        pieceLengthBytes: parts.pieceLengthBytes * 2,
        pieces: pieces.subarray(0, 20 * Math.ceil(pieces.length / 40)),
      },
    ],
  ])('with %s does not match the shard', (_what, changed) => {
    const bytes = encodeInfo(changed)
    expect(decodeInfo(bytes)).not.toBeNull()
    expect(infoMatchesShard(bytes, shard)).toBe(false)
  })

  const raw = (change: object) => {
    const file = { length: 5, path: ['a'] }
    return bencode({
      files: [file],
      name: 'n',
      'piece length': 16_384,
      pieces: new Uint8Array(20),
      ...change,
    })
  }
  it.each([
    ['private', { private: 1 }],
    ['source', { source: 'x' }],
    ['an escape in a path', { files: [{ length: 5, path: ['..', '..', 'x'] }] }],
    ['a slash in a path element', { files: [{ length: 5, path: ['a/../b'] }] }],
    ['a backslash', { files: [{ length: 5, path: ['a\\b'] }] }],
    ['an empty path', { files: [{ length: 5, path: [] }] }],
    ['an empty element', { files: [{ length: 5, path: ['a', ''] }] }],
    ['an escape in the name', { name: '..' }],
    ['a path in another encoding', { files: [{ length: 5, path: ['a'], 'path.utf-8': ['b'] }] }],
    ['attributes', { files: [{ attr: 'p', length: 5, path: ['a'] }] }],
    [
      'the same path twice',
      {
        files: [
          { length: 2, path: ['a'] },
          { length: 3, path: ['a'] },
        ],
      },
    ],
    ['a negative length', { files: [{ length: -5, path: ['a'] }] }],
    ['no files', { files: [] }],
    ['a piece length of 3', { 'piece length': 3 }],
    ['a piece length of 32 MiB', { 'piece length': 32 * 1024 * 1024 }],
    ['too many pieces', { pieces: new Uint8Array(40) }],
    ['half a piece hash', { pieces: new Uint8Array(10) }],
  ])('with %s is refused', (_what, change) => {
    expect(decodeInfo(raw({}))).not.toBeNull()
    expect(decodeInfo(raw(change))).toBeNull()
  })

  it('is read without throwing, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.nat(info.length - 1), fc.nat(255), fc.nat(3), (at, byte, cut) => {
        const bytes = info.slice(0, info.length - cut)
        bytes[at] = byte
        decodeInfo(bytes)
        infoMatchesShard(bytes, shard)
        decodeMetainfo(bytes)
      }),
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodeInfo(bytes) === null))
  })
})

describe('metainfo', () => {
  it('keeps the info bytes and so the infohash, whatever stands around them', () => {
    const { info } = SECOND
    const around = {
      trackers: [['http://a.example/announce', 'udp://b.example:1'], ['http://c.example/?k=1&l=2']],
      webSeeds: ['https://archive.example/download/x/'],
      comment: 'fatwiki of 2026-01-01',
    }
    const read = decodeMetainfo(encodeMetainfo({ info, ...around }))
    expect(read).toEqual({ info, infohash: infohashOf(info), ...around })
    expect(decodeMetainfo(encodeMetainfo({ info }))?.infohash).toBe(infohashOf(info))
  })

  it('is valid bencode with sorted keys', () => {
    const bytes = encodeMetainfo({ info: SECOND.info, trackers: [['u']], webSeeds: ['w'], comment: 'c' })
    expect(bencode(bdecode(bytes, { bytesMax: 1_000_000, itemsMax: 10_000 }))).toEqual(bytes)
  })
})

describe('magnet link', () => {
  const infohash = infohashOf(SECOND.info)
  const magnet = {
    infohash,
    name: 'fatwiki 2026',
    trackers: ['http://t.example/a?k=1&x=2#f'],
    webSeeds: ['https://w.example/?p=a=b/'],
    peers: ['127.0.0.1:6881'],
  }

  it('comes back as it was, with "=", "&", "?" and "#" in its values', () => {
    expect(parseMagnet(magnetLink(magnet))).toEqual(magnet)
  })

  it('has no bare "=" inside a value', () => {
    for (const parameter of magnetLink(magnet).split('&')) expect(parameter.split('=').length).toBe(2)
  })

  it('is read with a base32 infohash', () => {
    expect(parseMagnet('magnet:?xt=urn:btih:AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT')?.infohash).toBe(
      '000102030405060708090a0b0c0d0e0f10111213',
    )
  })

  it.each([
    '',
    'http://x',
    'magnet:?dn=x',
    'magnet:?xt=urn:btih:xyz',
    `magnet:?xt=urn:btih:${infohash}&dn=%`,
  ])('is not read from %j', (link) => {
    expect(parseMagnet(link)).toBeNull()
  })
})
