/**
 * The suite of TorrentEngine where another program seeds: real qBittorrent and Transmission, as Debian has them. They are started
 * once and given back empty, since each test wants up to four. What they do not do is told by the traits.
 */
import { afterAll, describe, expect, it, vi } from 'vitest'
import { OutsideEngine } from '../../node/engines/outside-engine.ts'
import { QBittorrent } from '../../node/engines/qbittorrent.ts'
import type { SeedClient } from '../../node/engines/seed-client.ts'
import { Transmission } from '../../node/engines/transmission.ts'
import type { TorrentEngine } from '../../node/ports.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { missingProgram } from '../demo/support.ts'
import { PROGRAMS, type Program, startQBittorrent, startTransmission } from '../support/seed-programs.ts'
import { silentLog } from './silent-log.ts'
import { torrentEngineSuite } from './torrent-engine.suite.ts'

const KINDS = {
  qbittorrent: {
    start: startQBittorrent,
    client: (url: string): SeedClient => new QBittorrent({ url, user: null, password: null }),
    traits: {},
  },
  transmission: {
    start: startTransmission,
    client: (url: string): SeedClient => new Transmission({ url, user: null, password: null }),
    // Version 3.00 answers with silence when it cannot read; SeedWatch looks at the files.
    traits: { countsHeads: true, seedsWait: true, noticesLoss: false },
  },
} as const

/** Programs that run; free ones are given out again. */
class Pool {
  readonly #kind: (typeof KINDS)[keyof typeof KINDS]
  readonly #all: Program[] = []
  readonly #free: Program[] = []

  constructor(kind: (typeof KINDS)[keyof typeof KINDS]) {
    this.#kind = kind
  }

  async take(port: number): Promise<{ program: Program; client: SeedClient }> {
    // The one that came back last is left alone: a test may want it again by its port.
    const index =
      port !== 0 ? this.#free.findIndex((one) => one.port === port) : this.#free.length > 1 ? 0 : -1
    const program = this.#free.splice(index, index < 0 ? 0 : 1)[0] ?? (await this.#start(port))
    return { program, client: this.#kind.client(program.url) }
  }

  async giveBack(program: Program): Promise<void> {
    const client = this.#kind.client(program.url)
    await client.remove((await client.list()).map((one) => one.infohash))
    this.#free.push(program)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((program) => program.stop()))
  }

  async #start(port: number): Promise<Program> {
    const program = await this.#kind.start(port === 0 ? {} : { port })
    this.#all.push(program)
    return program
  }
}

/** An engine that takes a program from the pool when it starts, and gives it back when it stops. */
function pooled(pool: Pool, port: number): TorrentEngine & { own: TorrentEngine; settled(): Promise<void> } {
  const own = new WebTorrentEngine({ port: 0 })
  let engine: TorrentEngine = own
  let giveBack = async () => {}
  let states = async (): Promise<string[]> => []
  return {
    own,
    settled: () =>
      vi.waitFor(
        async () => {
          const wanted = (await engine.stats()).filter((one) => one.state === 'seeding')
          expect(await states()).toEqual(wanted.map(() => 'seeding'))
        },
        { timeout: 25_000, interval: 50 },
      ),
    start: async () => {
      const { program, client } = await pool.take(port)
      giveBack = () => pool.giveBack(program)
      states = async () => (await client.list()).map((one) => one.state)
      engine = new OutsideEngine({
        own,
        client,
        folders: { from: '/', to: '/' },
        log: silentLog,
        pollMs: 50,
      })
      await engine.start()
    },
    stop: async () => {
      await engine.stop()
      const give = giveBack
      giveBack = async () => {}
      await give()
    },
    get port() {
      return engine.port
    },
    seed: (...all) => engine.seed(...all),
    onSeedFailed: (handler) => engine.onSeedFailed(handler),
    fetch: (...all) => engine.fetch(...all),
    fetchFile: (...all) => engine.fetchFile(...all),
    open: (...all) => engine.open(...all),
    setOutside: (endpoint) => engine.setOutside(endpoint),
    addPeers: (...all) => engine.addPeers(...all),
    remove: (...all) => engine.remove(...all),
    discovery: () => own.discovery(),
    stats: () => engine.stats(),
  }
}

/** Runs the suite, or says that the program is missing. */
export function outsideEngineSuite(kind: keyof typeof KINDS): void {
  const missing = missingProgram(PROGRAMS[kind])
  if (missing !== null) {
    describe(`torrent engine: ${kind}`, () => it.skip(`not run: ${missing} is not installed`))
    return
  }
  const pool = new Pool(KINDS[kind])
  afterAll(() => pool.stop())
  torrentEngineSuite(kind, ({ port }) => pooled(pool, port), {
    fetchPort: (engine) => ('own' in engine ? (engine.own as TorrentEngine).port : engine.port),
    settled: async (engine) => {
      if ('settled' in engine && typeof engine.settled === 'function') await engine.settled()
    },
    makeLiar: ({ port }) => new WebTorrentEngine({ port }),
    // qBittorrent does, but comes back only after a minute when the first call ended with the info dictionary.
    seedsDial: false,
    listens: false,
    ...KINDS[kind].traits,
  })
}
