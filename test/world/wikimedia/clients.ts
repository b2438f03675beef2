// The connection limit of dumps.wikimedia.org: requests at once, counted for each pair of address and User-Agent.

export class ClientLimit {
  readonly #active = new Map<string, number>()

  /** Requests of this client that are being served, this one included. */
  enter(client: string): number {
    const count = (this.#active.get(client) ?? 0) + 1
    this.#active.set(client, count)
    return count
  }

  leave(client: string): void {
    const count = (this.#active.get(client) ?? 1) - 1
    if (count <= 0) this.#active.delete(client)
    else this.#active.set(client, count)
  }
}

/** The robot policy wants a way to reach whoever runs the client: an address on the web or an e-mail address. */
export function hasContact(userAgent: string): boolean {
  return /https?:\/\/[^\s]+/.test(userAgent) || /[^\s@()<>]+@[^\s@()<>]+\.[^\s@()<>]+/.test(userAgent)
}
