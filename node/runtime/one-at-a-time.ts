/** Work of which only one may be under way. Who waits for it fails with it. */
export class OneAtATime {
  #running: Promise<void> | null = null

  async run(work: () => Promise<void>): Promise<void> {
    while (this.#running !== null) await this.#running
    this.#running = work().finally(() => {
      this.#running = null
    })
    await this.#running
  }
}
