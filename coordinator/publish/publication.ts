/**
 * From merged shards to all files of one publication (PROTOCOL 9.4), in writing order: immutable names first, then the plain
 * files with their signatures, TUF's timestamp last as the one small pointer. No I/O; whoever calls keeps the state, and
 * stores it before anything is written anywhere.
 */
import { verifyEd25519 } from '../../node/net/signature.ts'
import { type MetalinkPlaces, metalinkName, metalinkOf } from '../../node/publication/metalink.ts'
import { allRuns } from '../../node/publication/runs.ts'
import { type Cycle, cycleOf, parseShardId } from '../../protocol/ids.ts'
import {
  MERGED_MANIFEST_BYTES_MAX,
  type MergedManifestShard,
  signedComment,
} from '../../protocol/manifest/merged-manifest.ts'
import { readRoot } from '../../protocol/manifest/root.ts'
import type { FederationKeys } from '../federation/keys.ts'
import { manifestJson, manifestShards, torrentTarget } from './manifest-json.ts'
import type { MergedShard } from './merged-shard.ts'
import { encodeMinisignPublicKeyFile, signMinisign } from './minisign.ts'
import { PublishError } from './publish-error.ts'
import { METADATA_FOLDER, type Publication, type PublishFile, sha256Hex } from './publish-file.ts'
import { feedItems, feedXml } from './rss.ts'
import { sha256sums } from './sha256sums.ts'
import { withLists } from './torrent-lists.ts'
import { type TufState, type TufTarget, writeTufRepository } from './tuf-repository.ts'

/** Plain data, to be stored as JSON. */
export interface PublicationState {
  /** Of manifest.json. */
  readonly sequence: number
  readonly issuedAtMs: number
  readonly manifestContent: string
  readonly lastBuildAtMs: number
  readonly feedContent: string
  readonly tuf: TufState
}

export interface PublicationOptions {
  /** The bytes of `1.root.json`. */
  readonly root: Uint8Array
  readonly keys: FederationKeys
  readonly shards: readonly MergedShard[]
  readonly previous: PublicationState | null
  readonly nowMs: number
  /** Where people will find the publication, with `/` at its end, for the feed; null when it has no address. */
  readonly publicUrl: string | null
  /** Where Metalinks send people besides the torrent. */
  readonly places: Omit<MetalinkPlaces, 'publicUrl'>
}

export interface BuiltPublication {
  readonly files: Publication
  readonly state: PublicationState
}

