/** Where files of a merged manifest lie elsewhere. */
import { parseShardId } from '../../protocol/ids.ts'
import type { MergedManifestFile, MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'

/** Below the base of upstream or a mirror of it: the exports lie in `other/`. */
export function mirrorPath(shard: MergedManifestShard, file: MergedManifestFile): string {
  const plain = `${shard.name}/${file.path}`
  return parseShardId(shard.id).dataset === 'dumps' ? plain : `other/${plain}`
}

/** HASH.json, STATUS.json, README.txt (PROTOCOL 2). */
export function isMetadata(file: Pick<MergedManifestFile, 'path'>): boolean {
  return /\/wikiseed-[0-9a-f]{8}\/[^/]+$/.test(file.path)
}
