/** Programs of others that all tests of a file share: each is started once, by the first test that wants it. */
import type { TestContext } from 'vitest'
import type { ClientDriver, TorrentClient } from './client.ts'

export class RunningClients {
  readonly #running = new Map<string, TorrentClient>()

  /** Skips the test when the program is not installed. */
  async get(context: TestContext, driver: ClientDriver): Promise<TorrentClient> {
    const missing = driver.missing()
    if (missing !== null) context.skip(`${missing} is not installed`)
    const known = this.#running.get(driver.name) ?? (await driver.start())
    this.#running.set(driver.name, known)
    return known
  }

  /** That of this name; all without one. */
  async stop(name?: string): Promise<void> {
    const names = name === undefined ? [...this.#running.keys()] : [name]
    await Promise.all(
      names.map(async (one) => {
        await this.#running.get(one)?.stop()
        this.#running.delete(one)
      }),
    )
  }
}
