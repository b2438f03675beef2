/** What xz, 7-Zip and bzip2 themselves write, in the forms that small fixtures do not have, is read to its end. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decompressBzip2 } from '../../node/structure/bzip2.ts'
import { findingOf, fixture, flipped } from '../support/structure.ts'

const MIB = 1024 * 1024
const has = (program: string) => spawnSync(program, ['--help'], { stdio: 'ignore' }).error === undefined
const SEVEN_ZIP = ['7zz', '7z', '7za'].find(has)

let folder: string
let plain: string
let sizeBytes: number

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-programs-'))
  plain = join(folder, 'fatwiki-20240920-pages-articles.xml')
  const dump = fixture('dumps/fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2')
  const text = decompressBzip2(dump, 32 * MIB)
  sizeBytes = text.length
  writeFileSync(plain, text)
})

afterAll(() => rmSync(folder, { recursive: true }))

async function isRead(name: string, bytes: Buffer): Promise<void> {
  expect(await findingOf(name, bytes)).toMatchObject({
    state: 'ok',
    content: 'xml',
    wiki: 'fatwiki',
    contentBytes: sizeBytes,
  })
  const at = Math.floor(bytes.length / 2)
  const broken = await findingOf(name, flipped(bytes, at))
  expect(broken).toMatchObject({ state: 'bad' })
  if (broken.state === 'bad')
    expect(broken.offsetBytes <= at || broken.offsetBytes === bytes.length).toBe(true)
  expect(await findingOf(name, bytes.subarray(0, at))).toMatchObject({ state: 'bad', offsetBytes: at })
}

describe('structure', () => {
  it.skipIf(!has('xz')).each([
    ['one block, CRC64', []],
    ['blocks of 1 MB, SHA-256', ['--check=sha256', '--block-size=1000000', '-0']],
    [
      'blocks with their sizes in their headers, CRC32',
      ['-T2', '--check=crc32', '--block-size=1000000', '-1'],
    ],
    ['no check, other lc, lp and pb', ['--check=none', '--lzma2=preset=1,lc=1,lp=3,pb=0']],
  ])('reads xz: %s', async (_what, args) => {
    const bytes = execFileSync('xz', ['-k', '-c', ...args, plain], { maxBuffer: 64 * MIB })
    if (args.includes('--check=none')) {
      expect(await findingOf('fatwiki-20240920-pages-articles.xml.xz', bytes)).toMatchObject({
        state: 'ok',
        contentBytes: sizeBytes,
      })
    } else await isRead('fatwiki-20240920-pages-articles.xml.xz', bytes)
  })

  it.skipIf(SEVEN_ZIP === undefined).each(['lzma', 'lzma2', 'bzip2', 'copy'])(
    'reads 7z with %s',
    async (method) => {
      const path = join(folder, `${method}.7z`)
      execFileSync(SEVEN_ZIP ?? '', ['a', '-mx=3', `-m0=${method}`, path, plain], { stdio: 'ignore' })
      await isRead('fatwiki-20240920-pages-articles.xml.7z', readFileSync(path))
    },
  )

  it.skipIf(SEVEN_ZIP === undefined)(
    'reads 7z of several files, whose header is packed, and leaves PPMd unread',
    async () => {
      const names = ['a', 'b', 'c'].map((name) => join(folder, name))
      for (const [i, name] of names.entries()) writeFileSync(name, `${name}\n`.repeat(i * 1_000))
      const path = join(folder, 'several.7z')
      execFileSync(SEVEN_ZIP ?? '', ['a', path, ...names], { stdio: 'ignore' })
      const bytes = readFileSync(path)
      expect(await findingOf('several.7z', bytes)).toMatchObject({ state: 'ok' })
      expect(await findingOf('several.7z', flipped(bytes, 40))).toMatchObject({
        state: 'bad',
        offsetBytes: 32,
      })
      const ppmd = join(folder, 'ppmd.7z')
      execFileSync(SEVEN_ZIP ?? '', ['a', '-m0=ppmd', ppmd, plain], { stdio: 'ignore' })
      expect(await findingOf('ppmd.7z', readFileSync(ppmd))).toEqual({
        state: 'unknown',
        detail: 'the coder 30401',
      })
    },
  )

  it.skipIf(!has('bzip2')).each(['-1', '-5', '-9'])(
    'reads bzip2 %s of one stream with many blocks',
    async (level) => {
      const bytes = execFileSync('bzip2', ['-k', '-c', level, plain], { maxBuffer: 64 * MIB })
      await isRead('fatwiki-20240920-pages-articles.xml.bz2', bytes)
    },
  )
})
