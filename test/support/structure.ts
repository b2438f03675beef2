/** Files as bytes in memory, for what node/structure says of them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StructureCheck } from '../../node/structure/check.ts'
import type { Finding } from '../../node/structure/finding.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
const CHUNK_BYTES = 64 * 1024

export function fixture(path: string): Buffer {
  return readFileSync(join(FIXTURES, path))
}

export async function findingOf(name: string, bytes: Uint8Array, cuts?: readonly number[]): Promise<Finding> {
  const check = new StructureCheck(name, (at, length) => bytes.subarray(at, at + length), bytes.length)
  const ends =
    cuts ?? Array.from({ length: Math.floor(bytes.length / CHUNK_BYTES) }, (_, i) => (i + 1) * CHUNK_BYTES)
  let from = 0
  for (const end of [...ends, bytes.length]) {
    if (end > from) await check.push(bytes.subarray(from, end))
    from = Math.max(from, end)
  }
  return check.end()
}

/** A copy with one bit of the byte at `at` turned over. */
export function flipped(bytes: Uint8Array, at: number, bit = at % 8): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ (1 << bit)
  return copy
}
