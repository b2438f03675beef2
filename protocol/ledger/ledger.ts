/**
 * The union of all node manifests (PROTOCOL 4): highest sequence per node wins, so it is a conflict-free replicated type by
 * construction. Indexed by shard. Holds no clock: whoever asks says what time it is.
 */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import { LEDGER_NODES_MAX } from '../limits.ts'
import type { AuditRecord, Entry, NodeManifest } from '../manifest/node-manifest.ts'
import type { Verified } from '../manifest/trust.ts'
import type { Parameters } from '../parameters.ts'

/** What became of a manifest that was offered. Only `accepted` changes anything; none of the others costs score. */
export type Acceptance = 'accepted' | 'old' | 'repeated' | 'future' | 'expired' | 'full'

/** live: heard within its ttl. resting: silent, but for less than restMs. gone: forgotten after goneMs. */
export type Standing = 'live' | 'resting' | 'absent' | 'gone'

/** A node's claimed or held entry, with what this node saw of its growth. */
export interface Placed {
  readonly node: NodeId
  readonly entry: Entry
  /** Wall clock of the observer when `done` or the state last changed. */
  readonly changedAtMs: number
}

/** An audit of one replica as one auditor reported it. */
export interface Reported {
  readonly auditor: NodeId
  readonly audit: AuditRecord
}

export class Ledger {
  readonly #manifests = new Map<NodeId, Verified<NodeManifest>>()
  readonly #placed = new Map<ShardKey, Map<NodeId, Placed>>()
  readonly #refuted = new Map<ShardKey, Map<NodeId, Infohash[]>>()
  /** shard -> audited node -> auditor -> latest record. */
  readonly #audits = new Map<ShardKey, Map<NodeId, Map<NodeId, AuditRecord>>>()

  /** Takes a manifest if it is newer than what is known of its node and believable now (PROTOCOL 4). */
  accept(manifest: Verified<NodeManifest>, nowMs: number, parameters: Parameters): Acceptance {
    if (manifest.issuedAtMs > nowMs + parameters.clockSkewMs) return 'future'
    if (manifest.issuedAtMs < nowMs - parameters.goneMs) return 'expired'
    const known = this.#manifests.get(manifest.node)
    if (known !== undefined && manifest.sequence < known.sequence) return 'old'
    if (known !== undefined && manifest.sequence === known.sequence) return 'repeated'
    if (known === undefined && this.#manifests.size >= LEDGER_NODES_MAX) return 'full'
    this.#unindex(known)
    this.#manifests.set(manifest.node, manifest)
    this.#index(manifest, known, nowMs)
    return 'accepted'
  }

  /** Drops nodes that have been silent beyond goneMs; returns them. */
  forgetGone(nowMs: number, parameters: Parameters): NodeId[] {
    const gone: NodeId[] = []
    for (const [node, manifest] of this.#manifests) {
      if (this.#standingOf(manifest, nowMs, parameters) !== 'gone') continue
      this.#unindex(manifest)
      for (const entry of manifest.entries) this.#placed.get(entry.shard)?.delete(node)
      this.#manifests.delete(node)
      gone.push(node)
    }
    return gone
  }

  manifest(node: NodeId): Verified<NodeManifest> | undefined {
    return this.#manifests.get(node)
  }

  nodes(): IterableIterator<Verified<NodeManifest>> {
    return this.#manifests.values()
  }

  /** Who runs it: the declared operator, else the node itself (PROTOCOL 0). */
  operator(node: NodeId): string {
    const declared = this.#manifests.get(node)?.operator
    return declared === undefined || declared === '' ? node : declared
  }

  /** Live iff issuedAt lies within [now - ttl - skew, now + skew] (PROTOCOL 4). */
  standing(node: NodeId, nowMs: number, parameters: Parameters): Standing {
    const manifest = this.#manifests.get(node)
    return manifest === undefined ? 'gone' : this.#standingOf(manifest, nowMs, parameters)
  }

  /** Claimed and held entries of all known nodes for a shard. */
  placed(shard: ShardKey): Placed[] {
    return [...(this.#placed.get(shard)?.values() ?? [])]
  }

  placedBy(shard: ShardKey, node: NodeId): Placed | undefined {
    return this.#placed.get(shard)?.get(node)
  }

  /** Infohashes that nodes said are wrong for this shard. */
  refuted(shard: ShardKey): { node: NodeId; infohash: Infohash }[] {
    const out: { node: NodeId; infohash: Infohash }[] = []
    for (const [node, infohashes] of this.#refuted.get(shard) ?? []) {
      for (const infohash of infohashes) out.push({ node, infohash })
    }
    return out
  }

  /** The latest audit of a replica by each auditor. */
  audits(shard: ShardKey, node: NodeId): Reported[] {
    const reports = this.#audits.get(shard)?.get(node)
    return reports === undefined ? [] : [...reports].map(([auditor, audit]) => ({ auditor, audit }))
  }

  #standingOf(manifest: NodeManifest, nowMs: number, parameters: Parameters): Standing {
    const silentMs = nowMs - manifest.issuedAtMs
    if (silentMs <= manifest.ttlMs + parameters.clockSkewMs) return 'live'
    if (silentMs <= manifest.ttlMs + parameters.clockSkewMs + parameters.restMs) return 'resting'
    return silentMs <= parameters.goneMs ? 'absent' : 'gone'
  }

  #index(manifest: NodeManifest, before: NodeManifest | undefined, nowMs: number): void {
    const { node } = manifest
    for (const entry of manifest.entries) {
      if (entry.state === 'dropped') {
        if (entry.infohash !== null) {
          const list = inner(this.#refuted, entry.shard).get(node) ?? []
          inner(this.#refuted, entry.shard).set(node, [...list, entry.infohash])
        }
        continue
      }
      const placed = inner(this.#placed, entry.shard)
      const last = placed.get(node)
      const unchanged =
        last !== undefined && last.entry.state === entry.state && last.entry.done === entry.done
      placed.set(node, { node, entry, changedAtMs: unchanged ? last.changedAtMs : nowMs })
    }
    if (before !== undefined) this.#forgetEntriesNotIn(manifest, before)
    for (const audit of manifest.audits) inner(inner(this.#audits, audit.shard), audit.node).set(node, audit)
  }

  /** `placed` keeps the last entry until the new manifest is in, so that growth can be compared; the rest goes here. */
  #forgetEntriesNotIn(manifest: NodeManifest, before: NodeManifest): void {
    const kept = new Set(
      manifest.entries.filter((entry) => entry.state !== 'dropped').map((entry) => entry.shard),
    )
    for (const entry of before.entries) {
      if (entry.state === 'dropped' || kept.has(entry.shard)) continue
      this.#placed.get(entry.shard)?.delete(manifest.node)
    }
  }

  #unindex(manifest: NodeManifest | undefined): void {
    if (manifest === undefined) return
    for (const entry of manifest.entries) this.#refuted.get(entry.shard)?.delete(manifest.node)
    for (const audit of manifest.audits) this.#audits.get(audit.shard)?.get(audit.node)?.delete(manifest.node)
  }
}

function inner<K, L, V>(outer: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let map = outer.get(key)
  if (map === undefined) {
    map = new Map()
    outer.set(key, map)
  }
  return map
}
