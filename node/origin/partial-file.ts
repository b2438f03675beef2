/**
 * A partial download and its side file `<path>.meta.json`, which says which version of which file the bytes belong to, who gave them,
 * and how many of them are durable. The side file is written before the first byte, and the bytes are cut off before a side file of
 * another version is written. Both are replaced by rename, so a side file is old or new, never half.
 */
import { open, readFile, rm, stat, truncate } from 'node:fs/promises'
import { integer, list, record, text } from '../../protocol/codec/shape.ts'
import { FILE_BYTES_MAX } from '../../protocol/shard/paths.ts'
import { writeFileAtomic } from '../files/durable.ts'
import { isMissing } from '../system-error.ts'
import type { HttpResponse } from './http-client.ts'

/** How upstream names the version of a file (RFC 9110 8.8). */
export interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

export interface Meta extends Validators {
  /** Where the newest bytes came from. */
  readonly url: string
  readonly sizeBytes: number
  /** Labels of all sources that gave bytes. */
  readonly from: readonly string[]
  /** Bytes that a loss of power leaves. */
  readonly syncedBytes: number
  /** The machine's start in which the rest was written. */
  readonly boot: string
}

export interface Partial {
  readonly offset: number
  /** Null: nothing can be continued. */
  readonly meta: Meta | null
}

const META_BYTES_MAX = 8 * 1024
const FIELD_LENGTH_MAX = 2_048
const SOURCES_MAX = 32

export function metaPath(path: string): string {
  return `${path}.meta.json`
}

export function validatorsOf(response: HttpResponse): Validators {
  return { etag: response.header('etag'), lastModified: response.header('last-modified') }
}

/** True when both speak of the version and disagree; silence proves nothing. */
export function differ(a: Validators, b: Validators): boolean {
  if (a.etag !== null && b.etag !== null) return a.etag !== b.etag
  return a.lastModified !== null && b.lastModified !== null && a.lastModified !== b.lastModified
}

/** The value for If-Range: a strong etag, else the date (RFC 9110 13.1.5); null when the file cannot be continued safely. */
export function ifRange(validators: Validators): string | null {
  const { etag, lastModified } = validators
  return etag?.startsWith('"') === true ? etag : lastModified
}

/**
 * How many bytes are there, and of what. After a start of the machine only those that were synced count: the others may be zeros,
 * and are cut off. `anew`: what has no side file is not gone on from, not even when it has its whole size.
 */
export async function readPartial(
  path: string,
  sizeBytes: number,
  boot: string,
  anew = false,
): Promise<Partial> {
  const offset = await stat(path).then((facts) => facts.size, ignoreMissing(0))
  if (offset === 0) return { offset: 0, meta: null }
  const meta = await readMeta(path)
  if (meta === null && anew) return { offset: 0, meta: null }
  // A whole file without a side file was synced, and is the caller's to verify.
  if (offset === sizeBytes && (meta === null || meta.boot === boot)) return { offset, meta: null }
  if (meta === null || meta.sizeBytes !== sizeBytes || offset > sizeBytes) return { offset: 0, meta: null }
  if (meta.boot === boot) return { offset, meta }
  const durable = Math.min(offset, meta.syncedBytes)
  await truncate(path, durable)
  return { offset: durable, meta: durable === 0 ? null : meta }
}

/** Empties the file and notes the version of the bytes to come. */
export async function beginPartial(path: string, meta: Meta): Promise<void> {
  // Opened, not truncated: a folder that is gone, with its disk perhaps, is an error and not made anew.
  await (await open(path, 'w')).close()
  await writeMeta(path, meta)
}

/** The bytes that are there stay; what is known of them, or of those to come, changed. */
export async function writeMeta(path: string, meta: Meta): Promise<void> {
  await writeFileAtomic(metaPath(path), Buffer.from(JSON.stringify(meta)))
}

/** Throws the bytes away, then what was known of them. */
export async function dropPartial(path: string): Promise<void> {
  await truncate(path, 0).catch(ignoreMissing(undefined))
  await rm(metaPath(path), { force: true })
}

export async function readMeta(path: string): Promise<Meta | null> {
  try {
    const bytes = await readFile(metaPath(path))
    if (bytes.length > META_BYTES_MAX) return null
    const fields = record(JSON.parse(bytes.toString('utf8')), 'meta')
    const field = (name: string): string | null =>
      fields[name] === null ? null : text(fields[name], `meta.${name}`, FIELD_LENGTH_MAX)
    return {
      url: text(fields.url, 'meta.url', FIELD_LENGTH_MAX),
      sizeBytes: integer(fields.sizeBytes, 'meta.sizeBytes', 0, FILE_BYTES_MAX),
      etag: field('etag'),
      lastModified: field('lastModified'),
      from: list(fields.from, 'meta.from', SOURCES_MAX, (value, at) => text(value, at, FIELD_LENGTH_MAX)),
      syncedBytes: integer(fields.syncedBytes, 'meta.syncedBytes', 0, FILE_BYTES_MAX),
      boot: text(fields.boot, 'meta.boot', FIELD_LENGTH_MAX),
    }
  } catch {
    // Missing or of another form: the bytes cannot be trusted, so we begin anew.
    return null
  }
}

function ignoreMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isMissing(error)) return value
    throw error
  }
}
