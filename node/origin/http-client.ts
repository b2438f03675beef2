/** The small interface that the decorators wrap: one request, whose answer is used inside a bracket and then let go. */

export interface HttpRequest {
  /** GET unless it is said; a HEAD has no body. */
  readonly method?: 'GET' | 'HEAD'
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** Rather than wait longer than this for a host that asked for a pause, the request fails with `busy`. */
  readonly pauseMaxMs?: number | undefined
}

export interface HttpResponse {
  readonly status: number
  /** A header's value, first 1,000 characters; null when absent or sent more than once. */
  header(name: string): string | null
  /** The raw bytes as sent (nothing is decoded). Errors while reading are OriginErrors. */
  readonly body: AsyncIterable<Uint8Array>
}

export interface HttpClient {
  /**
   * Sends one request and gives the answer to `use`; when that ends, the rest of the body is dropped. Rejects with OriginError
   * `network` or `aborted`, or with what `use` threw.
   */
  get<T>(url: URL, request: HttpRequest, use: (response: HttpResponse) => Promise<T>): Promise<T>
  close(): Promise<void>
}
