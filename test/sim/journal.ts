/** The last things that happened, so that a failing run can tell how it came to it. A ring, because runs are long. */
import { showTime } from './clock.ts'

export interface Line {
  readonly timeMs: number
  /** Index of the machine, -1 for the world. */
  readonly machine: number
  /** Index of the shard, -1 for none. */
  readonly shard: number
  readonly what: string
  readonly detail: string
}

const LINES_MAX = 100_000

export class Journal {
  readonly #lines: Line[] = []
  #next = 0
  /** Gets every line at once, for traces. */
  onLine: ((line: Line) => void) | null = null

  note(timeMs: number, machine: number, shard: number, what: string, detail = ''): void {
    const line = { timeMs, machine, shard, what, detail }
    if (this.#lines.length < LINES_MAX) this.#lines.push(line)
    else this.#lines[this.#next] = line
    this.#next = (this.#next + 1) % LINES_MAX
    this.onLine?.(line)
  }

  /** The last lines, oldest first, of a shard when one is named. */
  last(count: number, shard = -1): Line[] {
    const ordered =
      this.#lines.length < LINES_MAX
        ? this.#lines
        : [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)]
    return ordered.filter((line) => shard < 0 || line.shard === shard).slice(-count)
  }
}

const DETAIL_MAX = 120

const shortened = (text: string): string =>
  text.length <= DETAIL_MAX ? text : `${text.slice(0, DETAIL_MAX)}...`

export function showLine(line: Line, shardName: (index: number) => string): string {
  const who = line.machine < 0 ? 'world' : `n${line.machine}`
  const where = line.shard < 0 ? '' : ` ${shardName(line.shard)}`
  return `${showTime(line.timeMs)} ${who} ${line.what}${where}${line.detail === '' ? '' : ` ${shortened(line.detail)}`}`
}
