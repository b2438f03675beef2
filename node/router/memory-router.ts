/** The Router port's twin in memory: a router with some machines behind it, whose owner can switch it off. */
import { type OwnPort, type PortMapping, type Router, RouterError } from '../ports.ts'

/** What all that ask one router share. */
export class MemoryGateway {
  externalHost = '185.15.59.224'
  lifetimeMs = 3_600_000
  isOn = true
  /** `tcp 4811` -> who has it. */
  readonly taken = new Map<string, { readonly machine: string; readonly internalPort: number }>()
}

const PORT_MAX = 65_535

export class MemoryRouter implements Router {
  readonly name: string
  readonly #gateway: MemoryGateway
  readonly #machine: string

  constructor(gateway: MemoryGateway, machine: string, name = 'memory') {
    this.name = name
    this.#gateway = gateway
    this.#machine = machine
  }

  async map(
    { protocol, port: internalPort }: OwnPort,
    { externalPort = internalPort, signal }: { externalPort?: number; signal: AbortSignal },
  ): Promise<PortMapping> {
    this.#mustAnswer(signal)
    const { taken, externalHost, lifetimeMs } = this.#gateway
    for (let port = externalPort; port <= PORT_MAX; port++) {
      const key = `${protocol} ${port}`
      const holder = taken.get(key)
      const isOurs = holder?.machine === this.#machine && holder.internalPort === internalPort
      if (holder !== undefined && !isOurs) continue
      taken.set(key, { machine: this.#machine, internalPort })
      return { protocol, internalPort, externalHost, externalPort: port, lifetimeMs }
    }
    throw new RouterError('refused', 'no port is free')
  }

  async unmap({ protocol, externalPort }: PortMapping, signal: AbortSignal): Promise<void> {
    this.#mustAnswer(signal)
    const key = `${protocol} ${externalPort}`
    if (this.#gateway.taken.get(key)?.machine === this.#machine) this.#gateway.taken.delete(key)
  }

  #mustAnswer(signal: AbortSignal): void {
    signal.throwIfAborted()
    if (!this.#gateway.isOn) throw new RouterError('absent', 'does not answer')
  }
}
