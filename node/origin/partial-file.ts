/**
 * A partial download and its side file `<path>.meta.json`, which says which version of which file the bytes belong to. The
 * side file is written before the first byte, and the bytes are cut off before a new side file is written.
 */
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { integer, record, text } from '../../protocol/codec/shape.ts'
import { FILE_BYTES_MAX } from '../../protocol/shard/paths.ts'
import type { HttpResponse } from './http-client.ts'

/** How upstream names the version of a file (RFC 9110 8.8). */
export interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

interface Meta extends Validators {
  readonly url: string
  readonly sizeBytes: number
}

const META_BYTES_MAX = 8 * 1024
const FIELD_LENGTH_MAX = 2_048

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

/** How many bytes are there, and of which version; 0 bytes when nothing can be continued. */
export async function readPartial(
  path: string,
  url: URL,
  sizeBytes: number,
): Promise<{ offset: number; validators: Validators }> {
  const nothing = { offset: 0, validators: { etag: null, lastModified: null } }
  const offset = await stat(path).then((facts) => facts.size, ignoreMissing(0))
  if (offset === 0) return nothing
  // A whole file is the caller's to verify, whoever wrote it.
  if (offset === sizeBytes) return { ...nothing, offset }
  const meta = await readMeta(path)
  const usable = meta !== null && meta.url === url.href && meta.sizeBytes === sizeBytes && offset < sizeBytes
  return usable && ifRange(meta) !== null ? { offset, validators: meta } : nothing
}

/** Empties the file and notes the version of the bytes to come. */
export async function beginPartial(
  path: string,
  url: URL,
  sizeBytes: number,
  validators: Validators,
): Promise<void> {
  await truncate(path, 0).catch(ignoreMissing(undefined))
  const meta: Meta = {
    url: url.href,
    sizeBytes,
    etag: validators.etag,
    lastModified: validators.lastModified,
  }
  await writeFile(metaPath(path), JSON.stringify(meta))
}

/** Throws the bytes away, then what was known of them. */
export async function dropPartial(path: string): Promise<void> {
  await truncate(path, 0).catch(ignoreMissing(undefined))
  await rm(metaPath(path), { force: true })
}

async function readMeta(path: string): Promise<Meta | null> {
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
    }
  } catch {
    // Missing, half-written or of another form: all mean that the bytes cannot be trusted, so we begin anew.
    return null
  }
}

function ignoreMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value
    throw error
  }
}
