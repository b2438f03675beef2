/** What came of a fetch, and why one did not end in a replica. */
import type { FetchFailure } from '../../protocol/core/event.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { GateClosed } from '../pace/gate.ts'
import { OriginError, TorrentError } from '../ports.ts'

export interface Fetched {
  readonly infohash: Infohash
  readonly fromOriginBytes: number
  readonly fromSwarmBytes: number
}

/** A fetch that did not end in a replica; `message` is one sentence for people. */
export class FetchError extends Error {
  readonly code: FetchFailure | 'aborted'
  readonly infohash: Infohash | null
  constructor(
    code: FetchFailure | 'aborted',
    detail: string,
    infohash: Infohash | null = null,
    options?: ErrorOptions,
  ) {
    super(detail, options)
    this.name = 'FetchError'
    this.code = code
    this.infohash = infohash
  }
}

/** The disk or a quota is full; an engine wraps the file system's error. */
export function isDiskFull(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  if ('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) return true
  return error instanceof Error && error.cause !== undefined && isDiskFull(error.cause)
}

export function asFetchError(error: unknown, signal: AbortSignal): FetchError {
  if (error instanceof FetchError) return error
  const options = { cause: error }
  const detail = error instanceof Error ? error.message : String(error)
  if (signal.aborted) return new FetchError('aborted', 'stopped', null, options)
  if (error instanceof GateClosed && error.reason !== 'quiet-hours')
    return new FetchError(error.reason, detail, null, options)
  if (error instanceof OriginError)
    return new FetchError('origin-unavailable', `${error.code}: ${detail}`, null, options)
  if (error instanceof TorrentError && error.code !== 'disk') {
    const code = error.code === 'metadata-mismatch' ? 'bad-infohash' : 'swarm-failed'
    return new FetchError(code, detail, null, options)
  }
  return new FetchError(isDiskFull(error) ? 'disk-full' : 'disk-error', detail, null, options)
}
