/** What the metadata API says of an item, read with bounds; and how that compares with what the item should hold. */
import { list, optional, record, text } from '../../protocol/codec/shape.ts'
import { PATH_BYTES_MAX, SHARD_FILES_MAX } from '../../protocol/limits.ts'
import { ArchiveError } from './archive-error.ts'

export interface ExpectedFile {
  /** The key in the item: `20260101/tenwiki-....bz2`. */
  readonly path: string
  readonly sizeBytes: number
  readonly digests: { readonly md5: string; readonly sha1: string }
}

export interface ItemFile {
  readonly sizeBytes: number | null
  readonly md5: string | null
  readonly sha1: string | null
}

export interface ItemState {
  readonly exists: boolean
  readonly isDark: boolean
  /** Tasks are queued or running: what is shown may be older than what was accepted. */
  readonly isPending: boolean
  /** `wikiseed-shard` of its metadata. */
  readonly shard: string | null
  /** `ia800100.us.archive.org/12/items/<item>`: where its files lie below, without a redirect; null when it is not said. */
  readonly storage: string | null
  readonly files: ReadonlyMap<string, ItemFile>
}

/** Ours, the item's own XML files, and old versions. */
const FILES_MAX = 4 * SHARD_FILES_MAX

/** Reads the answer of `/metadata/<item>`; a missing item is `{}`. ArchiveError `bad-answer`. */
export function readItemState(item: string, body: Uint8Array): ItemState {
  try {
    const fields = record(JSON.parse(Buffer.from(body).toString('utf8')), item)
    const metadata = fields.metadata === undefined ? {} : record(fields.metadata, `${item}.metadata`)
    const shard = metadata['wikiseed-shard']
    return {
      exists: Object.keys(fields).length > 0,
      isDark: fields.is_dark === true || fields.is_dark === 'true',
      isPending: fields.pending_tasks === true || Array.isArray(fields.tasks),
      shard: typeof shard === 'string' ? shard : null,
      storage: storageOf(item, fields),
      files: new Map(
        optional(fields.files, `${item}.files`, (value, path) => list(value, path, FILES_MAX, readFile)) ??
          [],
      ),
    }
  } catch (error) {
    throw new ArchiveError('bad-answer', `the metadata of ${item} cannot be read`, { cause: error })
  }
}

/** It may go into torrents, so nothing but a host and a folder of this item is taken. */
function storageOf(item: string, { server, dir }: Readonly<Record<string, unknown>>): string | null {
  if (typeof server !== 'string' || typeof dir !== 'string') return null
  const isHost = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?$/.test(server)
  return isHost && /^\/[0-9]{1,4}\/items\/[^/]+$/.test(dir) && dir.endsWith(`/${item}`)
    ? `${server}${dir}`
    : null
}

/** Sizes are strings; a file that describes itself has none. */
function readFile(value: unknown, path: string): [string, ItemFile] {
  const fields = record(value, path)
  const digest = (name: string, digits: number) =>
    optional(fields[name], `${path}.${name}`, (found, at) => text(found, at, digits)) ?? null
  const size = typeof fields.size === 'number' ? String(fields.size) : fields.size
  return [
    text(fields.name, `${path}.name`, PATH_BYTES_MAX * 4),
    {
      sizeBytes: typeof size === 'string' && /^\d{1,15}$/.test(size) ? Number(size) : null,
      md5: digest('md5', 32),
      sha1: digest('sha1', 40),
    },
  ]
}

export type FileVerdict = 'same' | 'missing' | 'different'

/** md5, sha1 and size must all be equal; a row that does not show all of them yet counts as missing. */
export function compareFile(state: ItemState, expected: ExpectedFile): FileVerdict {
  const found = state.files.get(expected.path)
  if (found === undefined || found.sizeBytes === null || found.md5 === null || found.sha1 === null)
    return 'missing'
  const same =
    found.sizeBytes === expected.sizeBytes &&
    found.md5 === expected.digests.md5 &&
    found.sha1 === expected.digests.sha1
  return same ? 'same' : 'different'
}
