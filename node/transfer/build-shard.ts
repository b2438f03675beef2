/**
 * From a shard's dump files on disk to its torrent (PROTOCOL 2, 6): one read takes every digest and piece hash; the digests are
 * held against upstream's; the three metadata files follow from them. The only place where bytes become a replica, so lead,
 * follower, coordinator and command line all pass through it.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { Infohash } from '../../protocol/ids.ts'
import { metadataFiles } from '../../protocol/shard/metadata-files.ts'
import { ALGORITHMS, type Digests, type FullDigests, type Shard } from '../../protocol/shard/shard.ts'
import { infohashOf, shardInfo, shardPieceLength } from '../../protocol/torrent/info.ts'
import { safeJoin } from '../files/layout.ts'
import type { FileFacts, Hasher } from '../ports.ts'
import type { Finding } from '../structure/finding.ts'

export interface BuiltShard {
  readonly infohash: Infohash
  /** Raw info dictionary. */
  readonly info: Uint8Array
  readonly metadata: readonly { readonly path: string; readonly bytes: Uint8Array }[]
  readonly digests: ReadonlyMap<string, FullDigests>
  /** What the form of each dump file says; empty unless asked for. It decides nothing. */
  readonly findings: ReadonlyMap<string, Finding>
}

export type BuildResult =
  | { readonly ok: true; readonly built: BuiltShard }
  /** Files whose size or digest is not upstream's, each with the reason. */
  | { readonly ok: false; readonly wrong: readonly { readonly path: string; readonly reason: string }[] }

/**
 * `root` holds the torrent's name folder. Nothing is written. Rejects with the file system's error when a file cannot be
 * read, and with an AbortError when the signal says so.
 */
export async function buildShard(
  shard: Shard,
  root: string,
  hasher: Hasher,
  options: { signal?: AbortSignal; structure?: boolean } = {},
): Promise<BuildResult> {
  const pieceLengthBytes = shardPieceLength(shard)
  const paths = shard.files.map((file) => dumpPath(shard, root, file.path))
  const { files, pieces } = await hasher.hash(paths, { pieceLengthBytes, ...options })
  const wrong = shard.files.flatMap((file, index) => {
    const reason = differs(file.sizeBytes, file.digests, files[index])
    return reason === null ? [] : [{ path: file.path, reason }]
  })
  if (wrong.length > 0) return { ok: false, wrong }
  const digests = new Map<string, FullDigests>()
  const findings = new Map<string, Finding>()
  shard.files.forEach((file, index) => {
    const facts = files[index]
    if (facts === undefined) return
    digests.set(file.path, facts.digests)
    if (facts.finding !== null) findings.set(file.path, facts.finding)
  })
  const metadata = metadataFiles(shard, digests)
  const whole = Math.floor(shard.sizeBytes / pieceLengthBytes)
  const head = (pieces ?? new Uint8Array()).subarray(0, whole * 20)
  const rest = await readTail(shard, paths, whole * pieceLengthBytes)
  const tail = hashPieces([...rest, ...metadata.map((file) => file.bytes)], pieceLengthBytes)
  const info = shardInfo(shard, Buffer.concat([head, tail]))
  return { ok: true, built: { infohash: infohashOf(info), info, metadata, digests, findings } }
}

/** Where one file of the shard's torrent lies below `root`. */
export function dumpPath(shard: Shard, root: string, path: string): string {
  return safeJoin(root, `${shard.name}/${path}`)
}

/** Why the bytes are not upstream's, or null when they are. */
export function differs(sizeBytes: number, expected: Digests, facts: FileFacts | undefined): string | null {
  if (facts === undefined) return 'not read'
  if (facts.sizeBytes !== sizeBytes) return `${facts.sizeBytes} bytes, upstream says ${sizeBytes}`
  for (const algorithm of ALGORITHMS) {
    const wanted = expected[algorithm]
    if (wanted !== undefined && wanted !== facts.digests[algorithm]) {
      return `${algorithm} ${facts.digests[algorithm]}, upstream says ${wanted}`
    }
  }
  return null
}

/** The bytes after the last whole piece, less than one piece: they share it with the metadata files. */
async function readTail(shard: Shard, paths: readonly string[], fromBytes: number): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  let start = 0
  for (const [index, file] of shard.files.entries()) {
    const end = start + file.sizeBytes
    const path = paths[index]
    if (end > fromBytes && path !== undefined) {
      const offset = Math.max(0, fromBytes - start)
      chunks.push(await readRange(path, offset, file.sizeBytes - offset))
    }
    start = end
  }
  return chunks
}

/** Reads exactly this range; throws RangeError when the file is shorter. */
export async function readRange(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes)
  const handle = await open(path, 'r')
  try {
    for (let done = 0; done < lengthBytes; ) {
      const { bytesRead } = await handle.read(bytes, done, lengthBytes - done, offsetBytes + done)
      if (bytesRead === 0) throw new RangeError(`${path} ends before byte ${offsetBytes + lengthBytes}`)
      done += bytesRead
    }
    return bytes
  } finally {
    await handle.close()
  }
}

function hashPieces(chunks: readonly Uint8Array[], pieceLengthBytes: number): Uint8Array {
  const bytes = Buffer.concat(chunks)
  const hashes: Buffer[] = []
  for (let start = 0; start < bytes.length; start += pieceLengthBytes) {
    hashes.push(
      createHash('sha1')
        .update(bytes.subarray(start, start + pieceLengthBytes))
        .digest(),
    )
  }
  return Buffer.concat(hashes)
}
