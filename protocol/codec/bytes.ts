/** Bytes and text without the platform: hex, UTF-8, comparison. */
export { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'

import { bytesToHex, utf8ToBytes as encodeUtf8 } from '@noble/hashes/utils.js'

/** UTF-8. Nearly all of ours is short and ASCII, for which an encoder costs more than the text. */
export function utf8ToBytes(text: string): Uint8Array {
  const out = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return encodeUtf8(text)
    out[i] = code
  }
  return out
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return joinBytes(parts)
}

/** The same for a list of any length: so many arguments no call takes. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

const ASCII_BYTES_MAX = 512

/** Decodes UTF-8 strictly, in linear time; null when the bytes are not UTF-8. */
export function utf8FromBytes(bytes: Uint8Array): string | null {
  // Names and paths: short and ASCII, and there are many of them.
  if (bytes.length <= ASCII_BYTES_MAX && bytes.every((byte) => byte < 0x80))
    return String.fromCharCode(...bytes)
  const parts: string[] = []
  // Slices end on a character boundary: a continuation byte is 10xxxxxx.
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(start + 8_192, bytes.length)
    while (end < bytes.length && end > start && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
    if (end === start) return null
    try {
      parts.push(decodeURIComponent(bytesToHex(bytes.subarray(start, end)).replace(/../g, '%$&')))
    } catch {
      return null
    }
    start = end
  }
  return parts.join('')
}

/** Raw-byte order: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0
}
