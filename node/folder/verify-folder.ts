/**
 * Holds files on disk to what is known of them: a held copy's HASH.json, else upstream's status and checksum lists. Digests
 * decide where there are any; the form of a file is told beside them, and judges alone where there are none.
 */
import { lstat, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { isSafeFileName } from '../../protocol/dump/file-name.ts'
import { ALGORITHMS, type Algorithm, type Digests } from '../../protocol/shard/shard.ts'
import { UserError } from '../commands/user-error.ts'
import type { Hasher } from '../ports.ts'
import { kindOf } from '../structure/check.ts'
import type { Finding } from '../structure/finding.ts'
import { METADATA_FOLDER, readBundles } from './bundle.ts'
import { isUpstreamList, readFolderLists, readFolderStatus } from './upstream-lists.ts'

/** `foreign`: nothing is known of it. */
export type FileVerdict = 'whole' | 'altered' | 'truncated' | 'missing' | 'foreign'

export interface VerifiedFile {
  /** Absolute. */
  readonly path: string
  readonly verdict: FileVerdict
  /** What the verdict rests on; `structure`: nobody knows a digest of it. null: on neither. */
  readonly by: 'digests' | 'structure' | null
  /** The first byte at or after which it is broken, as far as that can be told; null when it cannot, or it is not. */
  readonly offsetBytes: number | null
  /** Why, for people; empty when there is nothing to say. */
  readonly detail: string
  /** What its form says, whatever the digests say: upstream publishes broken files too. null: not looked at. */
  readonly structure: Finding | null
}

export interface VerifyOptions {
  readonly hasher: Hasher
  /** Also unpack each file. Without it, a file of which no digest is known is foreign. */
  readonly structure: boolean
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

/** A run's folder, a folder of runs or of files, or one file. Rejects with UserError when nothing is known there. */
export async function verifyPath(path: string, options: VerifyOptions): Promise<VerifiedFile[]> {
  const full = resolve(path)
  const stats = await stat(full).catch((error: unknown) => {
    throw new UserError(`${full} cannot be read`, { cause: error })
  })
  if (!stats.isDirectory()) return [await verifyFile(full, options)]
  const { runs, others } = await foldersBelow(full)
  const judged = options.structure ? others : []
  if (runs.length === 0 && judged.length === 0) {
    const lists = `${full}: nothing is known of what lies there: no HASH.json, dumpstatus.json or checksum list`
    throw new UserError(options.structure ? `${lists}, and no file with a form that could be checked` : lists)
  }
  const out: VerifiedFile[] = []
  for (const { folder, known } of runs) out.push(...(await verifyRun(folder, known, options)))
  for (const file of judged) out.push(await judgeByForm(file, options))
  return out.sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function verifyFile(path: string, options: VerifyOptions): Promise<VerifiedFile> {
  const known = await knowledgeOf(dirname(path))
  const expected = known?.files.get(basename(path))
  if (expected !== undefined) return judge(path, expected, options)
  if (known === null) return judgeByForm(path, options)
  return foreign(path, 'the lists beside it do not name this file', await formOf(path, options))
}

async function verifyRun(folder: string, known: Knowledge, options: VerifyOptions): Promise<VerifiedFile[]> {
  const out: VerifiedFile[] = []
  for (const [name, expected] of known.files) out.push(await judge(join(folder, name), expected, options))
  const metadata = { by: 'digests', offsetBytes: null, structure: null } as const
  for (const { path, reason } of known.broken)
    out.push({ ...metadata, path: join(folder, path), verdict: 'altered', detail: reason })
  for (const path of known.metadata)
    out.push({ ...metadata, path: join(folder, path), verdict: 'whole', detail: '' })
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const { name } = entry
    if (entry.isDirectory() || known.files.has(name) || isUpstreamList(name)) continue
    const path = join(folder, name)
    out.push(foreign(path, 'it is no part of this run', await formOf(path, options)))
  }
  return out
}

/** By size and digests; the form says where it is broken, and is told also when the digests are right. */
async function judge(path: string, expected: Expected, options: VerifyOptions): Promise<VerifiedFile> {
  const file = { path, by: 'digests', offsetBytes: null, structure: null } as const
  const stats = await lstat(path).catch(() => null)
  if (stats === null) return { ...file, verdict: 'missing', detail: 'it is not there' }
  if (!stats.isFile()) return { ...file, verdict: 'altered', detail: 'it is no plain file' }
  const { sizeBytes } = expected
  if (sizeBytes !== null && stats.size < sizeBytes) {
    const detail = `${stats.size} bytes, should be ${sizeBytes}`
    return { ...file, verdict: 'truncated', offsetBytes: stats.size, detail }
  }
  const { files } = await options.hasher.hash([path], { structure: options.structure })
  const [facts] = files
  const structure = facts?.finding ?? null
  const offsetBytes = structure?.state === 'bad' ? structure.offsetBytes : null
  const wrong = { ...file, structure, offsetBytes, verdict: 'altered' } as const
  if (sizeBytes !== null && facts?.sizeBytes !== sizeBytes) {
    return {
      ...wrong,
      offsetBytes: offsetBytes ?? sizeBytes,
      detail: `${facts?.sizeBytes} bytes, should be ${sizeBytes}`,
    }
  }
  for (const algorithm of ALGORITHMS) {
    const wanted = expected.digests[algorithm]
    if (wanted !== undefined && facts?.digests[algorithm] !== wanted) {
      const detail = `${algorithm} ${facts?.digests[algorithm]}, should be ${wanted}${brokenForm(structure)}`
      // Only a checksum list knows it: that it is cut short is seen by its form alone.
      const cut = sizeBytes === null && offsetBytes === facts?.sizeBytes
      return { ...wrong, verdict: cut ? 'truncated' : 'altered', detail }
    }
  }
  const detail = structure?.state === 'bad' ? `as upstream published it${brokenForm(structure)}` : ''
  return { ...file, structure, verdict: 'whole', offsetBytes, detail }
}

/** A file of which no digest is known. */
async function judgeByForm(path: string, options: VerifyOptions): Promise<VerifiedFile> {
  const structure = await formOf(path, options)
  if (structure === null || structure.state === 'unknown') {
    return foreign(path, 'no digest of it is known', structure)
  }
  const file = { path, by: 'structure', structure } as const
  if (structure.state === 'ok') {
    const detail = 'structure whole, but nothing to compare its bytes with'
    return { ...file, verdict: 'whole', offsetBytes: null, detail }
  }
  const { offsetBytes, detail } = structure
  const isCut = offsetBytes === (await stat(path)).size
  return { ...file, verdict: isCut ? 'truncated' : 'altered', offsetBytes, detail }
}

function foreign(path: string, why: string, structure: Finding | null): VerifiedFile {
  const offsetBytes = structure?.state === 'bad' ? structure.offsetBytes : null
  const detail = `${why}${structure === null ? '' : `; ${words(structure)}`}`
  return { path, verdict: 'foreign', by: null, offsetBytes, detail, structure }
}

async function formOf(path: string, { hasher, structure }: VerifyOptions): Promise<Finding | null> {
  if (!structure) return null
  if (kindOf(basename(path)) === null || !(await lstat(path)).isFile()) return null
  const { files } = await hasher.hash([path], { structure })
  return files[0]?.finding ?? null
}

function words(finding: Finding): string {
  switch (finding.state) {
    case 'ok':
      return 'its structure is whole'
    case 'bad':
      return `its structure is broken: ${finding.detail}`
    case 'unknown':
      return `its structure cannot be judged: ${finding.detail}`
  }
}

function brokenForm(finding: Finding | null): string {
  return finding?.state === 'bad' ? `; ${words(finding)}` : ''
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

/** Folders of which something is known, this one or below it, and all files elsewhere; links are not followed. */
async function foldersBelow(
  start: string,
): Promise<{ runs: { folder: string; known: Knowledge }[]; others: string[] }> {
  const runs: { folder: string; known: Knowledge }[] = []
  const others: string[] = []
  const waiting = [{ folder: start, depth: 0 }]
  let entries = 0
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    const { folder, depth } = at
    const known = await knowledgeOf(folder)
    if (known !== null) runs.push({ folder, known })
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (++entries > ENTRIES_MAX) throw new UserError(`${start} holds more than ${ENTRIES_MAX} files`)
      const path = join(folder, entry.name)
      if (known === null && entry.isFile() && kindOf(entry.name) !== null) others.push(path)
      if (depth < DEPTH_MAX && entry.isDirectory() && !METADATA_FOLDER.test(entry.name)) {
        waiting.push({ folder: path, depth: depth + 1 })
      }
    }
  }
  return { runs, others }
}
