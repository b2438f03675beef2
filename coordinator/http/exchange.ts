/**
 * One HTTP exchange with a service that we publish to: bounded answer, bounded time, bounded retries. Retries are made for
 * a broken connection, 429 and 5xx, after Retry-After or a doubling pause.
 */
import { type Dispatcher, request } from 'undici'
import type { Sleep } from './sleep.ts'

export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface Answer {
  readonly status: number
  /** Lower-case names; of repeated ones the first. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
}

export interface ExchangeOptions {
  readonly sleep: Sleep
  readonly answerBytesMax: number
  readonly attemptsMax?: number
  readonly timeoutMs?: number
  readonly pauseMs?: number
  /** Longest pause, and longest Retry-After that is waited for. */
  readonly pauseMsMax?: number
  /** False: only 429 and what isBusy says are tried again, since anything else may have been done already. */
  readonly idempotent?: boolean
  /** Other refusals to try again after a pause. */
  readonly isBusy?: (answer: Answer) => boolean
  readonly signal?: AbortSignal | undefined
}

export type ExchangeErrorCode = 'network' | 'too-large' | 'aborted'

export class ExchangeError extends Error {
  readonly code: ExchangeErrorCode
  constructor(code: ExchangeErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'ExchangeError'
    this.code = code
  }
}

/** The last answer, whatever its status; ExchangeError when there is none. `make` is called for each attempt (signatures carry dates). */
export async function exchange(
  make: () => Exchange | Promise<Exchange>,
  options: ExchangeOptions,
): Promise<Answer> {
  const { attemptsMax = 5, pauseMs = 1_000, pauseMsMax = 60_000, idempotent = true, sleep, signal } = options
  for (let attempt = 1; ; attempt++) {
    const last = attempt >= attemptsMax
    let waitMs = Math.min(pauseMs * 2 ** (attempt - 1), pauseMsMax)
    try {
      const answer = await once(await make(), options)
      const busy =
        answer.status === 429 || (idempotent && answer.status >= 500) || options.isBusy?.(answer) === true
      if (!busy || last) return answer
      const asked = retryAfterMs(answer)
      if (asked !== null && asked > pauseMsMax) return answer
      waitMs = asked ?? waitMs
    } catch (error) {
      const fatal = !(error instanceof ExchangeError) || error.code !== 'network' || !idempotent
      if (fatal || last) throw error
    }
    await sleep(waitMs, signal)
    if (signal?.aborted === true) throw new ExchangeError('aborted', 'stopped')
  }
}

async function once(out: Exchange, options: ExchangeOptions): Promise<Answer> {
  const { answerBytesMax, timeoutMs = 60_000, signal } = options
  const timeout = AbortSignal.timeout(timeoutMs)
  const host = new URL(out.url).host
  let response: Dispatcher.ResponseData
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  try {
    response = await request(out.url, {
      method: out.method,
      headers: out.headers,
      body: out.body ?? null,
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    })
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      sizeBytes += chunk.length
      if (sizeBytes > answerBytesMax) {
        response.body.destroy()
        throw new ExchangeError('too-large', `${host} answered with more than ${answerBytesMax} bytes`)
      }
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof ExchangeError) throw error
    if (signal?.aborted === true) throw new ExchangeError('aborted', 'stopped', { cause: error })
    const reason = timeout.aborted ? `no answer within ${timeoutMs / 1_000} s` : reasonOf(error)
    throw new ExchangeError('network', `${out.method} to ${host} failed: ${reason}`, { cause: error })
  }
  const headers = Object.entries(response.headers).map(
    ([name, value]) => [name, Array.isArray(value) ? value[0] : value] as const,
  )
  return {
    status: response.statusCode,
    headers: new Map(
      headers.flatMap(([name, value]) => (value === undefined ? [] : [[name.toLowerCase(), value] as const])),
    ),
    body: Buffer.concat(chunks),
  }
}

/** Retry-After in seconds (RFC 9110 10.2.3); dates are not used by these services. */
function retryAfterMs(answer: Answer): number | null {
  const value = answer.headers.get('retry-after')
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) * 1_000 : null
}

/** The code of a system error, never more: messages of libraries may repeat headers. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return 'connection broken'
}
