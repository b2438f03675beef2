/** A process of a test that answers each line with a line of JSON. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { PortStatus } from '../../../node/runtime/reach.ts'
import { end } from '../namespaces.ts'

/** Of `reach-child.ts`. */
export interface ReachStatus {
  readonly node: string
  readonly addresses: readonly string[]
  readonly peers: readonly { nodeId: string; address: string }[]
  readonly ports: readonly PortStatus[]
}

export class Child<Status> {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(child: ChildProcess) {
    this.#child = child
    child.stderr?.pipe(process.stderr)
    this.#lines = createInterface(child.stdout ?? process.stdin)[Symbol.asyncIterator]()
  }

  say(line: string): Promise<unknown> {
    this.#child.stdin?.write(`${line}\n`)
    return this.next()
  }

  /** What it says by itself. */
  async next(): Promise<unknown> {
    const { value } = await this.#lines.next()
    return JSON.parse(String(value))
  }

  async status(): Promise<Status> {
    return (await this.say('status')) as Status
  }

  end(): Promise<void> {
    return end(this.#child)
  }
}
