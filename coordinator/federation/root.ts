/** Writes the root document that creates a federation (TUF 4.3; PROTOCOL 0, 3). */

import { verifyEd25519 } from '../../node/net/signature.ts'
import { encodeMinisignPublicKey } from '../../protocol/codec/minisign.ts'
import type { CoordinatorEntry } from '../../protocol/manifest/root.ts'
import { readRoot } from '../../protocol/manifest/root.ts'
import type { ParameterChange, Parameters } from '../../protocol/parameters.ts'
import { keyId, sealMetadata, tufKey, tufTime } from '../publish/tuf-envelope.ts'
import { type FederationKeys, ROLES } from './keys.ts'

export interface RootOptions {
  readonly name: string
  /** Hold from `nowMs` on. */
  readonly parameters: Parameters
  readonly coordinators: readonly CoordinatorEntry[]
  readonly nowMs: number
  readonly expiresAtMs: number
  readonly keys: FederationKeys
}

/** The bytes of `1.root.json`. Throws ShapeError when a node would refuse them. */
export function createRoot(options: RootOptions): Uint8Array {
  const { keys } = options
  const change: ParameterChange = { activatesAtMs: options.nowMs, values: options.parameters }
  const signed = {
    _type: 'root',
    spec_version: '1.0.31',
    version: 1,
    expires: tufTime(options.expiresAtMs),
    consistent_snapshot: true,
    keys: Object.fromEntries(ROLES.map((role) => [keyId(keys.roles[role]), tufKey(keys.roles[role])])),
    roles: Object.fromEntries(
      ROLES.map((role) => [role, { keyids: [keyId(keys.roles[role])], threshold: 1 }]),
    ),
    wikiseed: {
      name: options.name,
      parameters: [change],
      coordinators: options.coordinators,
      minisign: encodeMinisignPublicKey(keys.minisign),
    },
  }
  const bytes = sealMetadata(signed, keys.roles.root)
  readRoot(bytes, verifyEd25519)
  return bytes
}
