/**
 * Keeps our ports forwarded by the home router, for who said so: asks each way in turn until one works, renews long before a
 * mapping ends, tries again at a growing distance, and takes away what it made when it stops.
 */
import { networkOfAddress } from '../../protocol/placement/network.ts'
import { backoffMs, type Sleep } from '../origin/pace.ts'
import type { Clock, Log, OwnPort, PortMapping, Router } from '../ports.ts'

/** How it stands with one port. */
export interface MappedPort extends OwnPort {
  /** Who forwards it: `NAT-PMP`, `UPnP`; null: nobody does now. */
  readonly by: string | null
  readonly mapping: PortMapping | null
  /** Why it is not forwarded, or of no use although it is; null: all is well, or it was not asked for yet. */
  readonly error: string | null
}

export interface PortMapperOptions {
  /** Asked in this order. */
  readonly routers: readonly Router[]
  /** The first moment that they are known, and not before. */
  readonly ports: readonly OwnPort[]
  readonly clock: Clock
  readonly sleep: Sleep
  readonly random: () => number
  readonly log: Log
  /** Where others reach us changed. */
  readonly changed: () => void
}

/** One request, with everything that belongs to it. */
const TRY_MAX_MS = 30_000
/** At most this long, so that a router which was started anew forwards again soon. */
const RENEW_MAX_MS = 10 * 60_000
/** At least: a lease of seconds must not make a flood. */
const RENEW_MIN_MS = 30_000
/** After a failure: from half a minute to half an hour. */
const AGAIN = { baseMs: 60_000, maxMs: 30 * 60_000 }
/** All that is taken away at the end. */
const UNMAP_MAX_MS = 5_000

interface Row {
  readonly own: OwnPort
  router: Router | null
  mapping: PortMapping | null
  endsAtMs: number
  error: string | null
}

export class PortMapper {
  readonly #options: PortMapperOptions
  readonly #rows: readonly Row[]
  readonly #stopping = new AbortController()
  #loop: Promise<void> = Promise.resolve()

  constructor(options: PortMapperOptions) {
    this.#options = options
    this.#rows = options.ports.map((own) => ({ own, router: null, mapping: null, endsAtMs: 0, error: null }))
  }

  start(): void {
    this.#loop = this.#run()
  }

  ports(): MappedPort[] {
    return this.#rows.map(({ own, router, mapping, error }) => ({
      ...own,
      by: router?.name ?? null,
      mapping,
      error: error ?? (mapping === null ? null : problemOf(mapping)),
    }))
  }

  /** Takes the mappings away; who does not answer in time keeps them until they end. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'))
    await this.#loop
    const signal = AbortSignal.timeout(UNMAP_MAX_MS)
    await Promise.all(this.#rows.map((row) => this.#unmap(row, signal)))
  }

  async #run(): Promise<void> {
    const { sleep, random } = this.#options
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      const before = shownOf(this.#rows)
      // One after the other: simple routers serve one at a time.
      for (const row of this.#rows) if (!signal.aborted) await this.#renew(row)
      if (signal.aborted) return
      if (shownOf(this.#rows) !== before) this.#options.changed()
      const failed = this.#rows.some((row) => row.error !== null)
      const waitMs = failed ? backoffMs({ ...AGAIN, random }, failures++) : RENEW_MAX_MS
      if (!failed) failures = 0
      await sleep(Math.min(waitMs, this.#soonestMs()), signal).catch(() => {})
    }
  }

  /** Half the shortest life that is left. */
  #soonestMs(): number {
    const nowMs = this.#options.clock.monotonicMs()
    const livesMs = this.#rows.map((row) =>
      row.mapping === null ? Number.POSITIVE_INFINITY : row.endsAtMs - nowMs,
    )
    return Math.max(RENEW_MIN_MS, Math.min(...livesMs) / 2)
  }

  async #renew(row: Row): Promise<void> {
    const { routers, clock, log } = this.#options
    const { name, port } = row.own
    const errors: string[] = []
    // The one that did it before comes first; both at once would make two mappings.
    const order = row.router === null ? routers : [row.router, ...routers.filter((one) => one !== row.router)]
    for (const router of order) {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(TRY_MAX_MS)])
      try {
        const externalPort = row.mapping?.externalPort ?? port
        const mapping = await router.map(row.own, { externalPort, signal })
        if (row.mapping === null || row.router !== router)
          log.info({ name, port, by: router.name, ...mapping }, 'the router forwards a port')
        row.router = router
        row.mapping = mapping
        row.endsAtMs = clock.monotonicMs() + (mapping.lifetimeMs ?? Number.POSITIVE_INFINITY)
        row.error = null
        return
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        const reason = error instanceof Error ? error.message : String(error)
        errors.push(`${router.name}: ${signal.aborted ? 'no answer' : reason}`)
      }
    }
    const text = errors.join('; ')
    if (text !== row.error) log.warn({ name, port, error: text }, 'no router forwards a port')
    row.error = text
    // What stands goes on until its time is over: a router may be silent for a moment.
    if (clock.monotonicMs() < row.endsAtMs) return
    row.router = null
    row.mapping = null
  }

  async #unmap({ router, mapping, own }: Row, signal: AbortSignal): Promise<void> {
    if (router === null || mapping === null) return
    try {
      await router.unmap(mapping, signal)
    } catch (error) {
      this.#options.log.warn({ ...own, error: String(error) }, 'a mapping stays in the router until it ends')
    }
  }
}

function shownOf(rows: readonly Row[]): string {
  return rows.map(({ mapping }) => `${mapping?.externalHost}:${mapping?.externalPort}`).join()
}

function problemOf({ externalHost }: PortMapping): string | null {
  return networkOfAddress(externalHost) === null
    ? `the router's own outside address ${externalHost} is not public: there is another router before it`
    : null
}
