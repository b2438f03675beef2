/**
 * A node as far as audits go, on loopback: the product's network, BitTorrent engine, files, store and audits, with real bytes and
 * without a core: a test says what is asked, and reads what the core would be told.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, vi } from 'vitest'
import { Auditor } from '../../node/audit/auditor.ts'
import { FileAuditor } from '../../node/audit/file-auditor.ts'
import { Receipts } from '../../node/audit/receipts.ts'
import { layoutOf } from '../../node/files/layout.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { Hasher } from '../../node/ports.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { ReceiptStore } from '../../node/store/receipts.ts'
import { buildShard, dumpPath } from '../../node/transfer/build-shard.ts'
import { checkShard } from '../../node/transfer/check-shard.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { FederationId, Infohash, NodeId, ShardKey } from '../../protocol/ids.ts'
import type { Endpoint } from '../../protocol/manifest/entry.ts'
import { DEFAULT_PARAMETERS } from '../../protocol/parameters.ts'
import { makeShard } from '../../protocol/shard/make-shard.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { infohashOf, shardInfo, shardPieceLength } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { testIdentity } from './records.ts'
import { digestsOf, seededBytes } from './shards.ts'

const FEDERATION = 'ad'.repeat(32) as FederationId
export const AUDIT_PARAMETERS = { ...DEFAULT_PARAMETERS, auditTimeoutMs: 5_000 }

/** Every file of a shard's torrent, in order. */
export type Bytes = readonly { readonly path: string; readonly bytes: Uint8Array }[]

export interface RealShard {
  readonly shard: Shard
  readonly infohash: Infohash
  readonly torrent: Uint8Array
  readonly bytes: Bytes
}

/** A shard of dump files of these sizes, built by the product from bytes that are written below `root`. */
export async function realShard(
  wiki: string,
  sizes: readonly number[],
  root: string,
  hasher: Hasher,
): Promise<RealShard> {
  const names = sizes.map((_, i) => `${wiki}-20260101-part-${i}.sql.gz`)
  const dumps = sizes.map((size, i) => ({
    path: `20260101/${names[i]}`,
    bytes: seededBytes(`${wiki} ${i}`, size),
  }))
  const shard = makeShard({
    dataset: 'dumps',
    wiki,
    date: '20260101',
    part: 0,
    files: dumps.map(({ path, bytes }) => ({
      path,
      sizeBytes: bytes.length,
      digests: { sha1: digestsOf(bytes).sha1 },
    })),
    statusJson: `{"job":{"files":${JSON.stringify(names)},"status":"done"}}\n`,
    bundleVersion: 1,
  })
  await writeBytes(shard, root, dumps)
  const result = await buildShard(shard, root, hasher)
  if (!result.ok) throw new Error('the shard is not what it was made from')
  const { infohash, info, metadata } = result.built
  return { shard, infohash, torrent: encodeMetainfo({ info }), bytes: [...dumps, ...metadata] }
}

/** A torrent in the shape of the shard's, over other bytes: what a liar makes up. */
export function madeUpTorrent(
  { shard }: RealShard,
  bytes: Bytes,
): { infohash: Infohash; torrent: Uint8Array } {
  const all = Buffer.concat(bytes.map((file) => file.bytes))
  const length = shardPieceLength(shard)
  const pieces = Array.from({ length: Math.ceil(all.length / length) }, (_, piece) =>
    createHash('sha1')
      .update(all.subarray(piece * length, (piece + 1) * length))
      .digest(),
  )
  const info = shardInfo(shard, Buffer.concat(pieces))
  return { infohash: infohashOf(info), torrent: encodeMetainfo({ info }) }
}

export async function writeBytes(shard: Shard, root: string, bytes: Bytes): Promise<void> {
  for (const file of bytes) {
    const path = dumpPath(shard, root, file.path)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, file.bytes)
  }
}

export class AuditNode {
  readonly identity
  readonly network: Libp2pNetwork
  readonly engine: WebTorrentEngine
  readonly files: ShardFiles
  readonly receipts: ReceiptStore
  readonly auditor: Auditor
  readonly fileAuditor: FileAuditor
  /** What the core would be told. */
  readonly events: Event[] = []
  readonly #exchange: Receipts
  readonly #held = new Map<ShardKey, RealShard>()
  readonly #folder: string

