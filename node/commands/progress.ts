/** Progress of long work: a bar that is drawn over on a terminal, now and then a line elsewhere. Always on stderr. */
import { bytesText } from './words.ts'

export interface Step {
  /** What is done now: `fetching fatwiki-....bz2 from the swarm`. */
  readonly what: string
  readonly doneBytes: number
  readonly allBytes: number
}

export interface ProgressOptions {
  readonly isTerminal: boolean
  readonly columns: number
  readonly write: (text: string) => void
  /** Monotonic ms. */
  readonly now: () => number
}

const BAR_CELLS = 24
const DRAW_MS = 100
const LINE_MS = 5_000

export class Progress {
  readonly #options: ProgressOptions
  readonly #startedAt: number
  #shownAt = Number.NEGATIVE_INFINITY
  #shown = ''
  #first: Step | null = null

  constructor(options: Partial<ProgressOptions> = {}) {
    this.#options = {
      isTerminal: process.stderr.isTTY === true,
      columns: process.stderr.columns ?? 80,
      write: (text) => void process.stderr.write(text),
      now: () => performance.now(),
      ...options,
    }
    this.#startedAt = this.#options.now()
  }

  show(step: Step): void {
    const { isTerminal, now, write, columns } = this.#options
    this.#first ??= step
    const at = now()
    if (at - this.#shownAt < (isTerminal ? DRAW_MS : LINE_MS)) return
    // The first line elsewhere comes after a while: short work needs none.
    if (!isTerminal && at - this.#startedAt < LINE_MS) return
    this.#shownAt = at
    const line = this.#line(step, at)
    if (!isTerminal) {
      write(`${line}\n`)
      return
    }
    this.#shown = line.slice(0, columns - 1)
    write(`\r\x1b[K${this.#shown}`)
  }

  /** A line that stays, above the bar. */
  say(line: string): void {
    this.end()
    this.#options.write(`${line}\n`)
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#shown !== '') this.#options.write('\r\x1b[K')
    this.#shown = ''
  }

  #line({ what, doneBytes, allBytes }: Step, at: number): string {
    const share = allBytes === 0 ? 1 : Math.min(1, doneBytes / allBytes)
    const seconds = (at - this.#startedAt) / 1_000
    const speed = seconds <= 0 ? 0 : (doneBytes - (this.#first?.doneBytes ?? 0)) / seconds
    const cells = Math.round(share * BAR_CELLS)
    const bar = this.#options.isTerminal ? `${'█'.repeat(cells)}${'░'.repeat(BAR_CELLS - cells)} ` : ''
    const percent = `${Math.floor(share * 100)} %`.padStart(5)
    return `${bar}${percent}  ${bytesText(doneBytes)} of ${bytesText(allBytes)}, ${bytesText(speed)}/s  ${what}`
  }
}
