/**
 * A held copy as it lies in a folder: the three metadata files (PROTOCOL 2) say which files belong to it. Nothing in them is
 * believed further than it goes together: names are plain names, and the shard's digest must give the folder's name.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { integer, map, record, ShapeError, text } from '../../protocol/codec/shape.ts'
import { isSafeFileName } from '../../protocol/dump/file-name.ts'
import { isShardId, parseShardId, type ShardId } from '../../protocol/ids.ts'
import { SHARD_FILES_MAX, STATUS_JSON_BYTES_MAX } from '../../protocol/limits.ts'
import { makeShard } from '../../protocol/shard/make-shard.ts'
import { hashJson, readmeText } from '../../protocol/shard/metadata-files.ts'
import { FILE_BYTES_MAX, fileNameOf } from '../../protocol/shard/paths.ts'
import { ALGORITHMS, type Algorithm, type FullDigests, type Shard } from '../../protocol/shard/shard.ts'

export const METADATA_FOLDER = /^wikiseed-([0-9a-f]{8})$/
const HASH_JSON_BYTES_MAX = 16 * 1024 * 1024

export interface BundleFile {
  /** Relative to the torrent's name. */
  readonly path: string
  readonly sizeBytes: number
  readonly digests: FullDigests
}

export interface Bundle {
  /** Name of its metadata folder: `wikiseed-0a1b2c3d`. */
  readonly folder: string
  readonly id: ShardId
  /** By file name. */
  readonly files: ReadonlyMap<string, BundleFile>
  /** The shard that gives this folder's name; null when none does: then the metadata was changed. */
  readonly shard: Shard | null
  /** Metadata files that are not what follows from the shard. */
  readonly altered: readonly string[]
}

/** All bundles of one run's folder; parts of a big run lie side by side. `broken` names folders without a readable HASH.json. */
export async function readBundles(
  runFolder: string,
): Promise<{ bundles: Bundle[]; broken: { path: string; reason: string }[] }> {
  const bundles: Bundle[] = []
  const broken: { path: string; reason: string }[] = []
  const names = await readdir(runFolder)
  for (const name of names.filter((one) => METADATA_FOLDER.test(one)).sort()) {
    try {
      bundles.push(await readBundle(runFolder, name))
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unreadable'
      broken.push({ path: `${name}/HASH.json`, reason })
    }
  }
  return { bundles, broken }
}

async function readBundle(runFolder: string, folder: string): Promise<Bundle> {
  const hashText = await readBounded(join(runFolder, folder, 'HASH.json'), HASH_JSON_BYTES_MAX)
  const fields = record(JSON.parse(hashText), 'HASH', ['files', 'shard', 'version'])
  const id = text(fields.shard, 'HASH.shard', 128)
  if (!isShardId(id)) throw new ShapeError('HASH.shard', 'a shard id')
  const rows = map(fields.files, 'HASH.files', SHARD_FILES_MAX, (value, path) => {
    const row = record(value, path, ['md5', 'sha1', 'sha256', 'size'])
    const digest = (name: Algorithm) => text(row[name], `${path}.${name}`, 64)
    return {
      sizeBytes: integer(row.size, `${path}.size`, 0, FILE_BYTES_MAX),
      digests: { md5: digest('md5'), sha1: digest('sha1'), sha256: digest('sha256') },
    }
  })
  const files = new Map<string, BundleFile>()
  for (const [path, row] of rows) {
    const name = fileNameOf(path)
    if (!isSafeFileName(name)) throw new ShapeError('HASH.files', 'plain file names')
    files.set(name, { path, ...row })
  }
  const status = await readBounded(join(runFolder, folder, 'STATUS.json'), STATUS_JSON_BYTES_MAX).catch(
    () => null,
  )
  const readme = await readBounded(join(runFolder, folder, 'README.txt'), HASH_JSON_BYTES_MAX).catch(
    () => null,
  )
  const shard = status === null ? null : findShard(id, [...files.values()], status, folder.slice(-8))
  const altered: string[] = []
  if (shard === null) altered.push(`${folder}/STATUS.json`)
  else {
    const digests = new Map([...files.values()].map((file) => [file.path, file.digests]))
    if (hashJson(shard, digests) !== hashText) altered.push(`${folder}/HASH.json`)
    if (readmeText(shard) !== readme) altered.push(`${folder}/README.txt`)
  }
  return { folder, id, files, shard, altered }
}

/** Which digests upstream knew is not written in HASH.json; the folder's name tells. */
const KNOWN: readonly (readonly Algorithm[])[] = [
  ['md5', 'sha1'],
  ['sha1'],
  ['md5'],
  ['sha256'],
  ALGORITHMS,
  ['sha1', 'sha256'],
  ['md5', 'sha256'],
]

function findShard(
  id: ShardId,
  files: readonly BundleFile[],
  statusJson: string,
  digest8: string,
): Shard | null {
  const inOrder = [...files].sort((a, b) => (a.path < b.path ? -1 : 1))
  for (const known of KNOWN) {
    try {
      const shard = makeShard({
        ...parseShardId(id),
        files: inOrder.map(({ path, sizeBytes, digests }) => ({
          path,
          sizeBytes,
          digests: Object.fromEntries(known.map((algorithm) => [algorithm, digests[algorithm]])),
        })),
        statusJson,
        bundleVersion: 1,
      })
      if (shard.digest.startsWith(digest8)) return shard
    } catch (error) {
      if (error instanceof ShapeError) return null
      throw error
    }
  }
  return null
}

async function readBounded(path: string, bytesMax: number): Promise<string> {
  const { size } = await stat(path)
  if (size > bytesMax) throw new ShapeError(path, `at most ${bytesMax} bytes`)
  return readFile(path, 'utf8')
}
