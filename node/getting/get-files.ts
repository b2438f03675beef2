/**
 * Files of a published run to disk (`wikiseed get`), each from one source after the other until it is whole: every digest of the signed
 * manifest is held against the bytes before a file gets its name. What is whole already is not fetched again, what one source left
 * partial the next goes on from.
 */
import { mkdir, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parseShardId } from '../../protocol/ids.ts'
import type { MergedManifestFile, MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { runFolder, torrentName } from '../../protocol/shard/paths.ts'
import { diskSpace, roomOf, sizeOf } from '../files/disk.ts'
import { moveFile } from '../files/durable.ts'
import { safeJoin } from '../files/layout.ts'
import { metaPath } from '../origin/partial-file.ts'
import type { Hasher } from '../ports.ts'
import { differs } from '../transfer/build-shard.ts'
import { type FileOptions, type FileSource, GetError, type SourceKind } from './file-source.ts'

export interface WantedFile {
  readonly shard: MergedManifestShard
  readonly file: MergedManifestFile
}

/** What became of one file. `here`: it was whole before. */
export type GotFile = {
  /** Relative to the folder: `fatwiki/20240920/fatwiki-....bz2`. */
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
} & (
  | { readonly state: 'here' }
  | { readonly state: 'fetched'; readonly from: SourceKind; readonly source: string }
  /** Why not, one line for each source. */
  | { readonly state: 'missing'; readonly reasons: readonly string[] }
)

export interface GetOptions {
  /** Files come to lie in it as upstream lays them out: `<wiki>/<date>/<file>`. */
  readonly to: string
  /** In the order in which they are asked. */
  readonly sources: readonly FileSource[]
  readonly hasher: Hasher
  readonly onProgress?: (progress: GetProgress) => void
  readonly signal?: AbortSignal
}

export interface GetProgress {
  readonly path: string
  readonly doing: 'checking' | 'fetching'
  readonly source: string | null
  readonly doneBytes: number
  readonly sizeBytes: number
  /** Of all files. */
  readonly allDoneBytes: number
  readonly allBytes: number
}

/** Where a file of the manifest comes to lie below the folder. Throws GetError for a path that is none of its shard's. */
export function placeOf({ shard, file }: WantedFile): string {
  const run = parseShardId(shard.id)
  if (shard.name !== torrentName(run) || !file.path.startsWith(`${runFolder(run)}/`))
    throw new GetError(`${shard.id}: not a path of this run: ${JSON.stringify(file.path.slice(0, 200))}`)
  return `${shard.name}/${file.path}`
}

/** Rejects with the file system's error, and with GetError for a manifest that names paths of elsewhere. */
export async function getFiles(wanted: readonly WantedFile[], options: GetOptions): Promise<GotFile[]> {
  const { to, signal } = options
  await mkdir(to, { recursive: true })
  const places = wanted.map((one) => ({ ...one, path: placeOf(one) }))
  await refuseFullDisk(places, to)
  const allBytes = wanted.reduce((sum, { file }) => sum + file.size, 0)
  let allDoneBytes = 0
  const got: GotFile[] = []
  for (const place of places) {
    signal?.throwIfAborted()
    const report = (doing: GetProgress['doing'], source: string | null, doneBytes: number) =>
      options.onProgress?.({
        path: place.path,
        doing,
        source,
        doneBytes,
        sizeBytes: place.file.size,
        allDoneBytes: allDoneBytes + doneBytes,
        allBytes,
      })
    got.push(await getFile(place, options, report))
    allDoneBytes += place.file.size
  }
  return got
}

type Place = WantedFile & { readonly path: string }
type Report = (doing: GetProgress['doing'], source: string | null, doneBytes: number) => void

async function getFile(place: Place, options: GetOptions, report: Report): Promise<GotFile> {
  const { shard, file, path } = place
  const facts = { path, sizeBytes: file.size, sha256: file.sha256 }
  const target = safeJoin(options.to, path)
  if ((await sizeOf(target)) === file.size) {
    report('checking', null, 0)
    if ((await wrong(target, file, options)) === null) return { ...facts, state: 'here' }
  }
  await mkdir(dirname(target), { recursive: true })
  const part = `${target}.part`
  const reasons: string[] = []
  const wholeOnly: FileSource[] = []
  let before: FileOptions['before'] = 'believe'
  const ask = async (source: FileSource): Promise<boolean> => {
    for (;;) {
      const tried = await attempt(source, before, place, part, options, report)
      if (tried.why === null) return true
      const isOver = !tried.isWrong || before !== 'believe' || tried.isAlone
      if (tried.isWrong && before === 'believe') before = 'doubt'
      if (tried.isWholeOnly) wholeOnly.push(source)
      if (!isOver) continue
      reasons.push(`${source.name}: ${tried.why}`)
      return false
    }
  }
  const done = async (source: FileSource): Promise<GotFile> => {
    await rm(metaPath(part), { force: true })
    await moveFile(part, target)
    return { ...facts, state: 'fetched', from: source.kind, source: source.name }
  }
  for (const source of options.sources)
    if (source.offers(shard, file) && (await ask(source))) return done(source)
  before = 'replace'
  for (const source of wholeOnly.splice(0)) if (await ask(source)) return done(source)
  return { ...facts, state: 'missing', reasons: reasons.length > 0 ? reasons : ['nobody offers it'] }
}

interface Tried {
  /** Null: the whole file lies at `part`. */
  readonly why: string | null
  /** All bytes came, and they are wrong. */
  readonly isWrong: boolean
  /** No byte of it came from elsewhere. */
  readonly isAlone: boolean
  readonly isWholeOnly: boolean
}

/** One source, once. */
async function attempt(
  source: FileSource,
  before: FileOptions['before'],
  { shard, file }: Place,
  part: string,
  options: GetOptions,
  report: Report,
): Promise<Tried> {
  const { signal } = options
  const there = Math.min(await sizeOf(part), file.size)
  const outcome = { isWrong: false, isAlone: there === 0, isWholeOnly: false }
  let done = before === 'replace' ? 0 : there
  const onBytes = (count: number) => {
    done = Math.min(done + count, file.size)
    report('fetching', source.name, done)
  }
  report('fetching', source.name, done)
  try {
    await source.fetch(shard, file, part, { before, onBytes, signal })
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof GetError)) throw error
    return { ...outcome, why: error.message, isWholeOnly: error.isWholeOnly }
  }
  report('checking', source.name, file.size)
  const why = await wrong(part, file, options)
  if (why === null) return { ...outcome, why }
  return { ...outcome, isWrong: true, why: `what it gave is not the file: ${why}` }
}

/** Why the bytes are not those of the manifest, or null. */
async function wrong(path: string, file: MergedManifestFile, options: GetOptions): Promise<string | null> {
  const { hasher, signal } = options
  const { files } = await hasher.hash([path], signal === undefined ? {} : { signal })
  return differs(file.size, file, files[0])
}

async function refuseFullDisk(places: readonly Place[], to: string): Promise<void> {
  let needed = 0
  for (const { file, path } of places) {
    const target = safeJoin(to, path)
    const there = Math.max(await sizeOf(target), await roomOf(`${target}.part`))
    needed += Math.max(0, file.size - there)
  }
  const { freeBytes } = await diskSpace(resolve(to))
  if (needed > freeBytes)
    throw new Error(`${resolve(to)} has room for ${freeBytes} bytes, but ${needed} bytes are still to come`)
}
