/** A place where a publication goes. Publishing the same files again is harmless and cheap. */
import type { Publication } from './publish-file.ts'

export interface PublishReport {
  /** Files written, and files that were there already with these bytes. */
  readonly written: number
  readonly skipped: number
}

export interface PublishTarget {
  /** For the log and the status: `folder`, `r2`, `gist`. */
  readonly name: string
  /** Writes in the publication's order and stops at the first failure, so a pointer never points at what is missing. Rejects with PublishError. */
  publish(files: Publication, signal?: AbortSignal): Promise<PublishReport>
}
