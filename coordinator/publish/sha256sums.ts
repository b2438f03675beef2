/** `sha256sums.txt`: every archived file in the form of sha256sum(1), with paths as in the mirror layout. */
import { inOrder, type MergedShard } from './merged-shard.ts'

/**
 * Lines `<hex>  <torrent name>/<path>`, in the order of shards. A second revision of a run repeats paths; of equal paths the
 * later accepted revision counts, so that `sha256sum -c` never asks for two contents under one name.
 */
export function sha256sums(shards: readonly MergedShard[]): Uint8Array {
  const lines = new Map<string, string>()
  const byAge = [...inOrder(shards)].sort((a, b) => a.acceptedAtMs - b.acceptedAtMs)
  for (const shard of byAge) {
    for (const file of shard.files) lines.set(`${shard.name}/${file.path}`, file.digests.sha256)
  }
  const sorted = [...lines].sort(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.from(sorted.map(([path, sha256]) => `${sha256}  ${path}\n`).join(''))
}
