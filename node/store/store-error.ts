/** Why the store failed. `message` is one sentence for people. */
export type StoreErrorCode = 'locked' | 'missing' | 'corrupt' | 'disk' | 'closed'

export class StoreError extends Error {
  readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'StoreError'
    this.code = code
  }
}