  private constructor(number: number, folder: string, receipts: ReceiptStore, hasher: Hasher) {
    this.identity = testIdentity(number)
    this.receipts = receipts
    this.#folder = folder
    const layout = layoutOf(folder)
    const { identity } = this
    this.network = new Libp2pNetwork({ identity, federationId: FEDERATION, log: silentLog })
    this.engine = new WebTorrentEngine({ port: 0 })
    this.files = new ShardFiles(layout)
    const checkOwn = async ({ key }: Shard) => {
      const held = this.#held.get(key)
      if (held === undefined) return ['not held']
      return checkShard(held.shard, this.files.mirror, held.infohash, hasher)
    }
    const { network, engine, files } = this
    const common = { identity, network, receipts, log: silentLog, mirror: files.mirror, checkOwn }
    this.auditor = new Auditor({
      ...common,
      clock: systemClock,
      held: (key) => this.#held.get(key)?.shard ?? null,
      parameters: () => AUDIT_PARAMETERS,
    })
    const { auditor } = this
    this.fileAuditor = new FileAuditor({ auditor, engine, hasher, files, log: silentLog })
    this.#exchange = new Receipts({ ...common, auditor, dispatch: (event) => void this.events.push(event) })
  }

  static async start(number: number, parent: string, hasher: Hasher): Promise<AuditNode> {
    const folder = join(parent, `node-${number}`)
    const { mirror, staging } = layoutOf(folder)
    for (const one of [mirror, staging]) await mkdir(one, { recursive: true })
    const receipts = await ReceiptStore.open(createMemoryStore(), silentLog)
    const node = new AuditNode(number, folder, receipts, hasher)
    await node.network.start()
    await node.engine.start()
    return node
  }

  get node(): NodeId {
    return this.identity.nodeId
  }

  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: this.engine.port }
  }

  /** Says that it holds the shard, and seeds these bytes as this torrent, whatever they are. */
  async hold(
    real: RealShard,
    other: { readonly bytes?: Bytes; readonly torrent?: Uint8Array } = {},
  ): Promise<void> {
    const { shard, bytes, torrent } = real
    this.#held.set(shard.key, real)
    await writeBytes(shard, this.files.mirror, other.bytes ?? bytes)
    await this.engine.seed(other.torrent ?? torrent, this.files.mirror)
  }

  /** Resolves when both know of it. */
  async connect(other: AuditNode): Promise<void> {
    await this.network.connect(other.network.addresses())
    const knows = (one: AuditNode, peer: NodeId) => one.network.peers().some(({ nodeId }) => nodeId === peer)
    await vi.waitFor(() => expect(knows(this, other.node) && knows(other, this.node)).toBe(true), 5_000)
  }

  /** As the core asks for it. */
  auditByFile(
    { shard, infohash }: Pick<RealShard, 'shard' | 'infohash'>,
    node: AuditNode,
    options: Partial<Extract<Effect, { kind: 'audit-file' }>> = {},
  ): ReturnType<FileAuditor['audit']> {
    const peers = [node.endpoint]
    const asked = { shard, infohash, node: node.node, peers, timeoutMs: 20_000, ...options }
    return this.fileAuditor.audit({ kind: 'audit-file', ...asked })
  }

  /** Asks `auditor` for the receipt that shows that `node` failed; what the core is told. */
  async askReceipt(shard: Shard, node: NodeId, auditor: NodeId, notBeforeMs = 0): Promise<string> {
    await this.#exchange.ask({ kind: 'ask-receipt', shard, node, auditor, notBeforeMs })
    const event = this.events.at(-1)
    if (event?.kind !== 'receipt') throw new Error('the core was told nothing')
    return event.verdict
  }

  /** What lies in its staging folder. */
  async staged(): Promise<string[]> {
    return readdir(layoutOf(this.#folder).staging)
  }

  async stop(): Promise<void> {
    await this.fileAuditor.stop()
    await this.engine.stop()
    await this.network.stop()
  }
}
