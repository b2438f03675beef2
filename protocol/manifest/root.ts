/**
 * The root document of a federation: a TUF root (TUF 4.3) with one more signed field, `wikiseed`, which holds what all
 * nodes must share. Its first version names the federation for ever (PROTOCOL 0): federation id = sha256 of the bytes.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, hexToBytes, utf8FromBytes } from '../codec/bytes.ts'
import { parseMinisignPublicKey } from '../codec/minisign.ts'
import { olpcJsonBytes } from '../codec/olpc-json.ts'
import { branded, integer, list, map, oneOf, record, ShapeError, text } from '../codec/shape.ts'
import { type FederationId, isNodeId, type NodeId } from '../ids.ts'
import { ENDPOINTS_MAX, TEXT_BYTES_MAX } from '../limits.ts'
import { type ParameterChange, readParameters } from '../parameters.ts'
import type { VerifySignature } from './trust.ts'

/** What tuf-js accepts too. */
export const ROOT_BYTES_MAX = 512_000
export const COORDINATORS_MAX = 64
/** Changes of the parameters that one root announces. */
export const PARAMETER_CHANGES_MAX = 64
const KEYS_MAX = 64
const SIGNATURES_MAX = 64

export interface CoordinatorEntry {
  readonly nodeId: NodeId
  readonly operator: string
  /** Where it can be dialled, each with its /p2p/ id. */
  readonly multiaddrs: readonly string[]
}

export interface RootDocument {
  readonly version: number
  readonly expiresAtMs: number
  readonly name: string
  readonly coordinators: readonly CoordinatorEntry[]
  /** In order of activation; at least one. */
  readonly parameterChanges: readonly ParameterChange[]
  /** The text of line 2 of a minisign public key file. */
  readonly minisignPublicKey: string
}

export interface FirstRoot extends RootDocument {
  readonly federationId: FederationId
}

/** Reads `1.root.json`, the one that names the federation. Throws ShapeError as readRootDocument does. */
export function readRoot(bytes: Uint8Array, verify: VerifySignature): FirstRoot {
  const root = readRootDocument(bytes, verify)
  if (root.version !== 1)
    throw new ShapeError('root.signed.version', '1, since the first root names the federation')
  return { ...root, federationId: bytesToHex(sha256(bytes)) as FederationId }
}

/**
 * Reads a root of any version and checks that it signs itself with a threshold of its own root keys (TUF 5.3.4). That says
 * the bytes are whole and from the holders of these keys; whether to trust them, the caller knows by the federation id or by
 * the chain of roots. Throws ShapeError on anything wrong, signatures included.
 */
export function readRootDocument(bytes: Uint8Array, verify: VerifySignature): RootDocument {
  if (bytes.length > ROOT_BYTES_MAX) throw new ShapeError('root', `at most ${ROOT_BYTES_MAX} bytes`)
  const envelope = record(parseJson(bytes), 'root')
  const signed = record(envelope.signed, 'root.signed')
  checkSelfSigned(signed, envelope.signatures, verify)

  oneOf(signed._type, 'root.signed._type', ['root'])
  if (!/^1\.0\.\d{1,3}$/.test(text(signed.spec_version, 'root.signed.spec_version', 16))) {
    throw new ShapeError('root.signed.spec_version', '1.0.x')
  }
  if (signed.consistent_snapshot !== true) throw new ShapeError('root.signed.consistent_snapshot', 'true')
  const expiresAtMs = Date.parse(text(signed.expires, 'root.signed.expires', 32))
  if (!Number.isSafeInteger(expiresAtMs)) throw new ShapeError('root.signed.expires', 'a date')

  const path = 'root.signed.wikiseed'
  const ours = record(signed.wikiseed, path, ['name', 'parameters', 'coordinators', 'minisign'])
  const changes = list(ours.parameters, `${path}.parameters`, PARAMETER_CHANGES_MAX, readChange)
  if (changes.length === 0) throw new ShapeError(`${path}.parameters`, 'at least one set of parameters')
  if (changes.some((change, i) => i > 0 && change.activatesAtMs <= (changes[i - 1]?.activatesAtMs ?? 0))) {
    throw new ShapeError(`${path}.parameters`, 'growing activation dates')
  }
  const coordinators = list(ours.coordinators, `${path}.coordinators`, COORDINATORS_MAX, readCoordinator)
  if (new Set(coordinators.map((entry) => entry.nodeId)).size !== coordinators.length) {
    throw new ShapeError(`${path}.coordinators`, 'each node once')
  }
  const minisignPublicKey = text(ours.minisign, `${path}.minisign`, 56)
  if (parseMinisignPublicKey(minisignPublicKey) === null)
    throw new ShapeError(`${path}.minisign`, 'a minisign public key')

  return {
    version: integer(signed.version, 'root.signed.version', 1),
    expiresAtMs,
    name: text(ours.name, `${path}.name`, TEXT_BYTES_MAX),
    coordinators,
    parameterChanges: changes,
    minisignPublicKey,
  }
}

