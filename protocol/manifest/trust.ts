/**
 * The one door by which something signed becomes trusted: the envelope is verified over the bytes received, only then are
 * they decoded (PROTOCOL 3). Nothing else makes a `Verified`.
 */

import {
  AUDIT_ANSWER_DOMAIN,
  AUDIT_ANSWER_TYPE,
  AUDIT_CHALLENGE_DOMAIN,
  AUDIT_CHALLENGE_TYPE,
  AUDIT_MESSAGE_BYTES_MAX,
  type AuditAnswer,
  type AuditChallenge,
  decodeAuditAnswer,
  decodeAuditChallenge,
} from '../audit/messages.ts'
import {
  decodePromise,
  PROMISE_BYTES_MAX,
  PROMISE_DOMAIN,
  PROMISE_TYPE,
  type PromiseToKeep,
} from '../audit/promise.ts'
import {
  CATALOG_INDEX_DOMAIN,
  CATALOG_INDEX_TYPE,
  type CatalogIndex,
  decodeCatalogIndex,
} from '../catalog/catalog.ts'
import {
  decodeObservation,
  OBSERVATION_DOMAIN,
  OBSERVATION_TYPE,
  type Observation,
} from '../catalog/observation.ts'
import { equalBytes } from '../codec/bytes.ts'
import { ShapeError } from '../codec/shape.ts'
import type { NodeId } from '../ids.ts'
import { CATALOG_INDEX_BYTES_MAX, NODE_UPDATE_BYTES_MAX, OBSERVATION_BYTES_MAX } from '../limits.ts'
import { openEnvelope } from './envelope.ts'
import {
  decodeNodeUpdate,
  encodeNodeUpdate,
  NODE_UPDATE_DOMAIN,
  NODE_UPDATE_TYPE,
  type NodeUpdate,
} from './node-update.ts'

declare const verified: unique symbol
/** A value whose signature was checked and whose signer is the one it names. */
export type Verified<T> = T & { readonly [verified]: true }

/** Checks an Ed25519 signature; node:crypto in a node, @noble in a browser. */
export type VerifySignature = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

/** Every code means: each honest node refuses these bytes, so the sender earns a reject (PROTOCOL 4). */
export type TrustErrorCode =
  | 'too-large'
  | 'malformed'
  | 'wrong-type'
  | 'bad-signature'
  | 'bad-shape'
  | 'wrong-signer'
  | 'not-a-coordinator'

export type Opened<T> =
  | { readonly ok: true; readonly value: Verified<T>; readonly signer: NodeId }
  | { readonly ok: false; readonly code: TrustErrorCode; readonly detail: string }

export function openNodeUpdate(bytes: Uint8Array, verify: VerifySignature): Opened<NodeUpdate> {
  return open(bytes, verify, {
    domain: NODE_UPDATE_DOMAIN,
    payloadType: NODE_UPDATE_TYPE,
    bytesMax: NODE_UPDATE_BYTES_MAX,
    decode: decodeNodeUpdate,
    signer: (update) => update.node,
  })
}

/**
 * Two different updates of one node with one sequence: it said two things at once (PROTOCOL 4). Null when these are not.
 * Two signatures under one text are no contradiction.
 */
export function openContradiction(
  one: Uint8Array,
  other: Uint8Array,
  verify: VerifySignature,
): { readonly node: NodeId; readonly sequence: number } | null {
  const first = openNodeUpdate(one, verify)
  const second = openNodeUpdate(other, verify)
  if (!first.ok || !second.ok || first.signer !== second.signer) return null
  return contradicts(first.value, second.value)
    ? { node: first.signer, sequence: first.value.sequence }
    : null
}

export function contradicts(one: NodeUpdate, other: NodeUpdate): boolean {
  if (one.node !== other.node || one.sequence !== other.sequence) return false
  return !equalBytes(encodeNodeUpdate(one), encodeNodeUpdate(other))
}

/** Only a coordinator of the root may sign a catalog index. */
export function openCatalogIndex(
  bytes: Uint8Array,
  verify: VerifySignature,
  coordinators: ReadonlySet<NodeId>,
): Opened<CatalogIndex> {
  const opened = open(bytes, verify, {
    domain: CATALOG_INDEX_DOMAIN,
    payloadType: CATALOG_INDEX_TYPE,
    bytesMax: CATALOG_INDEX_BYTES_MAX,
    decode: decodeCatalogIndex,
    signer: (index) => index.coordinator,
  })
  if (opened.ok && !coordinators.has(opened.signer)) {
    return { ok: false, code: 'not-a-coordinator', detail: opened.signer }
  }
  return opened
}

export function openObservation(bytes: Uint8Array, verify: VerifySignature): Opened<Observation> {
  return open(bytes, verify, {
    domain: OBSERVATION_DOMAIN,
    payloadType: OBSERVATION_TYPE,
    bytesMax: OBSERVATION_BYTES_MAX,
    decode: decodeObservation,
    signer: (observation) => observation.node,
  })
}

export function openPromise(bytes: Uint8Array, verify: VerifySignature): Opened<PromiseToKeep> {
  return open(bytes, verify, {
    domain: PROMISE_DOMAIN,
    payloadType: PROMISE_TYPE,
    bytesMax: PROMISE_BYTES_MAX,
    decode: decodePromise,
    signer: (promise) => promise.node,
  })
}

export function openAuditChallenge(bytes: Uint8Array, verify: VerifySignature): Opened<AuditChallenge> {
  return open(bytes, verify, {
    domain: AUDIT_CHALLENGE_DOMAIN,
    payloadType: AUDIT_CHALLENGE_TYPE,
    bytesMax: AUDIT_MESSAGE_BYTES_MAX,
    decode: decodeAuditChallenge,
    signer: (challenge) => challenge.auditor,
  })
}

export function openAuditAnswer(bytes: Uint8Array, verify: VerifySignature): Opened<AuditAnswer> {
  return open(bytes, verify, {
    domain: AUDIT_ANSWER_DOMAIN,
    payloadType: AUDIT_ANSWER_TYPE,
    bytesMax: AUDIT_MESSAGE_BYTES_MAX,
    decode: decodeAuditAnswer,
    signer: (answer) => answer.node,
  })
}

function open<T>(
  bytes: Uint8Array,
  verify: VerifySignature,
  kind: {
    domain: string
    payloadType: string
    bytesMax: number
    decode: (payload: Uint8Array, signer: NodeId) => T
    signer: (value: T) => NodeId
  },
): Opened<T> {
  const { domain, payloadType, bytesMax } = kind
  const envelope = openEnvelope(bytes, { domain, payloadType, verify, bytesMax })
  if (!envelope.ok) return { ok: false, code: envelope.code, detail: payloadType }
  let value: T
  try {
    value = kind.decode(envelope.payload, envelope.nodeId)
  } catch (error) {
    if (error instanceof ShapeError) return { ok: false, code: 'bad-shape', detail: error.message }
    throw error
  }
  if (kind.signer(value) !== envelope.nodeId) {
    return { ok: false, code: 'wrong-signer', detail: `signed by ${envelope.nodeId}` }
  }
  return { ok: true, value: value as Verified<T>, signer: envelope.nodeId }
}
