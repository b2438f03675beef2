/**
 * Keeps the engine's process running: starts it, notices when it ended or does not answer, and starts it again, at once when it had
 * worked, at a growing distance when it ends soon after each start.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../ports.ts'
import type { EngineCalls, EngineProcessOptions, NodeCalls } from './engine-calls.ts'
import { Channel, ChannelLost, type Handlers, type Message } from './engine-channel.ts'
import { aborted } from './torrent-errors.ts'

export type EngineChannel = Channel<EngineCalls, NodeCalls>

export interface EngineKeeperParts {
  readonly options: EngineProcessOptions
  readonly answers: Handlers<NodeCalls>
  /** A process that listens is told what it has to do, before anybody else speaks to it. */
  readonly onStarted: (channel: EngineChannel) => Promise<void>
  readonly log: Log
  /** Between two pings, and the longest time without an answer. @default 5 s, 30 s */
  readonly pingMs?: number | undefined
  readonly silentMs?: number | undefined
}

interface Running {
  readonly channel: EngineChannel
  readonly child: ChildProcess
  readonly port: number
  readonly sinceMs: number
  readonly pinging: NodeJS.Timeout
}

const PING_MS = 5_000
const SILENT_MS = 30_000
/** One that lived for so long worked; before that, it ended by its own start. */
const WORKED_MS = 1_000
const WAIT_MS = 100
const WAIT_MS_MAX = 30_000
const STOP_MS_MAX = 10_000
/** What it wrote to stderr before it ended, for the log. */
const LAST_WORDS_MAX = 4_096

export class EngineKeeper {
  readonly #parts: EngineKeeperParts
  readonly #stopping = new AbortController()
  /** What runs, or what runs next. */
  #next: Promise<Running>
  #now: Running | null = null
  #problem: string | null = null
  #restarts = 0
  #soon = 0

  constructor(parts: EngineKeeperParts) {
    this.#parts = parts
    this.#next = Promise.reject(new Error('the BitTorrent engine is not running'))
    this.#next.catch(() => {})
  }

  /** The channel to the process that runs, or to the next one. Rejects with `aborted` when it was stopped. */
  async channel(): Promise<EngineChannel> {
    return (await this.#next).channel
  }

  /** null: it is on its way. */
  get current(): EngineChannel | null {
    return this.#now?.channel ?? null
  }

  get processId(): number | null {
    return this.#now?.child.pid ?? null
  }

  /** Why it does not run now, in a sentence; null: it runs. */
  get problem(): string | null {
    return this.#problem
  }

  /** The port on which it listens. Rejects with an Error of one sentence. */
  async start(): Promise<number> {
    this.#next = this.#run(this.#parts.options)
    const { port } = await this.#next
    return port
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort()
    const running = await this.#next.catch(() => null)
    if (running === null || isOver(running.child)) return
    const over = new Promise<void>((resolve) => running.child.once('exit', () => resolve()))
    const patience = setTimeout(() => running.child.kill('SIGKILL'), STOP_MS_MAX)
    await running.channel.call('stop', null).catch(() => {}) // it ends in any case
    if (running.child.connected) running.child.disconnect()
    await over
    clearTimeout(patience)
  }

  async #run(options: EngineProcessOptions): Promise<Running> {
    const { answers, onStarted, log } = this.#parts
    const child = fork(new URL('./engine-host.ts', import.meta.url), [], {
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const channel: EngineChannel = new Channel((message) => child.send(message, ignore), answers)
    child.on('message', (message) => channel.hear(message as unknown as Message))
    let lastWords = ''
    child.stderr?.setEncoding('utf8')
    child.stderr?.on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-LAST_WORDS_MAX)
    })
    let how = ''
    child.once('error', (error) => (how = error.message))
    const ended = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        how = signal === null ? `with code ${code}` : `by ${signal}`
        resolve()
      })
      child.once('error', () => resolve())
    }).then(() => {
      // First, so that whoever is told of the loss finds the next one.
      if (this.#now?.child === child) this.#lost(this.#now, `ended ${how}`, lastWords)
      channel.close(new ChannelLost(`the BitTorrent engine's process ended ${how}`))
    })
    try {
      const { port } = await channel.call('start', options)
      await onStarted(channel)
      const pinging = this.#ping(channel, child)
      const running = { channel, child, port, sinceMs: performance.now(), pinging }
      this.#now = running
      this.#problem = null
      log.info({ pid: child.pid, port }, "the BitTorrent engine's process listens")
      return running
    } catch (error) {
      child.kill('SIGKILL')
      await ended
      if (lastWords !== '')
        log.error({ stderr: lastWords }, "the BitTorrent engine's process could not start")
      throw error
    }
  }

  #lost(running: Running, how: string, lastWords: string): void {
    this.#now = null
    clearInterval(running.pinging)
    if (this.#stopping.signal.aborted) return
    const livedMs = performance.now() - running.sinceMs
    this.#soon = livedMs < WORKED_MS ? this.#soon + 1 : 0
    this.#restarts++
    const detail = { livedMs: Math.round(livedMs), restarts: this.#restarts, stderr: lastWords }
    this.#parts.log.error(detail, `the BitTorrent engine's process ${how}; it is started again`)
    this.#problem = `its process ${how}`
    this.#next = this.#startAgain(running.port)
    this.#next.catch(() => {}) // stopped meanwhile
  }

  async #startAgain(port: number): Promise<Running> {
    const { signal } = this.#stopping
    for (;;) {
      const waitMs = this.#soon === 0 ? 0 : Math.min(WAIT_MS * 2 ** (this.#soon - 1), WAIT_MS_MAX)
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) throw aborted()
      try {
        return await this.#run({ ...this.#parts.options, port })
      } catch (error) {
        this.#soon++
        this.#problem = `its process does not start: ${error instanceof Error ? error.message : String(error)}`
        this.#parts.log.error({ error: String(error) }, 'the BitTorrent engine does not start')
      }
    }
  }

  /** Also a process that was stopped, or whose loop is stuck, serves nobody. */
  #ping(channel: EngineChannel, child: ChildProcess): NodeJS.Timeout {
    const { pingMs = PING_MS, silentMs = SILENT_MS, log } = this.#parts
    let heardMs = performance.now()
    return setInterval(() => {
      if (performance.now() - heardMs > silentMs) {
        log.error({ silentMs }, "the BitTorrent engine's process does not answer; it is killed")
        child.kill('SIGKILL')
        return
      }
      channel.call('ping', null).then(
        () => (heardMs = performance.now()),
        () => {}, // it ended
      )
    }, pingMs)
  }
}

const isOver = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

function ignore(): void {
  // The process ended: its `exit` follows.
}
