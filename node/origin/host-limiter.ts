/**
 * At most N requests at a time to one host, for the whole process (PROTOCOL 6), and a pause of the whole host when it asks
 * for one. First come, first served.
 */
import { type Clock, OriginError } from '../ports.ts'
import type { HttpClient } from './http-client.ts'
import { type Backoff, backoffMs, retryAfterMs, type Sleep } from './pace.ts'

export interface LimiterOptions {
  /** Requests in flight per host; PROTOCOL 6: 2. */
  readonly connectionsMax: number
  /** Waiting requests per host; one more fails with `busy`. */
  readonly queueMax: number
  readonly clock: Clock
  readonly sleep: Sleep
}

export interface HostLimiter {
  /** Waits for a free place at the host; the result gives it back. Rejects with OriginError `busy` or `aborted`. */
  acquire(host: string, signal?: AbortSignal): Promise<() => void>
  /** Lets nobody start at this host for so long; a longer pause stands. */
  pause(host: string, ms: number): void
  /** What is left of the host's pause. */
  pausedMs(host: string): number
}

interface Host {
  active: number
  pausedUntilMs: number
  waking: boolean
  readonly queue: (() => void)[]
}

export function createHostLimiter(options: LimiterOptions): HostLimiter {
  const hosts = new Map<string, Host>()
  const hostOf = (name: string): Host => {
    const known = hosts.get(name)
    if (known !== undefined) return known
    const made: Host = { active: 0, pausedUntilMs: 0, waking: false, queue: [] }
    hosts.set(name, made)
    return made
  }
  const leftMs = (host: Host): number =>
    Math.max(0, Math.ceil(host.pausedUntilMs - options.clock.monotonicMs()))

  const pump = (name: string, host: Host): void => {
    const waitMs = leftMs(host)
    if (waitMs > 0) {
      if (!host.waking && host.queue.length > 0) {
        host.waking = true
        void options.sleep(waitMs).then(() => {
          host.waking = false
          pump(name, host)
        })
      }
      return
    }
    while (host.active < options.connectionsMax) {
      const start = host.queue.shift()
      if (start === undefined) break
      host.active++
      start()
    }
    if (host.active === 0 && host.queue.length === 0) hosts.delete(name)
  }

  return {
    acquire(name, signal) {
      const host = hostOf(name)
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(new OriginError('aborted', `${name}: stopped`))
        if (host.queue.length >= options.queueMax) {
          return reject(
            new OriginError('busy', `${name}: more than ${options.queueMax} requests wait already`),
          )
        }
        const start = (): void => {
          signal?.removeEventListener('abort', leave)
          let held = true
          resolve(() => {
            if (!held) return
            held = false
            host.active--
            pump(name, host)
          })
        }
        const leave = (): void => {
          host.queue.splice(host.queue.indexOf(start), 1)
          reject(new OriginError('aborted', `${name}: stopped`))
        }
        signal?.addEventListener('abort', leave, { once: true })
        host.queue.push(start)
        pump(name, host)
      })
    },
    pause(name, ms) {
      const host = hostOf(name)
      host.pausedUntilMs = Math.max(host.pausedUntilMs, options.clock.monotonicMs() + ms)
    },
    pausedMs: (name) => {
      const host = hosts.get(name)
      return host === undefined ? 0 : leftMs(host)
    },
  }
}

export interface PausePolicy {
  /** Used when the host says 429 or 503 without Retry-After; grows while it goes on saying so. */
  readonly backoff: Backoff
  /** No host can make us wait longer than this at a time. */
  readonly retryAfterMaxMs: number
  readonly clock: Clock
  readonly onPause?: ((host: string, ms: number) => void) | undefined
}

/** Decorator: each request holds a place at its host until its answer is used up; 429 and 503 pause the whole host. */
export function limitPerHost(client: HttpClient, limiter: HostLimiter, policy: PausePolicy): HttpClient {
  const refusalsInRow = new Map<string, number>()
  return {
    async get(url, request, use) {
      const { pauseMaxMs = Number.POSITIVE_INFINITY } = request
      if (limiter.pausedMs(url.host) > pauseMaxMs)
        throw new OriginError('busy', `${url.host}: asked for a longer pause`)
      const release = await limiter.acquire(url.host, request.signal)
      try {
        return await client.get(url, request, (response) => {
          if (response.status === 429 || response.status === 503) {
            const refusals = refusalsInRow.get(url.host) ?? 0
            refusalsInRow.set(url.host, refusals + 1)
            const asked = retryAfterMs(
              response.header('retry-after'),
              policy.clock.wallMs(),
              policy.retryAfterMaxMs,
            )
            const pauseMs = Math.max(asked ?? 0, backoffMs(policy.backoff, asked === null ? refusals : 0))
            limiter.pause(url.host, pauseMs)
            policy.onPause?.(url.host, pauseMs)
          } else refusalsInRow.delete(url.host)
          return use(response)
        })
      } finally {
        release()
      }
    },
    close: () => client.close(),
  }
}