/** Unchanged input keeps every byte but timestamp.json's, and that too until half of its life is over. */
export function buildPublication(options: PublicationOptions): BuiltPublication {
  const { keys, previous, nowMs } = options
  const root = readRoot(options.root, verifyEd25519)
  if (options.publicUrl !== null && !/^https?:\/\/.+\/$/.test(options.publicUrl)) {
    throw new TypeError('publicUrl must be http(s) and end with a slash')
  }
  const merged = options.shards.map(published)
  const shards = manifestShards(merged)
  const manifestContent = sha256Hex(Buffer.from(JSON.stringify(shards)))
  const sameManifest = previous !== null && previous.manifestContent === manifestContent
  const sequence = sameManifest ? previous.sequence : Math.max((previous?.sequence ?? 0) + 1, nowMs)
  const issuedAtMs = sameManifest ? previous.issuedAtMs : nowMs
  const manifest = manifestJson({ federation: root.federationId, sequence, issuedAtMs, shards })
  if (manifest.length > MERGED_MANIFEST_BYTES_MAX) {
    throw new PublishError(
      'too-large',
      `manifest.json would have ${manifest.length} bytes; readers accept ${MERGED_MANIFEST_BYTES_MAX}`,
    )
  }

  const items = feedItems(merged, options.publicUrl)
  const feedContent = sha256Hex(Buffer.from(items))
  const sameFeed = previous !== null && previous.feedContent === feedContent
  // Readers stop at an equal lastBuildDate, which has whole seconds: a changed feed gets a later one.
  const lastBuildAtMs = sameFeed
    ? previous.lastBuildAtMs
    : Math.max((previous?.lastBuildAtMs ?? 0) + 1_000, nowMs)
  const feed = feedXml(items, { name: root.name, publicUrl: options.publicUrl, lastBuildAtMs })

  const tuf = writeTufRepository({
    root: options.root,
    keys,
    cycles: torrentsByCycle(merged),
    topTargets: [{ path: 'manifest.json', bytes: manifest, contentType: 'application/json' }],
    previous: previous?.tuf ?? null,
    nowMs,
  })

  const sums = sha256sums(merged)
  const signed = (path: string, bytes: Uint8Array, contentType: string): PublishFile[] => {
    const trustedComment = signedComment(root.federationId, path, sequence)
    const signature = signMinisign(bytes, keys.minisign, { trustedComment })
    return [
      { path, bytes, contentType, mutable: true },
      { path: `${path}.minisig`, bytes: signature, contentType: 'text/plain; charset=utf-8', mutable: true },
    ]
  }
  const metalinks = metalinkFiles(shards, { ...options.places, publicUrl: options.publicUrl })
  const pointer = `${METADATA_FOLDER}/timestamp.json`
  const ordered: PublishFile[] = [
    ...tuf.files.filter((file) => file.path !== pointer),
    {
      path: 'minisign.pub',
      bytes: Buffer.from(encodeMinisignPublicKeyFile(keys.minisign)),
      contentType: 'text/plain; charset=utf-8',
      mutable: true,
    },
    ...signed('manifest.json', manifest, 'application/json'),
    ...signed('sha256sums.txt', sums, 'text/plain; charset=utf-8'),
    ...metalinks,
    ...signed(`${METALINK_FOLDER}/sha256sums.txt`, sumsOf(metalinks), 'text/plain; charset=utf-8'),
    { path: 'feed.xml', bytes: feed, contentType: 'application/rss+xml', mutable: true },
    ...tuf.files.filter((file) => file.path === pointer),
  ]
  return {
    files: new Map(ordered.map((file) => [file.path, file])),
    state: { sequence, issuedAtMs, manifestContent, lastBuildAtMs, feedContent, tuf: tuf.state },
  }
}

/** With its .torrent as it is published. */
function published(shard: MergedShard): MergedShard {
  const torrent = withLists(shard.torrent, shard.infohash, shard)
  if (torrent === null) throw new TypeError(`the .torrent of ${shard.id} does not have its infohash`)
  return { ...shard, torrent }
}

const METALINK_FOLDER = 'metalink'

/** One Metalink a run (RFC 5854), under a name that stays: it is for people. */
function metalinkFiles(shards: readonly MergedManifestShard[], places: MetalinkPlaces): PublishFile[] {
  return allRuns(shards).flatMap(({ shards: parts }) => {
    const [first] = parts
    if (first === undefined) return []
    const path = `${METALINK_FOLDER}/${metalinkName(first)}`
    const bytes = Buffer.from(metalinkOf(parts, places))
    return [{ path, bytes, contentType: 'application/metalink4+xml', mutable: true }]
  })
}

/** One list is signed instead of each Metalink: signatures tell the sequence, so all of them would change with every publication. */
function sumsOf(files: readonly PublishFile[]): Uint8Array {
  const lines = files.map(
    ({ path, bytes }) => `${sha256Hex(bytes)}  ${path.slice(METALINK_FOLDER.length + 1)}\n`,
  )
  return Buffer.from(lines.sort().join(''))
}

/** The slow facts of each cycle (PROTOCOL 3); replica counts change hourly and stay out. */
function torrentsByCycle(shards: readonly MergedShard[]): Map<Cycle, TufTarget[]> {
  const cycles = new Map<Cycle, TufTarget[]>()
  for (const shard of shards) {
    const cycle = cycleOf(parseShardId(shard.id).date)
    const targets = cycles.get(cycle) ?? []
    cycles.set(cycle, targets)
    targets.push({
      path: torrentTarget(shard),
      bytes: shard.torrent,
      contentType: 'application/x-bittorrent',
      custom: {
        infohash: shard.infohash,
        shard: `${shard.id}@${shard.digest}`,
        item: shard.archive?.item ?? null,
        sizeBytes: shard.sizeBytes,
      },
    })
  }
  return cycles
}
