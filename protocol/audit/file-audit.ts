/**
 * An audit by somebody who does not hold the shard (PROTOCOL 7). The challenge covers one file that the nonce chooses; the node
 * answers it as any other and so commits itself; then that one file is fetched from it and held against upstream's digest. With the
 * file's true bytes the signed answer can be judged, now by the auditor and later by anybody who has them.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes } from '../codec/bytes.ts'
import { AUDIT_FILE_BYTES_MAX, AUDIT_RANGE_BYTES_MAX, AUDIT_RANGES_MAX } from '../limits.ts'
import type { AuditOutcome } from '../manifest/entry.ts'
import type { Shard } from '../shard/shard.ts'
import { shardPieceLength } from '../torrent/info.ts'
import { type AuditRange, sameHashes } from './messages.ts'

export interface FileAudit {
  /** Index into the shard's files: the file that is asked for. */
  readonly file: number
  /** Every byte of it, in order; of a file above AUDIT_FILE_BYTES_MAX as many ranges as a challenge has, where the nonce says. */
  readonly ranges: readonly AuditRange[]
}

/** What came of the file from the node that is audited. */
export type FileFinding =
  /** All of it, with upstream's digests; `proofs` are what its bytes give for the ranges. */
  | { readonly kind: 'whole'; readonly proofs: readonly Uint8Array[] }
  /** It sent other bytes: not those of its own torrent, or a torrent that is not the shard's. */
  | { readonly kind: 'wrong' }
  /** Less than a whole file. */
  | { readonly kind: 'missing' }

/** The file and ranges that this nonce asks for; the same for everybody. Null when all files are empty. */
export function planFileAudit(shard: Shard, nonce: Uint8Array): FileAudit | null {
  const files = askable(shard)
  const file = files[Number(draw(nonce, 0) % BigInt(Math.max(1, files.length)))]
  const sizeBytes = file === undefined ? 0 : (shard.files[file]?.sizeBytes ?? 0)
  if (file === undefined) return null
  const ranges: AuditRange[] = []
  for (let at = 0; at < sizeBytes && ranges.length < AUDIT_RANGES_MAX; at += AUDIT_RANGE_BYTES_MAX) {
    const lengthBytes = Math.min(AUDIT_RANGE_BYTES_MAX, sizeBytes - at)
    const offsetBytes =
      sizeBytes <= AUDIT_FILE_BYTES_MAX
        ? at
        : Number(draw(nonce, ranges.length + 1) % BigInt(sizeBytes - lengthBytes + 1))
    ranges.push({ file, offsetBytes, lengthBytes })
  }
  return { file, ranges }
}

/** Bytes that such an audit may take on the auditor's disk: the largest file that may be asked for, in whole pieces. */
export function fileAuditBytes(shard: Shard): number {
  const largest = askable(shard).reduce((most, file) => Math.max(most, shard.files[file]?.sizeBytes ?? 0), 0)
  return largest === 0 ? 0 : largest + 2 * shardPieceLength(shard)
}

/**
 * `hashes`: the answer to the challenge. Without the whole file nobody can judge it: it is witnessed, which proves nothing yet
 * and is told as `unknown`.
 */
export function judgeFileAudit(hashes: readonly Uint8Array[], found: FileFinding): AuditOutcome {
  // An honest node that does not hold it now says so with no hashes.
  if (hashes.length === 0) return 'unknown'
  if (found.kind === 'missing') return 'unknown'
  if (found.kind === 'wrong') return 'fail'
  return sameHashes(found.proofs, hashes) ? 'pass' : 'fail'
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
