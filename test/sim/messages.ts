/**
 * What goes over the wire, both ways through the product's codec and trust code. Opening and decoding is a pure function of the
 * bytes, so it is done once for each text and remembered by the identity of its bytes; nothing else is left out.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import {
  CATALOG_INDEX_DOMAIN,
  CATALOG_INDEX_TYPE,
  type CatalogIndex,
  encodeCatalogIndex,
} from '../../protocol/catalog/catalog.ts'
import {
  encodeObservation,
  OBSERVATION_DOMAIN,
  OBSERVATION_TYPE,
  type Observation,
} from '../../protocol/catalog/observation.ts'
import { bytesToHex, equalBytes } from '../../protocol/codec/bytes.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { NODE_UPDATE_DOMAIN, NODE_UPDATE_TYPE, type NodeUpdate } from '../../protocol/manifest/node-update.ts'
import {
  type Opened,
  openCatalogIndex,
  openNodeUpdate,
  openObservation,
} from '../../protocol/manifest/trust.ts'
import type { KeyRing, NodeKey } from './keys.ts'

export type Topic = 'manifests' | 'catalogs' | 'observations'

/** Texts remembered by their signature: answers hold the newest of each node, and few have thousands of nodes. */
const TEXTS_MAX = 4_096

export class Messages {
  readonly #ring: KeyRing
  readonly #coordinators: ReadonlySet<NodeId>
  readonly #updates = new WeakMap<Uint8Array, Opened<NodeUpdate>>()
  readonly #catalogs = new WeakMap<Uint8Array, Opened<CatalogIndex>>()
  readonly #observations = new WeakMap<Uint8Array, Opened<Observation>>()
  #texts = new Map<number, Uint8Array>()
  #olderTexts = new Map<number, Uint8Array>()
  opened = 0

  constructor(ring: KeyRing, coordinators: ReadonlySet<NodeId>) {
    this.#ring = ring
    this.#coordinators = coordinators
  }

  sealUpdate(key: NodeKey, payload: Uint8Array): Uint8Array {
    return key.seal(NODE_UPDATE_DOMAIN, NODE_UPDATE_TYPE, payload)
  }

  sealCatalogIndex(key: NodeKey, index: CatalogIndex): Uint8Array {
    return key.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, encodeCatalogIndex(index))
  }

  sealObservation(key: NodeKey, observation: Observation): Uint8Array {
    return key.seal(OBSERVATION_DOMAIN, OBSERVATION_TYPE, encodeObservation(observation))
  }

  /** By which others ask for a sealed text. */
  nameOf(sealed: Uint8Array): string {
    return bytesToHex(sha256(sealed))
  }

  readonly openUpdate = (bytes: Uint8Array): Opened<NodeUpdate> => {
    const known = this.#updates.get(bytes)
    if (known !== undefined) return known
    const same = this.#sameText(bytes)
    const opened = (same === undefined ? undefined : this.#updates.get(same)) ?? this.#open(bytes)
    this.#updates.set(bytes, opened)
    return opened
  }

  openCatalogs(bytes: Uint8Array): Opened<CatalogIndex> {
    let opened = this.#catalogs.get(bytes)
    if (opened === undefined) {
      opened = openCatalogIndex(bytes, this.#ring.verify, this.#coordinators)
      this.#catalogs.set(bytes, opened)
      this.opened++
    }
    return opened
  }

  readonly openObservation = (bytes: Uint8Array): Opened<Observation> => {
    let opened = this.#observations.get(bytes)
    if (opened === undefined) {
      opened = openObservation(bytes, this.#ring.verify)
      this.#observations.set(bytes, opened)
      this.opened++
    }
    return opened
  }

  #open(bytes: Uint8Array): Opened<NodeUpdate> {
    this.opened++
    return openNodeUpdate(bytes, this.#ring.verify)
  }

  /** Other bytes that are equal to these, from the first to the last; these themselves are remembered when there are none. */
  #sameText(bytes: Uint8Array): Uint8Array | undefined {
    if (bytes.length < 8) return undefined
    let key = 0
    for (let i = bytes.length - 6; i < bytes.length; i++) key = key * 256 + (bytes[i] as number)
    const known = this.#texts.get(key) ?? this.#olderTexts.get(key)
    const same = known !== undefined && equalBytes(known, bytes) ? known : undefined
    if (this.#texts.size >= TEXTS_MAX) {
      this.#olderTexts = this.#texts
      this.#texts = new Map()
    }
    this.#texts.set(key, same ?? bytes)
    return same
  }
}
