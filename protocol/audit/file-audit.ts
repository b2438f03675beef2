/**
 * An audit by somebody who does not hold the shard (PROTOCOL 7). The challenge covers one file that the nonce chooses; the node
 * answers it as any other and so commits itself; then that one file is fetched from it and held against upstream's digest. It
 * fails only by what it signed, so that whoever has the bytes finds the same: what comes over a line may be anybody's.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes } from '../codec/bytes.ts'
import { AUDIT_FILE_BYTES_MAX, AUDIT_RANGE_BYTES_MAX, AUDIT_RANGES_MAX } from '../limits.ts'
import type { AuditOutcome } from '../manifest/entry.ts'
import type { Shard } from '../shard/shard.ts'
import { type AuditRange, sameHashes } from './messages.ts'

export interface FileAudit {
  /** Index into the shard's files: the file that is asked for. */
  readonly file: number
  /** Every byte of it, in order (then it is covered); of a file above AUDIT_FILE_BYTES_MAX as many ranges as a challenge has, where the nonce says. */
  readonly ranges: readonly AuditRange[]
  readonly isCovered: boolean
}

/** What came of the file from where the audited node says that it serves. */
export type FileFinding =
  /** whole: with upstream's digests. other: as many bytes, but not those. `proofs` are what they give for the ranges. */
  | { readonly kind: 'whole' | 'other'; readonly proofs: readonly Uint8Array[] }
  /** Less than a whole file. */
  | { readonly kind: 'missing' }

/** The file and ranges that this nonce asks for; the same for everybody. Null when all files are empty. */
export function planFileAudit(shard: Shard, nonce: Uint8Array): FileAudit | null {
  const files = askable(shard)
  const file = files[Number(draw(nonce, 0) % BigInt(Math.max(1, files.length)))]
  const sizeBytes = file === undefined ? 0 : (shard.files[file]?.sizeBytes ?? 0)
  if (file === undefined) return null
  const isCovered = sizeBytes <= AUDIT_FILE_BYTES_MAX
  const ranges: AuditRange[] = []
  for (let at = 0; at < sizeBytes && ranges.length < AUDIT_RANGES_MAX; at += AUDIT_RANGE_BYTES_MAX) {
    const lengthBytes = Math.min(AUDIT_RANGE_BYTES_MAX, sizeBytes - at)
    const offsetBytes = isCovered
      ? at
      : Number(draw(nonce, ranges.length + 1) % BigInt(sizeBytes - lengthBytes + 1))
    ranges.push({ file, offsetBytes, lengthBytes })
  }
  return { file, ranges, isCovered }
}

/** Bytes that such an audit may take on the auditor's disk: the largest file that may be asked for. */
export function fileAuditBytes(shard: Shard): number {
  return askable(shard).reduce((most, file) => Math.max(most, shard.files[file]?.sizeBytes ?? 0), 0)
}

/**
 * `hashes`: the answer to the challenge. What nobody can judge is `unknown`: the answer was witnessed, which proves nothing and is not told.
 */
export function judgeFileAudit(
  { isCovered }: Pick<FileAudit, 'isCovered'>,
  hashes: readonly Uint8Array[],
  found: FileFinding,
): AuditOutcome {
  // An honest node that does not hold it now says so with no hashes.
  if (hashes.length === 0 || found.kind === 'missing') return 'unknown'
  const isSigned = sameHashes(found.proofs, hashes)
  if (found.kind === 'whole') return isSigned ? 'pass' : 'fail'
  // Bytes that it signed for are its own, whoever brought them; others may come from anybody. Where the challenge does not cover
  // the file, what is wrong may lie beside it.
  return isSigned && isCovered ? 'fail' : 'unknown'
}

/** Files with bytes that are not too large for a home's line; when all are, the smallest. */
function askable(shard: Shard): number[] {
  const filled = [...shard.files.keys()].filter((file) => (shard.files[file]?.sizeBytes ?? 0) > 0)
  const size = (file: number) => shard.files[file]?.sizeBytes ?? 0
  const small = filled.filter((file) => size(file) <= AUDIT_FILE_BYTES_MAX)
  if (small.length > 0) return small
  const smallest = filled.reduce<number | null>(
    (best, file) => (best === null || size(file) < size(best) ? file : best),
    null,
  )
  return smallest === null ? [] : [smallest]
}

/** The nonce's `index`-th number of 64 bits. */
function draw(nonce: Uint8Array, index: number): bigint {
  const bytes = sha256(concatBytes(nonce, Uint8Array.of(index)))
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
}
