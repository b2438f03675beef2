import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  hashJson,
  metadataFileList,
  metadataFiles,
  metadataPaths,
  readmeText,
} from '../../protocol/shard/metadata-files.ts'
import { digestsOf, seededBytes, shardOfFiles } from '../support/shards.ts'

const FILES = new Map([
  ['20260101/tenwiki-20260101-a.sql.gz', seededBytes('a', 1_000)],
  ['20260101/tenwiki-20260101-b.xml.bz2', seededBytes('b', 12)],
])
const SHARD = shardOfFiles('tenwiki', FILES)
const DIGESTS = new Map([...FILES].map(([path, bytes]) => [path, digestsOf(bytes)]))

describe('metadata files (PROTOCOL 2)', () => {
  it('have the sizes that follow from the shard alone', () => {
    const made = metadataFiles(SHARD, DIGESTS)
    expect(made.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length }))).toEqual(
      metadataFileList(SHARD),
    )
  })

  it('lie beside the dump files in HASH, STATUS, README order', () => {
    const folder = `20260101/wikiseed-${SHARD.digest.slice(0, 8)}`
    expect(metadataPaths(SHARD)).toEqual([
      `${folder}/HASH.json`,
      `${folder}/STATUS.json`,
      `${folder}/README.txt`,
    ])
  })

  it('lie beside the files of a content export too', () => {
    const shard = { ...SHARD, dataset: 'content_history', name: 'mediawiki_content_history' } as const
    expect(metadataPaths(shard)[0]).toMatch(
      /^tenwiki\/2026-01-01\/xml\/bzip2\/wikiseed-[0-9a-f]{8}\/HASH\.json$/,
    )
  })

  it('are ASCII, end with a line feed and name every file with all digests', () => {
    const text = hashJson(SHARD, DIGESTS)
    expect(text.endsWith('}\n')).toBe(true)
    expect(JSON.parse(text)).toEqual({
      files: Object.fromEntries(
        [...FILES].map(([path, bytes]) => [path, { ...digestsOf(bytes), size: bytes.length }]),
      ),
      shard: 'dumps/tenwiki/20260101',
      version: 1,
    })
    expect(readmeText(SHARD)).toMatch(/^[\n -~]+\n$/)
  })

  it('cannot be made without the digests of a file', () => {
    expect(() => hashJson(SHARD, new Map())).toThrow(RangeError)
    const short = new Map([...DIGESTS].map(([path, digests]) => [path, { ...digests, sha1: 'ab' }]))
    expect(() => hashJson(SHARD, short)).toThrow(RangeError)
  })

  it('say CC0 for Wikidata', () => {
    expect(readmeText({ ...SHARD, wiki: 'wikidatawiki' })).toContain('CC0')
  })

  it('give a verify command that passes on good files and fails on a bad one', (context) => {
    try {
      execFileSync('jq', ['--version'])
    } catch {
      context.skip('jq is not installed')
    }
    const root = mkdtempSync(join(tmpdir(), 'wikiseed-metadata-'))
    try {
      for (const [path, bytes] of [
        ...FILES,
        ...metadataFiles(SHARD, DIGESTS).map((f) => [f.path, f.bytes] as const),
      ]) {
        mkdirSync(dirname(join(root, path)), { recursive: true })
        writeFileSync(join(root, path), bytes)
      }
      const command = /run\n([\s\S]*?)\nor compare/.exec(readmeText(SHARD))?.[1] ?? ''
      const verify = () =>
        execFileSync('bash', ['-o', 'pipefail', '-c', command], {
          cwd: root,
          encoding: 'utf8',
          stdio: 'pipe',
        })
      expect(verify()).toContain('tenwiki-20260101-b.xml.bz2: OK')
      writeFileSync(join(root, '20260101/tenwiki-20260101-b.xml.bz2'), 'wrong')
      expect(verify).toThrow('did NOT match')
    } finally {
      rmSync(root, { recursive: true })
    }
  })
})
