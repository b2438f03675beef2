/** dag-cbor in bounded size and depth: the form of everything that nodes sign or ask each other. */
import { decode, encode } from '@ipld/dag-cbor'
import { CODEC_DEPTH_MAX } from '../limits.ts'
import { concatBytes, equalBytes, utf8ToBytes } from './bytes.ts'
import { ShapeError } from './shape.ts'

export function encodeCbor(value: unknown): Uint8Array {
  // A copy: the encoder writes into a buffer that it uses again.
  return new Uint8Array(encode(value))
}

/**
 * Decodes canonical dag-cbor. Throws ShapeError on anything else, on more than `bytesMax` bytes and on nesting beyond
 * CODEC_DEPTH_MAX, which is checked in linear time before the decoder recurses.
 */
export function decodeCbor(bytes: Uint8Array, path: string, bytesMax: number): unknown {
  if (bytes.length > bytesMax) throw new ShapeError(path, `at most ${bytesMax} bytes`)
  checkNesting(bytes, path)
  let value: unknown
  try {
    value = decode(bytes)
  } catch {
    throw new ShapeError(path, 'dag-cbor')
  }
  return value
}

/**
 * The same for a map of which one field is a long list: the map with that list left empty, and its items, each decoded when its turn
 * comes. A catalog of 10,000 shards, decoded at once, takes 50 MiB that a process never gives back. The items throw ShapeError, too.
 */
export function decodeCborList(
  bytes: Uint8Array,
  path: string,
  bytesMax: number,
  field: string,
): { readonly map: unknown; readonly count: number; readonly items: Iterable<unknown> } {
  if (bytes.length > bytesMax) throw new ShapeError(path, `at most ${bytesMax} bytes`)
  checkNesting(bytes, path)
  const from = fieldAt(bytes, field)
  if (from === null || (bytes[from] ?? 0) >> 5 !== LIST) throw new ShapeError(`${path}.${field}`, 'a list')
  const count = argumentAt(bytes, from)
  const first = from + headBytes(bytes, from)
  const end = itemEnd(bytes, from)
  // The shortest of the forms that say this number, as the decoder demands of the rest.
  const shortest = count < 24 ? 1 : count < 2 ** 8 ? 2 : count < 2 ** 16 ? 3 : 5
  if (first - from !== shortest) throw new ShapeError(path, 'dag-cbor')
  const map = decodeCbor(
    concatBytes(bytes.subarray(0, from), Uint8Array.of(EMPTY_LIST), bytes.subarray(end)),
    path,
    bytesMax,
  )
  return { map, count, items: itemsFrom(bytes, first, count, `${path}.${field}`) }
}

function* itemsFrom(bytes: Uint8Array, first: number, count: number, path: string): Generator<unknown> {
  for (let at = first, i = 0; i < count; i++) {
    const end = itemEnd(bytes, at)
    yield decodeCbor(bytes.subarray(at, end), `${path}[${i}]`, end - at)
    at = end
  }
}

/** Major types (RFC 8949, 3.1). */
const [BYTES, TEXT, LIST, MAP] = [2, 3, 4, 5]
const EMPTY_LIST = 0x80

/** Where the value of this field of the map begins; null when there is none. Nesting was checked. */
function fieldAt(bytes: Uint8Array, field: string): number | null {
  if ((bytes[0] ?? 0) >> 5 !== MAP) return null
  const name = utf8ToBytes(field)
  let at = headBytes(bytes, 0)
  for (let pairs = argumentAt(bytes, 0); pairs > 0; pairs--) {
    const end = itemEnd(bytes, at)
    const key = bytes.subarray(at + headBytes(bytes, at), end)
    if ((bytes[at] ?? 0) >> 5 === TEXT && equalBytes(key, name)) return end
    at = itemEnd(bytes, end)
  }
  return null
}

/** Where the item that begins here ends. */
function itemEnd(bytes: Uint8Array, from: number): number {
  let at = from
  for (let left = 1; left > 0; left--) {
    const major = (bytes[at] ?? 0) >> 5
    const argument = argumentAt(bytes, at)
    at += headBytes(bytes, at)
    if (major === BYTES || major === TEXT) at += argument
    else if (major === LIST) left += argument
    else if (major === MAP) left += argument * 2
  }
  return at
}

function headBytes(bytes: Uint8Array, at: number): number {
  const info = (bytes[at] ?? 0) & 31
  return info < 24 ? 1 : 1 + (1 << (info - 24))
}

function argumentAt(bytes: Uint8Array, at: number): number {
  const info = (bytes[at] ?? 0) & 31
  if (info < 24) return info
  let argument = 0
  for (let i = 1; i < headBytes(bytes, at); i++) argument = argument * 256 + (bytes[at + i] ?? 0)
  return argument
}

/** Walks the item heads (RFC 8949, 3) and refuses deep nesting, tags, and counts beyond the bytes that are left. */
function checkNesting(bytes: Uint8Array, path: string): void {
  const open: number[] = []
  let at = 0
  let roots = 0
  while (at < bytes.length) {
    const first = bytes[at++] as number
    const major = first >> 5
    const info = first & 31
    let argument = info
    if (info >= 24) {
      const width = info <= 27 ? 1 << (info - 24) : 0
      if (width === 0 || at + width > bytes.length) throw new ShapeError(path, 'dag-cbor')
      argument = 0
      for (let i = 0; i < width; i++) argument = argument * 256 + (bytes[at++] as number)
    }
    if (major === 6) throw new ShapeError(path, 'dag-cbor without links')
    let children = 0
    if (major === 2 || major === 3) at += argument
    else if (major === 4) children = argument
    else if (major === 5) children = argument * 2
    if (at > bytes.length || children > bytes.length - at) throw new ShapeError(path, 'dag-cbor')
    if (children > 0) {
      open.push(children)
      if (open.length > CODEC_DEPTH_MAX) throw new ShapeError(path, `at most ${CODEC_DEPTH_MAX} levels`)
      continue
    }
    for (let depth = open.length - 1; ; depth--) {
      if (depth < 0) {
        roots++
        break
      }
      const left = (open[depth] as number) - 1
      open[depth] = left
      if (left > 0) break
      open.pop()
    }
    if (roots > 1) throw new ShapeError(path, 'one dag-cbor item')
  }
  if (roots === 0) throw new ShapeError(path, 'dag-cbor')
}
