/**
 * Bencode (BEP 3), strict and bounded. What decodes has exactly one form, so encode(decode(bytes)) equals bytes; still,
 * an infohash is taken over the bytes received (`bencodeFields`), never over something encoded again.
 */

import { CODEC_DEPTH_MAX } from '../limits.ts'
import { joinBytes, utf8ToBytes } from './bytes.ts'

/**
 * A decoded value. Byte strings are views into the input. Map keys are byte strings too and appear as text with one
 * character a byte (`\x00`..`\xff`), so text order is raw-byte order; the keys of BitTorrent are ASCII.
 */
export type Bencoded = number | Uint8Array | readonly Bencoded[] | BencodedMap
export type BencodedMap = ReadonlyMap<string, Bencoded>

/** What can be encoded: besides decoded values, text (as UTF-8) and plain objects. */
export type Bencodable =
  | number
  | string
  | Uint8Array
  | readonly Bencodable[]
  | ReadonlyMap<string, Bencodable>
  | { readonly [key: string]: Bencodable }

/** The only error that decoding throws; `offset` is the byte where the input stops being valid. */
export class BencodeError extends Error {
  readonly offset: number
  constructor(offset: number, problem: string) {
    super(`bencode: ${problem} at byte ${offset}`)
    this.name = 'BencodeError'
    this.offset = offset
  }
}

export interface BencodeLimits {
  readonly bytesMax: number
  /** Values in all, nested ones included: an empty list costs two bytes on the wire and far more in memory. */
  readonly itemsMax: number
  readonly depthMax?: number
}

/** Encodes; map keys are sorted as raw bytes. Throws TypeError on unsafe numbers and on keys that are not bytes. */
export function bencode(value: Bencodable): Uint8Array {
  const parts: Uint8Array[] = []
  write(value, parts)
  return joinBytes(parts)
}

/** Decodes exactly one value that fills `bytes`, or throws BencodeError. */
export function bdecode(bytes: Uint8Array, limits: BencodeLimits): Bencoded {
  const reader = open(bytes, limits)
  const value = readValue(reader, 0)
  close(reader)
  return value
}

/** Decodes one value at the beginning of `bytes` and says how long it was: BEP 9 puts raw data behind a map. */
export function bdecodePrefix(bytes: Uint8Array, limits: BencodeLimits): { value: Bencoded; length: number } {
  const reader = open(bytes, limits)
  const value = readValue(reader, 0)
  return { value, length: reader.at }
}

/** A field of a top-level map: its value, and the exact bytes that said so. */
export interface BencodedField {
  readonly value: Bencoded
  readonly raw: Uint8Array
}

/** Decodes a map and keeps each field's raw bytes: `bencodeFields(torrent, limits).get('info')?.raw` is what is hashed. */
export function bencodeFields(bytes: Uint8Array, limits: BencodeLimits): ReadonlyMap<string, BencodedField> {
  const reader = open(bytes, limits)
  if (reader.bytes[0] !== CODE_D) throw new BencodeError(0, 'a map is expected')
  reader.at = 1
  reader.itemsLeft--
  const fields = new Map<string, BencodedField>()
  readFields(reader, (key) => {
    const start = reader.at
    const value = readValue(reader, 1)
    fields.set(key, { value, raw: bytes.subarray(start, reader.at) })
  })
  close(reader)
  return fields
}

const CODE_0 = 0x30
const CODE_COLON = 0x3a
const CODE_MINUS = 0x2d
const CODE_D = 0x64
const CODE_E = 0x65
const CODE_I = 0x69
const CODE_L = 0x6c
/** Digits of Number.MAX_SAFE_INTEGER. */
const DIGITS_MAX = 16

interface ByteReader {
  readonly bytes: Uint8Array
  readonly depthMax: number
  at: number
  itemsLeft: number
}

function open(bytes: Uint8Array, limits: BencodeLimits): ByteReader {
  if (bytes.length > limits.bytesMax)
    throw new BencodeError(limits.bytesMax, `more than ${limits.bytesMax} bytes`)
  return { bytes, at: 0, itemsLeft: limits.itemsMax, depthMax: limits.depthMax ?? CODEC_DEPTH_MAX }
}

function close(reader: ByteReader): void {
  if (reader.at !== reader.bytes.length) throw new BencodeError(reader.at, 'bytes after the value')
}