function readChange(value: unknown, path: string): ParameterChange {
  const fields = record(value, path, ['activatesAtMs', 'values'])
  return {
    activatesAtMs: integer(fields.activatesAtMs, `${path}.activatesAtMs`),
    values: readParameters(fields.values, `${path}.values`),
  }
}

function readCoordinator(value: unknown, path: string): CoordinatorEntry {
  const fields = record(value, path, ['nodeId', 'operator', 'multiaddrs'])
  return {
    nodeId: branded(isNodeId, 'a peer id')(fields.nodeId, `${path}.nodeId`),
    operator: text(fields.operator, `${path}.operator`, TEXT_BYTES_MAX),
    multiaddrs: list(fields.multiaddrs, `${path}.multiaddrs`, ENDPOINTS_MAX, (item, at) =>
      text(item, at, TEXT_BYTES_MAX),
    ),
  }
}

/** TUF signs a canonical form of the parsed value, not the bytes, so here parsing comes first by design. */
function checkSelfSigned(
  signed: Readonly<Record<string, unknown>>,
  signatures: unknown,
  verify: VerifySignature,
): void {
  const keys = map(signed.keys, 'root.signed.keys', KEYS_MAX, readKey)
  for (const [keyId, key] of keys) {
    if (keyId !== key.id)
      throw new ShapeError(`root.signed.keys.${keyId}`, 'an id that is the sha256 of its key')
  }
  const roles = record(signed.roles, 'root.signed.roles')
  const role = record(roles.root, 'root.signed.roles.root')
  const path = 'root.signed.roles.root'
  const wanted = new Set(list(role.keyids, `${path}.keyids`, KEYS_MAX, (item, at) => text(item, at, 64)))
  const threshold = integer(role.threshold, `${path}.threshold`, 1, KEYS_MAX)
  let message: Uint8Array
  try {
    message = olpcJsonBytes(signed)
  } catch (error) {
    throw new ShapeError(
      'root.signed',
      `a value with a canonical form (${error instanceof Error ? error.message : 'unknown'})`,
    )
  }
  // Distinct keys count, not signatures (TUF 4.2.1).
  const good = new Set<string>()
  for (const { keyId, signature } of list(signatures, 'root.signatures', SIGNATURES_MAX, readSignature)) {
    const key = keys.get(keyId)
    if (key !== undefined && wanted.has(keyId) && verify(key.publicKey, message, signature)) good.add(keyId)
  }
  if (good.size < threshold)
    throw new ShapeError('root.signatures', `${threshold} good signatures of its own root keys`)
}

function readKey(value: unknown, path: string): { id: string; publicKey: Uint8Array } {
  const fields = record(value, path, ['keytype', 'scheme', 'keyval'])
  oneOf(fields.keytype, `${path}.keytype`, ['ed25519'])
  oneOf(fields.scheme, `${path}.scheme`, ['ed25519'])
  const keyval = record(fields.keyval, `${path}.keyval`, ['public'])
  return {
    id: bytesToHex(sha256(olpcJsonBytes(value))),
    publicKey: hex(keyval.public, `${path}.keyval.public`, 32),
  }
}

function readSignature(value: unknown, path: string): { keyId: string; signature: Uint8Array } {
  const fields = record(value, path, ['keyid', 'sig'])
  return { keyId: text(fields.keyid, `${path}.keyid`, 64), signature: hex(fields.sig, `${path}.sig`, 64) }
}

function hex(value: unknown, path: string, lengthBytes: number): Uint8Array {
  const digits = text(value, path, lengthBytes * 2)
  if (digits.length !== lengthBytes * 2 || !/^[0-9a-f]+$/.test(digits))
    throw new ShapeError(path, `${lengthBytes} bytes in hex`)
  return hexToBytes(digits)
}

function parseJson(bytes: Uint8Array): unknown {
  const json = utf8FromBytes(bytes)
  if (json === null) throw new ShapeError('root', 'UTF-8')
  try {
    return JSON.parse(json)
  } catch {
    throw new ShapeError('root', 'JSON')
  }
}
