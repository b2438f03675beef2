/** Where files of a merged manifest lie elsewhere. */
import { parseShardId } from '../../protocol/ids.ts'
import type { MergedManifestFile, MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { originPath } from '../../protocol/shard/paths.ts'

/** Below the base of upstream or a mirror of it: the exports lie in `other/`. */
export function mirrorPath(shard: MergedManifestShard, file: MergedManifestFile): string {
  return originPath(parseShardId(shard.id), file.path)
}

/** HASH.json, STATUS.json, README.txt (PROTOCOL 2). */
export function isMetadata(file: Pick<MergedManifestFile, 'path'>): boolean {
  return /\/wikiseed-[0-9a-f]{8}\/[^/]+$/.test(file.path)
}
