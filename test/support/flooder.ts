/** A peer that floods a fleet: a real libp2p host that sends updates which nobody can have signed, as fast as it can. */
import { randomBytes } from 'node:crypto'
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { FLEET_FEDERATION, type Fleet } from './fleet.ts'
import { saying, testIdentity, Writer } from './records.ts'

/** Some 300 messages a second, each to everybody; the process that it shares with its victims needs time for them, too. */
const PAUSE_MS = 10
const AT_ONCE = 3
const PADDING_BYTES = 4_096

export class Flooder {
  readonly #number: number
  readonly #network: Libp2pNetwork
  #timer: NodeJS.Timeout | null = null
  readonly #sending = new Set<Promise<void>>()
  /** Messages that left, one for each who got it. */
  sent = 0

  constructor(number: number) {
    this.#number = number
    this.#network = new Libp2pNetwork({
      identity: testIdentity(number),
      federationId: FLEET_FEDERATION,
      log: silentLog,
    })
    for (const topic of ['manifests', 'catalogs'] as const) this.#network.onGossip(topic, () => 'accept')
  }

  get node(): NodeId {
    return this.#network.nodeId
  }

  async join(fleet: Fleet): Promise<void> {
    await this.#network.start()
    for (const one of fleet.up) await this.#network.connect(one.network.addresses())
  }

  start(): void {
    this.#timer = setInterval(() => {
      for (let i = 0; i < AT_ONCE; i++) this.#send(randomBytes(PADDING_BYTES))
    }, PAUSE_MS)
  }

  /** One update that is right. */
  async sayWell(): Promise<void> {
    const { sealed } = new Writer(this.#number).say(saying(), { issuedAtMs: Date.now() })
    await this.#network.publish('manifests', sealed)
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    await Promise.all(this.#sending)
  }

  async end(): Promise<void> {
    await this.stop()
    await this.#network.stop()
  }

  #send(data: Uint8Array): void {
    const sending = this.#network
      .publish('manifests', data)
      .then((peers) => {
        this.sent += peers
      })
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }
}
