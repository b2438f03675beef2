/** Why a request to another node got no answer. */
export type RequestErrorCode =
  /** No connection, and none could be made. */
  | 'unreachable'
  /** The other node does not speak this protocol. */
  | 'unsupported'
  | 'timed-out'
  /** The answer is above STREAM_MESSAGE_BYTES_MAX. */
  | 'too-large'
  /** The other side refused or closed the stream: it was busy, or its handler threw. */
  | 'refused'

/** What `Network.request` rejects with, but for a RangeError when the request itself is too large. */
export class RequestError extends Error {
  readonly code: RequestErrorCode
  constructor(code: RequestErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'RequestError'
    this.code = code
  }
}
