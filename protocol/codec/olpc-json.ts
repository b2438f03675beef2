/**
 * OLPC canonical JSON, the form over which TUF signatures are made (TUF 4.2.1). It is not RFC 8785: only `"` and `\` are
 * escaped, there are no fractions, and anything else inside a string stands raw.
 */

import { CODEC_DEPTH_MAX } from '../limits.ts'
import { utf8ToBytes } from './bytes.ts'

/** The canonical text. Throws TypeError for what has no canonical form: fractions, undefined, functions, too deep. */
export function olpcJson(value: unknown): string {
  return encode(value, 0)
}

export function olpcJsonBytes(value: unknown): Uint8Array {
  return utf8ToBytes(olpcJson(value))
}

function encode(value: unknown, depth: number): string {
  if (depth > CODEC_DEPTH_MAX) throw new TypeError(`deeper than ${CODEC_DEPTH_MAX}`)
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'boolean' || value === null) return String(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`not a safe whole number: ${value}`)
    return String(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => encode(item, depth + 1)).join(',')}]`
  if (typeof value === 'object') {
    const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${fields.map(([key, field]) => `${quote(key)}:${encode(field, depth + 1)}`).join(',')}}`
  }
  throw new TypeError(`cannot encode a ${typeof value}`)
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
