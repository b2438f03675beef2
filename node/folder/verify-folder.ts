/** Holds files on disk to what is known of them: a held copy's HASH.json, else upstream's status and checksum lists. */
import { lstat, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { isSafeFileName } from '../../protocol/dump/file-name.ts'
import { ALGORITHMS, type Algorithm, type Digests } from '../../protocol/shard/shard.ts'
import { UserError } from '../commands/user-error.ts'
import type { Hasher } from '../ports.ts'
import { METADATA_FOLDER, readBundles } from './bundle.ts'
import { isUpstreamList, readFolderLists, readFolderStatus } from './upstream-lists.ts'

/** `foreign`: nothing is known of it. */
export type FileVerdict = 'whole' | 'altered' | 'truncated' | 'missing' | 'foreign'

export interface VerifiedFile {
  /** Absolute. */
  readonly path: string
  readonly verdict: FileVerdict
  /** Why, for people; empty when it is whole. */
  readonly detail: string
}

interface Expected {
  /** null: only a checksum list knows the file. */
  readonly sizeBytes: number | null
  readonly digests: Digests
}

interface Knowledge {
  readonly files: ReadonlyMap<string, Expected>
  /** Metadata files that are not right, with the reason. */
  readonly broken: readonly { readonly path: string; readonly reason: string }[]
  readonly metadata: readonly string[]
}

const DEPTH_MAX = 6
const ENTRIES_MAX = 200_000

/** A run's folder, a folder of runs, or one file. Rejects with UserError when nothing is known there. */
export async function verifyPath(path: string, hasher: Hasher): Promise<VerifiedFile[]> {
  const full = resolve(path)
  const stats = await stat(full).catch((error: unknown) => {
    throw new UserError(`${full} cannot be read`, { cause: error })
  })
  if (!stats.isDirectory()) return verifyFile(full, hasher)
  const folders = await runFoldersBelow(full)
  if (folders.length === 0) {
    throw new UserError(
      `${full}: nothing is known of what lies there: no HASH.json, dumpstatus.json or checksum list`,
    )
  }
  const out: VerifiedFile[] = []
  for (const { folder, known } of folders) out.push(...(await verifyRun(folder, known, hasher)))
  return out
}

async function verifyFile(path: string, hasher: Hasher): Promise<VerifiedFile[]> {
  const folder = dirname(path)
  const known = await knowledgeOf(folder)
  const name = basename(path)
  const expected = known?.files.get(name)
  if (known === null || expected === undefined) {
    return [{ path, verdict: 'foreign', detail: 'no list beside it names this file' }]
  }
  return check(folder, new Map([[name, expected]]), hasher)
}

async function verifyRun(folder: string, known: Knowledge, hasher: Hasher): Promise<VerifiedFile[]> {
  const out = await check(folder, known.files, hasher)
  for (const { path, reason } of known.broken)
    out.push({ path: join(folder, path), verdict: 'altered', detail: reason })
  for (const path of known.metadata) out.push({ path: join(folder, path), verdict: 'whole', detail: '' })
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const { name } = entry
    if (entry.isDirectory() || known.files.has(name) || isUpstreamList(name)) continue
    out.push({ path: join(folder, name), verdict: 'foreign', detail: 'it is no part of this run' })
  }
  return out.sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function check(
  folder: string,
  files: ReadonlyMap<string, Expected>,
  hasher: Hasher,
): Promise<VerifiedFile[]> {
  const out: VerifiedFile[] = []
  for (const [name, expected] of files) {
    const path = join(folder, name)
    const { verdict, detail } = await judge(path, expected, hasher)
    out.push({ path, verdict, detail })
  }
  return out
}

async function judge(path: string, expected: Expected, hasher: Hasher): Promise<Omit<VerifiedFile, 'path'>> {
  const stats = await lstat(path).catch(() => null)
  if (stats === null) return { verdict: 'missing', detail: 'it is not there' }
  if (!stats.isFile()) return { verdict: 'altered', detail: 'it is no plain file' }
  const { sizeBytes } = expected
  if (sizeBytes !== null && stats.size !== sizeBytes) {
    const verdict = stats.size < sizeBytes ? 'truncated' : 'altered'
    return { verdict, detail: `${stats.size} bytes, should be ${sizeBytes}` }
  }
  const { files } = await hasher.hash([path])
  const digests = files[0]?.digests
  for (const algorithm of ALGORITHMS) {
    const wanted = expected.digests[algorithm]
    if (wanted !== undefined && digests?.[algorithm] !== wanted) {
      return { verdict: 'altered', detail: `${algorithm} ${digests?.[algorithm]}, should be ${wanted}` }
    }
  }
  return { verdict: 'whole', detail: '' }
}

/** null when nothing is known of this folder. Rejects with UserError when upstream's lists are not readable. */
async function knowledgeOf(folder: string): Promise<Knowledge | null> {
  const { bundles, broken } = await readBundles(folder)
  if (bundles.length + broken.length > 0) {
    const files = new Map<string, Expected>()
    for (const bundle of bundles) for (const [name, file] of bundle.files) files.set(name, file)
    const altered = bundles.flatMap((bundle) =>
      bundle.altered.map((path) => ({ path, reason: 'not what goes with the name of its folder' })),
    )
    const all = bundles.flatMap(({ folder: name }) =>
      ['HASH.json', 'STATUS.json', 'README.txt'].map((one) => `${name}/${one}`),
    )
    const bad = new Set(altered.map(({ path }) => path))
    return { files, broken: [...broken, ...altered], metadata: all.filter((path) => !bad.has(path)) }
  }
  try {
    const files = new Map<string, Expected>()
    for (const { algorithm, digests } of await readFolderLists(folder)) {
      for (const [name, hex] of digests) add(files, name, null, algorithm, hex)
    }
    for (const job of (await readFolderStatus(folder))?.jobs.values() ?? []) {
      if (job.state !== 'done') continue
      for (const [name, { sizeBytes, digests }] of job.files) {
        if (sizeBytes === undefined) continue
        files.set(name, { sizeBytes, digests: { ...files.get(name)?.digests, ...digests } })
      }
    }
    return files.size === 0 ? null : { files, broken: [], metadata: [] }
  } catch (error) {
    if (!(error instanceof ShapeError || error instanceof SyntaxError)) throw error
    throw new UserError(`${folder}: upstream's lists are not readable: ${error.message}`, { cause: error })
  }
}

function add(
  files: Map<string, Expected>,
  name: string,
  sizeBytes: number | null,
  algorithm: Algorithm,
  hex: string,
): void {
  if (!isSafeFileName(name)) return
  const before = files.get(name)
  files.set(name, {
    sizeBytes: before?.sizeBytes ?? sizeBytes,
    digests: { ...before?.digests, [algorithm]: hex },
  })
}

/** Folders of which something is known, this one or below it; links are not followed. */
async function runFoldersBelow(start: string): Promise<{ folder: string; known: Knowledge }[]> {
  const found: { folder: string; known: Knowledge }[] = []
  const waiting = [{ folder: start, depth: 0 }]
  let entries = 0
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    const { folder, depth } = at
    const known = await knowledgeOf(folder)
    if (known !== null) found.push({ folder, known })
    if (depth >= DEPTH_MAX) continue
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (++entries > ENTRIES_MAX) throw new UserError(`${start} holds more than ${ENTRIES_MAX} files`)
      if (entry.isDirectory() && !METADATA_FOLDER.test(entry.name)) {
        waiting.push({ folder: join(folder, entry.name), depth: depth + 1 })
      }
    }
  }
  return found.sort((a, b) => (a.folder < b.folder ? -1 : 1))
}
