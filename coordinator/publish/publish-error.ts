/** Why something could not be published; `detail` is one sentence for people and never holds a secret. */
export type PublishErrorCode =
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'too-large'
  | 'busy'
  | 'conflict'
  | 'rejected'
  | 'server'
  | 'network'
  | 'disk'
  | 'aborted'

export class PublishError extends Error {
  readonly code: PublishErrorCode
  constructor(code: PublishErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'PublishError'
    this.code = code
  }
}
