import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { diskSpace } from '../../node/files/disk.ts'
import { moveTree, writeFileAtomic } from '../../node/files/durable.ts'
import { layoutOf, safeJoin } from '../../node/files/layout.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wikiseed-files-'))
})
afterEach(() => rmSync(root, { recursive: true }))

describe('a path inside the data folder', () => {
  it('is joined when it is plain', () => {
    expect(safeJoin('/data/mirror', 'tenwiki/20260101/x.bz2')).toBe(
      resolve('/data/mirror/tenwiki/20260101/x.bz2'),
    )
    expect(safeJoin('/', 'a')).toBe(resolve('/a'))
  })

  it.each([
    '../x',
    'a/../../x',
    'a/..',
    '/etc/passwd',
    '',
    '.',
    './a',
    'a//b',
    'a/',
    'a\\..\\b',
    'C:x',
    'a\0',
    'a\nb',
  ])('is refused when it is %j', (path) => expect(() => safeJoin('/data/mirror', path)).toThrow(RangeError))

  it('never leaves the folder, whatever the text', () => {
    const element = fc.oneof(fc.constantFrom('..', '.', '', '/', '\\', 'a'), fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(fc.array(element, { maxLength: 6 }), (elements) => {
        let path: string
        try {
          path = safeJoin(root, elements.join('/'))
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
          return
        }
        expect(relative(root, path).split('/')).not.toContain('..')
        expect(path.startsWith(`${root}/`)).toBe(true)
      }),
    )
  })

  it('keeps mirror, staging, torrents, DHT, store and log apart', () => {
    const { root: base, ...folders } = layoutOf(root)
    expect(Object.values(folders).map((path) => relative(base, path))).toEqual([
      'mirror',
      'staging',
      'torrents',
      'dht.json',
      'dht6.json',
      'store',
      'log',
    ])
  })
})

describe('durable writes', () => {
  it('replace a file at once and leave nothing beside it', async () => {
    const path = join(root, 'a', 'b', 'file')
    await writeFileAtomic(path, Buffer.from('old'))
    await writeFileAtomic(path, Buffer.from('new'))
    expect(readFileSync(path, 'utf8')).toBe('new')
    expect(readdirSync(join(root, 'a', 'b'))).toEqual(['file'])
  })

  it('that fail leave the old bytes and no temporary file', async () => {
    const folder = join(root, 'target')
    mkdirSync(join(folder, 'file', 'in-the-way'), { recursive: true }) // A folder cannot be replaced by a file.
    await expect(writeFileAtomic(join(folder, 'file'), Buffer.from('new'))).rejects.toThrow()
    expect(readdirSync(folder)).toEqual(['file'])
  })

  it('move a staged tree, and go on after an interruption', async () => {
    const [staging, mirror] = [join(root, 'staging'), join(root, 'mirror')]
    const paths = ['aawiki/20260101/a.gz', 'aawiki/20260101/b.gz', 'aawiki/20260101/wikiseed-0/HASH.json']
    mkdirSync(join(staging, 'aawiki/20260101/wikiseed-0'), { recursive: true })
    for (const path of paths) writeFileSync(join(staging, path), path)
    await moveTree(staging, mirror, paths.slice(0, 1)) // As if stopped after the first.
    await moveTree(staging, mirror, paths)
    for (const path of paths) expect(readFileSync(join(mirror, path), 'utf8')).toBe(path)
    expect(readdirSync(join(staging, 'aawiki/20260101'))).toEqual(['wikiseed-0'])
  })

  it('do not move what is nowhere, nor what would leave the folder', async () => {
    await expect(moveTree(root, join(root, 'to'), ['missing'])).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(moveTree(root, join(root, 'to'), ['../x'])).rejects.toThrow(RangeError)
  })
})

describe('room on the disk', () => {
  it('is a positive number below the total', async () => {
    const { freeBytes, totalBytes } = await diskSpace(root)
    expect(freeBytes).toBeGreaterThan(0)
    expect(freeBytes).toBeLessThanOrEqual(totalBytes)
    await expect(diskSpace(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
