import { rename, writeFile } from 'node:fs/promises'

let written = 0

/** Writes a JSON document whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${process.pid}.${++written}.tmp`
  await writeFile(temporary, `${JSON.stringify(value, null, 1)}\n`)
  await rename(temporary, path)
}

/** Runs tasks with the same key one after the other. */
export class Turns {
  readonly #tails = new Map<string, Promise<unknown>>()

  async take<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const turn = before.then(task, task)
    const tail = turn.catch(() => undefined)
    this.#tails.set(key, tail)
    try {
      return await turn
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }

  /** Resolves when every task that was asked for has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values())
  }
}