function readValue(reader: ByteReader, depth: number): Bencoded {
  if (reader.itemsLeft-- <= 0) throw new BencodeError(reader.at, 'too many values')
  const code = reader.bytes[reader.at]
  if (code === CODE_I) {
    reader.at++
    return readNumber(reader, CODE_E, true)
  }
  if (code !== CODE_L && code !== CODE_D) return readString(reader)
  if (depth >= reader.depthMax) throw new BencodeError(reader.at, `deeper than ${reader.depthMax}`)
  reader.at++
  if (code === CODE_L) {
    const items: Bencoded[] = []
    while (!ended(reader)) items.push(readValue(reader, depth + 1))
    return items
  }
  const map = new Map<string, Bencoded>()
  readFields(reader, (key) => map.set(key, readValue(reader, depth + 1)))
  return map
}

/** Reads keys up to the closing `e`; `readField` reads the value of each. Keys must be sorted and unique (BEP 3). */
function readFields(reader: ByteReader, readField: (key: string) => void): void {
  let last: string | null = null
  while (!ended(reader)) {
    const start = reader.at
    const key = bytesToKey(readString(reader))
    if (last !== null && key <= last) throw new BencodeError(start, 'keys are not sorted and unique')
    last = key
    readField(key)
  }
}

/** Consumes the `e` of a list or map when it comes now. */
function ended(reader: ByteReader): boolean {
  if (reader.at >= reader.bytes.length) throw new BencodeError(reader.at, 'unexpected end')
  if (reader.bytes[reader.at] !== CODE_E) return false
  reader.at++
  return true
}

function readString(reader: ByteReader): Uint8Array {
  const start = reader.at
  const length = readNumber(reader, CODE_COLON, false)
  if (length > reader.bytes.length - reader.at)
    throw new BencodeError(start, 'a string longer than the input')
  reader.at += length
  return reader.bytes.subarray(reader.at - length, reader.at)
}

/** A decimal up to and with its end mark: no sign but one minus, no leading zero, no minus zero (BEP 3). */
function readNumber(reader: ByteReader, end: number, signed: boolean): number {
  const start = reader.at
  const negative = signed && reader.bytes[reader.at] === CODE_MINUS
  if (negative) reader.at++
  const first = reader.at
  let value = 0
  for (;;) {
    const digit = (reader.bytes[reader.at] ?? 0) - CODE_0
    if (digit < 0 || digit > 9) break
    if (reader.at - first >= DIGITS_MAX) throw new BencodeError(start, 'a number too large')
    value = value * 10 + digit
    reader.at++
  }
  const digits = reader.at - first
  if (digits === 0) throw new BencodeError(start, 'a value is expected')
  if (reader.bytes[reader.at] !== end) throw new BencodeError(reader.at, 'a number without its end')
  reader.at++
  if (reader.bytes[first] === CODE_0 && (digits > 1 || negative)) {
    throw new BencodeError(start, 'a leading or negative zero')
  }
  if (!Number.isSafeInteger(value)) throw new BencodeError(start, 'a number too large')
  return negative ? -value : value
}

function write(value: Bencodable, parts: Uint8Array[]): void {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`bencode: ${value} is not a safe integer`)
    parts.push(utf8ToBytes(`i${value + 0}e`))
  } else if (typeof value === 'string') {
    writeString(utf8ToBytes(value), parts)
  } else if (value instanceof Uint8Array) {
    writeString(value, parts)
  } else if (isList(value)) {
    parts.push(Uint8Array.of(CODE_L))
    for (const item of value) write(item, parts)
    parts.push(Uint8Array.of(CODE_E))
  } else {
    const entries = value instanceof Map ? [...value] : Object.entries(value)
    parts.push(Uint8Array.of(CODE_D))
    for (const [key, item] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) {
      writeString(keyToBytes(key), parts)
      write(item, parts)
    }
    parts.push(Uint8Array.of(CODE_E))
  }
}

function isList(value: object): value is readonly Bencodable[] {
  return Array.isArray(value)
}

function writeString(bytes: Uint8Array, parts: Uint8Array[]): void {
  parts.push(utf8ToBytes(`${bytes.length}:`), bytes)
}

function bytesToKey(bytes: Uint8Array): string {
  // Keys are short; a hostile long one is still only joined once.
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

function keyToBytes(key: string): Uint8Array {
  return Uint8Array.from(key, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (code > 0xff) throw new TypeError(`bencode: the key ${JSON.stringify(key)} is not bytes`)
    return code
  })
}
