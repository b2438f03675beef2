/** Why the Internet Archive does not hold what it should; `detail` is one sentence for people and never holds a secret. */
export type ArchiveErrorCode =
  /** The item was withdrawn (`is_dark`): never tried again. */
  | 'dark'
  /** Both names for the shard belong to somebody else's item. */
  | 'identifier-taken'
  | 'bad-identifier'
  | 'unauthorized'
  | 'forbidden'
  /** More than 1 TiB in one item. */
  | 'too-large'
  /** Refused for good, for example as spam. */
  | 'refused'
  /** SlowDown or the queue limit lasted longer than we wait: try again later. */
  | 'busy'
  /** The bytes on disk, or those that arrived, are not those of the digest. */
  | 'bad-digest'
  /** A file of the item has other bytes than ours. */
  | 'mismatch'
  /** Accepted, but not shown by the metadata in time: try again later. */
  | 'not-visible'
  | 'not-found'
  | 'bad-answer'
  | 'network'
  | 'disk'
  | 'aborted'

export class ArchiveError extends Error {
  readonly code: ArchiveErrorCode
  constructor(code: ArchiveErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'ArchiveError'
    this.code = code
  }
}
