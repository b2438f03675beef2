/**
 * RFC 8785 (JSON Canonicalization Scheme) for the values that WikiSeed writes: strings, safe integers, booleans, null,
 * arrays and plain objects. Same value, same bytes, on every node and in every browser.
 */

import { CODEC_DEPTH_MAX } from '../limits.ts'
import { utf8ToBytes } from './bytes.ts'

/** A surrogate without its partner has no UTF-8 form (RFC 8785 3.2.2.2). */
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/

/**
 * The canonical text, without a line feed at its end. Keys are sorted by UTF-16 code unit (RFC 8785 3.2.3). Throws
 * TypeError on any other value: a fraction, NaN, an unsafe integer, undefined, a bigint, a class, a lone surrogate, or
 * nesting deeper than CODEC_DEPTH_MAX.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0)
}

/** The canonical text as UTF-8. */
export function canonicalJsonBytes(value: unknown): Uint8Array {
  return utf8ToBytes(canonicalJson(value))
}

function write(value: unknown, depth: number): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`canonical JSON: ${value} is not a safe integer`)
    return String(value + 0) // RFC 8785 3.2.2.3: minus zero is written 0
  }
  if (typeof value !== 'object') throw new TypeError(`canonical JSON: cannot write a ${typeof value}`)
  if (depth >= CODEC_DEPTH_MAX) throw new TypeError(`canonical JSON: deeper than ${CODEC_DEPTH_MAX}`)
  // Array.from visits holes too, so that a sparse array is refused and not written short.
  if (Array.isArray(value)) return `[${Array.from(value, (item) => write(item, depth + 1)).join(',')}]`
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('canonical JSON: cannot write an instance of a class')
  }
  const fields = value as Readonly<Record<string, unknown>>
  const keys = Object.keys(fields).sort() // default order is by UTF-16 code unit
  return `{${keys.map((key) => `${quote(key)}:${write(fields[key], depth + 1)}`).join(',')}}`
}

/** JSON.stringify escapes a string exactly as RFC 8785 3.2.2.2 asks. */
function quote(value: string): string {
  if (LONE_SURROGATE.test(value)) throw new TypeError('canonical JSON: a string holds a lone surrogate')
  return JSON.stringify(value)
}
