/** The demo's one output: a live view in a terminal, a line for each change elsewhere, one JSON object with --json. */
import { createLogUpdate } from 'log-update'
import type { Summary } from './summary.ts'
import { view } from './view.ts'
import type { Picture } from './watch.ts'

const NEWS_MAX = 50

export class Screen {
  readonly #json: boolean
  readonly #live: ReturnType<typeof createLogUpdate> | null
  readonly #news: string[] = []
  #lastLine = ''

  constructor(options: { json: boolean }) {
    this.#json = options.json
    this.#live = !options.json && process.stdout.isTTY ? createLogUpdate(process.stdout) : null
  }

  news(line: string): void {
    this.#news.push(line)
    if (this.#news.length > NEWS_MAX) this.#news.shift()
    if (this.#live === null) process.stderr.write(`${line}\n`)
  }

  show(picture: Picture, summary: Summary): void {
    if (this.#live !== null) {
      const lines = view(picture, {
        columns: process.stdout.columns ?? 80,
        rows: process.stdout.rows ?? 24,
        seconds: summary.seconds,
        uniqueBytes: summary.uniqueBytes,
        replicas: 3,
        news: this.#news,
        done: summary.safe,
      })
      this.#live(lines.join('\n'))
      return
    }
    const count = (is: (row: Picture['shards'][number]) => boolean) => picture.shards.filter(is).length
    const all = picture.shards.length
    const line = `safe ${count((row) => row.safe)}/${all}, archived ${count((row) => row.archived)}/${all}, published ${count((row) => row.published)}/${all}`
    if (line !== this.#lastLine)
      process.stderr.write(`${summary.seconds.toFixed(1).padStart(6)} s  ${line}\n`)
    this.#lastLine = line
  }

  end(summary: Summary, exit: boolean): void {
    this.#live?.done()
    if (exit || !summary.safe) for (const line of summary.missing) process.stderr.write(`${line}\n`)
    if (this.#json) process.stdout.write(`${JSON.stringify(summary)}\n`)
    else if (summary.safe) process.stdout.write(`Everything is safe after ${summary.seconds} s.\n`)
  }
}
