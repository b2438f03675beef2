/**
 * The TUF repository (TUF 1.0.31): one delegated role a cycle for its .torrent files, top-level targets for the plain files,
 * snapshot, timestamp. tuf-js caps a role at 5 MB, hence a role per cycle. Versions are unix minutes at least, so that a
 * coordinator that lost its state does not look like a rollback.
 */
import type { Cycle } from '../../protocol/ids.ts'
import type { FederationKeys, Role, SigningKey } from '../federation/keys.ts'
import { consistentName, METADATA_FOLDER, type PublishFile, sha256Hex } from './publish-file.ts'
import { keyId, SPEC_VERSION, sealMetadata, tufKey, tufTime } from './tuf-envelope.ts'

const DAY_MS = 86_400_000
/** Slow facts live long; a frozen mirror is noticed by the timestamp (TUF 1.5.2). */
export const LIFETIMES_MS = { targets: 180 * DAY_MS, snapshot: 30 * DAY_MS, timestamp: 7 * DAY_MS } as const

export interface TufTarget {
  /** Without the hash that consistent snapshots add. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly custom?: Readonly<Record<string, string | number | null>>
}

/** What must be remembered of a signed role, to keep its bytes while nothing changed and its version growing. */
export interface RoleState {
  readonly version: number
  readonly expiresAtMs: number
  /** sha256 over what the role says, without version and dates. */
  readonly content: string
}

export interface TufState {
  readonly targets: RoleState
  readonly snapshot: RoleState
  readonly timestamp: RoleState
  readonly cycles: Readonly<Record<string, RoleState>>
}

export interface TufOptions {
  /** The bytes of `1.root.json`. */
  readonly root: Uint8Array
  readonly keys: FederationKeys
  readonly cycles: ReadonlyMap<Cycle, readonly TufTarget[]>
  readonly topTargets: readonly TufTarget[]
  readonly previous: TufState | null
  readonly nowMs: number
}

export interface TufRepository {
  /** In writing order, timestamp.json last. */
  readonly files: readonly PublishFile[]
  readonly state: TufState
}

interface Signed {
  readonly file: PublishFile
  readonly state: RoleState
}

/** Signs the whole repository. Deterministic: same input and previous state, same bytes. */
export function writeTufRepository(options: TufOptions): TufRepository {
  const { keys, previous } = options
  const sign = (role: Exclude<Role, 'root'>, name: string, before: RoleState | undefined, content: object) =>
    signRole({ type: role, name, key: keys.roles[role], before, content, nowMs: options.nowMs })

  // A role once listed in a snapshot must stay listed (TUF 5.5.5): a cycle without shards gets an empty role.
  const cycles = new Map<string, readonly TufTarget[]>(options.cycles)
  for (const cycle of Object.keys(previous?.cycles ?? {})) if (!cycles.has(cycle)) cycles.set(cycle, [])
  const names = [...cycles.keys()].sort()
  const targetFiles: PublishFile[] = []
  const addTargets = (targets: readonly TufTarget[]) => targetsField(targets, targetFiles)

  const delegated = new Map<string, Signed>()
  for (const cycle of names) {
    const content = { _type: 'targets', targets: addTargets(cycles.get(cycle) ?? []) }
    delegated.set(cycle, sign('targets', cycle, previous?.cycles[cycle], content))
  }
  const targetsKey = keys.roles.targets
  const targets = sign('targets', 'targets', previous?.targets, {
    _type: 'targets',
    targets: addTargets(options.topTargets),
    delegations: {
      keys: { [keyId(targetsKey)]: tufKey(targetsKey) },
      roles: names.map((cycle) => ({
        name: cycle,
        keyids: [keyId(targetsKey)],
        threshold: 1,
        terminating: true,
        paths: [`${cycle}/*`],
      })),
    },
  })
  const meta = Object.fromEntries(
    [...delegated, ['targets', targets] as const].map(([name, role]) => [`${name}.json`, metaOf(role)]),
  )
  const snapshot = sign('snapshot', 'snapshot', previous?.snapshot, { _type: 'snapshot', meta })
  const timestamp = sign('timestamp', 'timestamp', previous?.timestamp, {
    _type: 'timestamp',
    meta: { 'snapshot.json': metaOf(snapshot) },
  })
  return {
    files: [
      ...targetFiles,
      jsonFile('1.root.json', options.root, false),
      ...[...delegated.values()].map((role) => role.file),
      targets.file,
      snapshot.file,
      timestamp.file,
    ],
    state: {
      targets: targets.state,
      snapshot: snapshot.state,
      timestamp: timestamp.state,
      cycles: Object.fromEntries([...delegated].map(([cycle, role]) => [cycle, role.state])),
    },
  }
}

function targetsField(targets: readonly TufTarget[], files: PublishFile[]): object {
  const sorted = [...targets].sort((a, b) => (a.path < b.path ? -1 : 1))
  return Object.fromEntries(
    sorted.map((target) => {
      const sha256 = sha256Hex(target.bytes)
      const { bytes, contentType } = target
      files.push({ path: consistentName(target.path, sha256), bytes, contentType, mutable: false })
      const custom = target.custom === undefined ? {} : { custom: target.custom }
      return [target.path, { length: bytes.length, hashes: { sha256 }, ...custom }]
    }),
  )
}

/** A new version when the content changed or half of the life is over; else the same bytes as before. */
function signRole(role: {
  type: Exclude<Role, 'root'>
  name: string
  key: SigningKey
  before: RoleState | undefined
  content: object
  nowMs: number
}): Signed {
  const { type, name, key, before, content, nowMs } = role
  const lifetimeMs = LIFETIMES_MS[type]
  const digest = sha256Hex(Buffer.from(JSON.stringify(content)))
  const fresh =
    before !== undefined && before.content === digest && before.expiresAtMs - nowMs > lifetimeMs / 2
  // PROTOCOL 3: version = unix minutes; more than one in a minute counts on.
  const version = Math.max((before?.version ?? 0) + 1, Math.floor(nowMs / 60_000))
  const state = fresh ? before : { version, expiresAtMs: nowMs + lifetimeMs, content: digest }
  const signed = {
    spec_version: SPEC_VERSION,
    version: state.version,
    expires: tufTime(state.expiresAtMs),
    ...content,
  }
  const bytes = sealMetadata(signed, key)
  const pointer = type === 'timestamp'
  return {
    file: jsonFile(pointer ? 'timestamp.json' : `${state.version}.${name}.json`, bytes, pointer),
    state,
  }
}

function metaOf(role: Signed) {
  const { bytes } = role.file
  return { version: role.state.version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } }
}

function jsonFile(name: string, bytes: Uint8Array, mutable: boolean): PublishFile {
  return { path: `${METADATA_FOLDER}/${name}`, bytes, contentType: 'application/json', mutable }
}
