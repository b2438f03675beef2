/** dag-cbor in bounded size and depth: the form of everything that nodes sign or ask each other. */
import { decode, encode } from '@ipld/dag-cbor'
import { CODEC_DEPTH_MAX } from '../limits.ts'
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
}
