/** Writes `manifest.json` (see protocol/manifest/merged-manifest.ts): RFC 8785 and a line feed, same input, same bytes. */
import { endpointText } from '../../node/net/addresses.ts'
import { canonicalJson } from '../../protocol/codec/canonical-json.ts'
import { cycleOf, type FederationId, parseShardId } from '../../protocol/ids.ts'
import { ENDPOINTS_MAX } from '../../protocol/limits.ts'
import {
  isPeerHost,
  MERGED_MANIFEST_VERSION,
  type MergedManifest,
  type MergedManifestBundle,
  type MergedManifestShard,
} from '../../protocol/manifest/merged-manifest.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { inOrder, type MergedBundle, type MergedShard } from './merged-shard.ts'
import { consistentName, sha256Hex } from './publish-file.ts'

/** TUF path of a shard's .torrent: `2026-01/tenwiki-20260101-1a2b3c4d.torrent`; two revisions of a shard have two names. */
export function torrentTarget(shard: Pick<MergedShard, 'id' | 'digest'>): string {
  const { dataset, wiki, date, part } = parseShardId(shard.id)
  const set = dataset === 'dumps' ? '' : `${dataset}-`
  const suffix = part > 0 ? `-part${part}` : ''
  return `${cycleOf(date)}/${set}${wiki}-${date}${suffix}-${shard.digest.slice(0, 8)}.torrent`
}

/** TUF path of a bundle's .torrent: `2026-01/wikiseed-2026-01.torrent`. */
export function bundleTarget({ cycle, name }: Pick<MergedBundle, 'cycle' | 'name'>): string {
  return `${cycle}/${name}.torrent`
}

/** Where the .torrent lies in the publication; the name holds its sha256. */
export function torrentPath(shard: MergedShard): string {
  return consistentName(torrentTarget(shard), sha256Hex(shard.torrent))
}

export function bundlePath(bundle: MergedBundle): string {
  return consistentName(bundleTarget(bundle), sha256Hex(bundle.torrent))
}

/** The part of the manifest that does not change with the time of publishing. */
export function manifestShards(shards: readonly MergedShard[]): MergedManifestShard[] {
  return inOrder(shards).map((shard) => {
    const peers = peersOf(shard)
    return {
      id: shard.id,
      digest: shard.digest,
      infohash: shard.infohash,
      name: shard.name,
      sizeBytes: shard.sizeBytes,
      files: shard.files.map((file) => ({ path: file.path, size: file.sizeBytes, ...file.digests })),
      replicas: shard.replicas,
      archive:
        shard.archive === null
          ? null
          : { item: shard.archive.item, verifiedAt: new Date(shard.archive.verifiedAtMs).toISOString() },
      torrent: torrentPath(shard),
      magnet: magnetLink({ ...shard, peers: peers.map(peerText) }),
      ...(peers.length === 0 ? {} : { peers }),
    }
  })
}

export function manifestBundles(bundles: readonly MergedBundle[]): MergedManifestBundle[] {
  return [...bundles]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((bundle) => {
      const { name, cycle, infohash, sizeBytes, shards } = bundle
      const peers = peersOf(bundle)
      return {
        name,
        cycle,
        infohash,
        sizeBytes,
        shards,
        torrent: bundlePath(bundle),
        magnet: magnetLink({ ...bundle, peers: peers.map(peerText) }),
        ...(peers.length === 0 ? {} : { peers }),
      }
    })
}

/** In order of text, so that the same holders give the same bytes. */
function peersOf(of: Pick<MergedShard, 'peers'>): [string, number][] {
  const byText = new Map<string, [string, number]>()
  for (const { host, port } of of.peers) {
    if (isPeerHost(host)) byText.set(peerText([host, port]), [host, port])
  }
  return [...byText]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, ENDPOINTS_MAX)
    .map(([, peer]) => peer)
}

const peerText = ([host, port]: readonly [string, number]): string => endpointText({ host, port })

export interface ManifestOptions {
  readonly federation: FederationId
  readonly sequence: number
  readonly issuedAtMs: number
  readonly shards: readonly MergedManifestShard[]
  readonly bundles: readonly MergedManifestBundle[]
}

export function manifestJson(options: ManifestOptions): Uint8Array {
  const manifest: MergedManifest = {
    version: MERGED_MANIFEST_VERSION,
    federation: options.federation,
    sequence: options.sequence,
    issuedAt: new Date(options.issuedAtMs).toISOString(),
    shards: options.shards,
    ...(options.bundles.length === 0 ? {} : { bundles: options.bundles }),
  }
  return Buffer.from(`${canonicalJson(manifest)}\n`)
}
