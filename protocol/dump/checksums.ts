/**
 * Checksum lists of a run (operations-dumps, dumps/checksummers.py): text lines `hex  name`, or JSON
 * `{"sha1":{"files":{"<name>":hex}}}`. SHA256SUMS of a Content File Export has the text form too.
 */
import { map, type Reader, record, ShapeError } from '../codec/shape.ts'
import type { Algorithm } from '../shard/shard.ts'
import { checkNames, isDigest } from './dump-status.ts'
import { isSafeFileName } from './file-name.ts'

/** enwiki's list has 1,318 names in 122 kB. */
export const CHECKSUM_LIST_LENGTH_MAX = 16 * 1024 * 1024
export const CHECKSUM_NAMES_MAX = 100_000

export interface ChecksumList {
  readonly algorithm: Algorithm
  /** File name -> lower-case hex. */
  readonly digests: ReadonlyMap<string, string>
  /** Lines that are no row of a list (a comment, a half-written last line): not used. */
  readonly ignoredLines: number
  /** Names listed with two different digests: not used, as nobody can tell which one holds. */
  readonly conflicting: readonly string[]
}

/** `hex  name`, or `hex *name` as binary mode writes it. */
const ROW = /^([0-9A-Fa-f]+) [ *](\S+)$/

/**
 * Reads the text form. Lines that are no row are counted and left out; a text without any row (an HTML error page) is
 * refused. Throws ShapeError.
 */
export function readChecksumText(value: unknown, path: string, algorithm: Algorithm): ChecksumList {
  if (typeof value !== 'string' || value.length > CHECKSUM_LIST_LENGTH_MAX) {
    throw new ShapeError(path, `text of at most ${CHECKSUM_LIST_LENGTH_MAX} characters`)
  }
  const rows: [string, string][] = []
  let ignoredLines = 0
  for (let start = 0; start < value.length; ) {
    const feed = value.indexOf('\n', start)
    const end = feed < 0 ? value.length : feed
    const line = value.slice(start, end).replace(/\r$/, '')
    start = end + 1
    if (line === '') continue
    const [, hex = '', name = ''] = ROW.exec(line) ?? []
    if (isDigest(algorithm, hex.toLowerCase()) && isSafeFileName(name)) rows.push([name, hex.toLowerCase()])
    else ignoredLines++
    if (rows.length > CHECKSUM_NAMES_MAX || ignoredLines > CHECKSUM_NAMES_MAX) {
      throw new ShapeError(path, `at most ${CHECKSUM_NAMES_MAX} lines`)
    }
  }
  if (rows.length === 0 && ignoredLines > 0) throw new ShapeError(path, `a list of ${algorithm} sums`)
  return { algorithm, ignoredLines, ...collect(rows) }
}

/** Reads the JSON form, already decoded. Throws ShapeError. */
export function readChecksumJson(value: unknown, path: string, algorithm: Algorithm): ChecksumList {
  const sums = record(record(value, path)[algorithm], `${path}.${algorithm}`)
  const readHex: Reader<string> = (hex, hexPath) => {
    if (typeof hex !== 'string' || !isDigest(algorithm, hex.toLowerCase())) {
      throw new ShapeError(hexPath, `${algorithm} in hex`)
    }
    return hex.toLowerCase()
  }
  checkNames(sums.files, `${path}.${algorithm}.files`, isSafeFileName)
  const digests = map(sums.files, `${path}.${algorithm}.files`, CHECKSUM_NAMES_MAX, readHex)
  return { algorithm, digests, ignoredLines: 0, conflicting: [] }
}

function collect(
  rows: readonly (readonly [string, string])[],
): Pick<ChecksumList, 'digests' | 'conflicting'> {
  const digests = new Map<string, string>()
  const conflicting = new Set<string>()
  for (const [name, hex] of rows) {
    if ((digests.get(name) ?? hex) !== hex) conflicting.add(name)
    digests.set(name, hex)
  }
  for (const name of conflicting) digests.delete(name)
  return { digests, conflicting: [...conflicting].sort() }
}
