/** One exchange with a program on this machine or near it: bounded answer, bounded time, no redirect, no secret in an error. */
import { TorrentError } from '../ports.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export interface Exchange {
  /** Who is asked, for errors. */
  readonly program: string
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** A POST when there is one. */
  readonly body?: string | FormData | URLSearchParams
  readonly signal?: AbortSignal
}

/** About 1 KiB a torrent, for the 10,000 that an engine takes, and for what else its user has. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const TIMEOUT_MS = 30_000

/** Whatever the status is. Rejects with TorrentError `engine`. */
export async function exchange({ program, url, headers, body, signal }: Exchange): Promise<Answer> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const response = await fetch(url, {
      // It may carry a password, which goes to nobody else.
      redirect: 'error',
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { method: 'POST', body }),
    })
    return { status: response.status, headers: response.headers, text: await textOf(response) }
  } catch (error) {
    const reason = error instanceof TooLarge ? error.message : timeout.aborted ? 'no answer' : reasonOf(error)
    throw new TorrentError('engine', `${program} at ${url.origin}: ${reason}`)
  }
}

/** Throws TorrentError `engine`. */
export function parseJson(program: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new TorrentError('engine', `${program} answered something that is no JSON`)
  }
}

class TooLarge extends Error {}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length
    if (sizeBytes > ANSWER_BYTES_MAX) throw new TooLarge(`more than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The code of a system error and never more: messages of libraries may repeat headers. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string') return cause.code
  return 'the connection broke'
}
