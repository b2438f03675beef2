/** What upstream's own files in a run's folder say: dumpstatus.json and the checksum lists. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChecksumList, readChecksumText } from '../../protocol/dump/checksums.ts'
import { type DumpStatus, readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { DUMP_STATUS_BYTES_MAX } from '../../protocol/limits.ts'
import type { Algorithm } from '../../protocol/shard/shard.ts'

const LIST_NAME = /^(?:[a-z0-9_]+-\d{8}-)?(md5|sha1|sha256)sums\.txt$|^(SHA256)SUMS$/i
const OTHER_NAMES =
  /^(?:dumpstatus\.json|(?:[a-z0-9_]+-\d{8}-)?(?:md5|sha1)sums\.(?:txt|json)|SHA256SUMS|_SUCCESS|index\.html|report\.json|.*-rss\.xml)$/i

/** Files that upstream puts beside a run's dumps, which are no part of it. */
export function isUpstreamList(name: string): boolean {
  return OTHER_NAMES.test(name)
}

/** null when there is none. Throws ShapeError or SyntaxError when it is not a dumpstatus.json. */
export async function readFolderStatus(folder: string): Promise<DumpStatus | null> {
  const bytes = await readBounded(join(folder, 'dumpstatus.json'))
  return bytes === null ? null : readDumpStatus(JSON.parse(bytes), 'dumpstatus.json')
}

/** Throws ShapeError when one of them is no list. */
export async function readFolderLists(folder: string): Promise<ChecksumList[]> {
  const lists: ChecksumList[] = []
  for (const name of (await readdir(folder)).sort()) {
    const match = LIST_NAME.exec(name)
    const algorithm = (match?.[1] ?? match?.[2])?.toLowerCase() as Algorithm | undefined
    const text = algorithm === undefined ? null : await readBounded(join(folder, name))
    if (algorithm !== undefined && text !== null) lists.push(readChecksumText(text, name, algorithm))
  }
  return lists
}

async function readBounded(path: string): Promise<string | null> {
  const size = await stat(path).then(
    (stats) => stats.size,
    () => null,
  )
  if (size === null) return null
  if (size > DUMP_STATUS_BYTES_MAX)
    throw new RangeError(`${path} is larger than ${DUMP_STATUS_BYTES_MAX} bytes`)
  return readFile(path, 'utf8')
}
