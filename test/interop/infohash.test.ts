/** Random trees of files: the infohash that our hasher and encoder give is the one that mktorrent and libtorrent give. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { decodeInfo, encodeInfo, infohashOf } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { DEBIAN_PYTHON, missing, missingLibtorrent } from '../support/clients/program.ts'
import { seededBytes } from '../support/shards.ts'

const TREES = 200
/** mktorrent makes no shorter pieces. */
const PIECE_LENGTHS = [32, 64, 128, 256].map((kib) => kib * 1024)
const ORACLE = join(import.meta.dirname, '..', 'oracle', 'libtorrent_trees.py')

interface Tree {
  readonly parent: string
  readonly name: string
  readonly pieceLengthBytes: number
  /** In raw-byte order of path, below the name. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[]
}

/** What an element of a path may be: printable ASCII without `/`, `:` and `\`, and neither `.` nor `..`. */
const element = fc
  .oneof(
    { weight: 4, arbitrary: fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,30}$/) },
    { weight: 2, arbitrary: fc.stringMatching(/^[ -.0-9;-[\]-~]{1,20}$/) },
    { weight: 1, arbitrary: fc.constantFrom('.hidden', '...', '-', '~', 'a b', `${'x'.repeat(120)}.bz2`) },
  )
  .filter((text) => text !== '.' && text !== '..')
const path = fc
  .array(element, { minLength: 1, maxLength: 4 })
  .map((elements) => elements.join('/'))
  .filter((text) => text.length <= 400)
const sizeBytes = fc.oneof(
  fc.constantFrom(0, 1, ...PIECE_LENGTHS.flatMap((length) => [length - 1, length, length + 1])),
  fc.integer({ min: 0, max: 300_000 }),
)
const someTree = fc
  .record({
    name: element,
    pieceLengthBytes: fc.constantFrom(...PIECE_LENGTHS),
    files: fc.uniqueArray(fc.record({ path, sizeBytes }), {
      minLength: 1,
      maxLength: 12,
      selector: (file) => file.path,
    }),
  })
  .map((tree) => ({ ...tree, files: withoutClashes(tree.files) }))
  .filter((tree) => tree.files.some((file) => file.sizeBytes > 0))

/** Without those of which a folder would have to be a file, in raw-byte order. */
function withoutClashes<T extends { path: string }>(files: readonly T[]): T[] {
  const paths = new Set(files.map((file) => file.path))
  const clashes = (text: string) =>
    text.split('/').some((_, i, all) => i > 0 && paths.has(all.slice(0, i).join('/')))
  return files
    .filter((file) => !clashes(file.path))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
}

const seed = Math.floor(Math.random() * 2 ** 31)
const hasher = new WorkerHasher()
let base: string
let trees: readonly Tree[] = []

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'wikiseed-trees-'))
  trees = fc
    .sample(someTree, { numRuns: TREES, seed })
    .map((tree, i) => ({ ...tree, parent: join(base, String(i)) }))
  const content = seededBytes('trees', 1_000_000)
  for (const { parent, name, files } of trees) {
    for (const [i, file] of files.entries()) {
      const at = join(parent, name, file.path)
      mkdirSync(dirname(at), { recursive: true })
      // Another start in the same bytes: other bytes.
      writeFileSync(at, content.subarray(i * 1_000, i * 1_000 + file.sizeBytes))
    }
  }
})

afterAll(async () => {
  await hasher.close()
  rmSync(base, { recursive: true, force: true })
})

async function ourInfohash(tree: Tree, files: Tree['files']): Promise<string> {
  const { parent, name, pieceLengthBytes } = tree
  const paths = files.map((file) => join(parent, name, file.path))
  const { pieces } = await hasher.hash(paths, { pieceLengthBytes })
  return infohashOf(encodeInfo({ name, files, pieceLengthBytes, pieces: pieces ?? new Uint8Array() }))
}

describe(`the infohash of ${TREES} random trees`, () => {
  it('is what libtorrent computes', async (context) => {
    const lacking = missingLibtorrent()
    if (lacking !== null) context.skip(`${lacking} is not installed`)
    const input = trees.map((tree) => ({ ...tree, files: tree.files.map((file) => file.path) }))
    const { stdout, stderr } = spawnSync(DEBIAN_PYTHON, [ORACLE], { input: JSON.stringify(input) })
    const theirs = stdout.toString().trim().split('\n')
    expect(theirs, stderr.toString()).toHaveLength(TREES)
    for (const [i, tree] of trees.entries())
      expect(await ourInfohash(tree, tree.files), `seed ${seed}: ${JSON.stringify(tree)}`).toBe(theirs[i])
  }, 60_000)

  it('is what mktorrent computes, in the order that it takes', async (context) => {
    const lacking = missing('mktorrent')
    if (lacking !== null) context.skip(`${lacking} is not installed`)
    const input = trees
      .flatMap(({ parent, name, pieceLengthBytes }) => [
        '-d',
        '-l',
        String(Math.log2(pieceLengthBytes)),
        '-o',
        `${parent}.torrent`,
        join(parent, name),
      ])
      .join('\0')
    const made = spawnSync('xargs', ['-0', '-n', '6', 'mktorrent'], { input })
    expect(made.status, `seed ${seed}: ${made.stderr}`).toBe(0)
    for (const tree of trees) {
      const theirs = decodeMetainfo(readFileSync(`${tree.parent}.torrent`))
      const order = theirs === null ? null : decodeInfo(theirs.info)
      const what = `seed ${seed}: ${JSON.stringify(tree)}`
      expect(
        order?.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
        what,
      ).toEqual(tree.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)))
      expect(await ourInfohash(tree, order?.files ?? []), what).toBe(theirs?.infohash)
    }
  }, 60_000)
})
