/** One file of a publication, and where things lie in it. */
import { createHash } from 'node:crypto'

export interface PublishFile {
  /** Relative, `/` between elements. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly contentType: string
  /** False: the name never gets other bytes, so caches may keep it for ever. */
  readonly mutable: boolean
}

/** In the order in which the files must be written: what is pointed at, before what points. */
export type Publication = ReadonlyMap<string, PublishFile>

export const METADATA_FOLDER = 'metadata'
export const TARGETS_FOLDER = 'targets'

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Name of a target under consistent snapshots (TUF 6.2): the hash before the last element of the path. */
export function consistentName(path: string, sha256: string): string {
  const slash = path.lastIndexOf('/') + 1
  return `${TARGETS_FOLDER}/${path.slice(0, slash)}${sha256}.${path.slice(slash)}`
}
