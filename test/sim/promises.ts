/** Promises to keep a shard (PROTOCOL 8), both sides, as `node/audit/promises.ts`: a proof first, then a signed promise. */
import { encodePromise, PROMISE_DOMAIN, PROMISE_TYPE } from '../../protocol/audit/promise.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { openPromise } from '../../protocol/manifest/trust.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

const ONE_WAY_MS = 200
const REQUEST_TIMEOUT_MS = 15_000

export class Promises {
  readonly #sim: Simulation
  /** By `holder shard asker`: what to do with the core's answer. */
  readonly #waiting = new Map<string, (untilMs: number | null) => void>()
  granted = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  ask(machine: Machine, shard: SimShard, node: Machine): void {
    this.#sim.audits.ask(machine, shard, node, (outcome) => {
      this.#sim.dispatch(machine, { kind: 'audited', shard: shard.shard.key, node: node.id, outcome })
      if (outcome === 'pass') this.#request(machine, shard, node)
      else this.#tell(machine, shard, node, false)
    })
  }

  #request(machine: Machine, shard: SimShard, node: Machine): void {
    const sim = this.#sim
    const key = `${node.index} ${shard.shard.key} ${machine.id}`
    let answered = false
    const answer = (sealed: Uint8Array | null) => {
      if (answered) return
      answered = true
      this.#tell(machine, shard, node, sealed !== null && this.#isGood(sealed, machine, shard, node))
    }
    sim.later(REQUEST_TIMEOUT_MS, machine, () => {
      this.#waiting.delete(key)
      answer(null)
    })
    if (!sim.network.canTalk(machine, node)) return
    sim.later(ONE_WAY_MS, node, () => {
      this.#waiting.set(key, (untilMs) => {
        const promise = { node: node.id, to: machine.id, shard: shard.shard.key, untilMs: untilMs ?? 1 }
        const sealed =
          untilMs === null ? null : node.key.seal(PROMISE_DOMAIN, PROMISE_TYPE, encodePromise(promise))
        if (untilMs !== null) sim.truth.promised(node, shard, untilMs)
        sim.later(ONE_WAY_MS, machine, () => answer(sealed))
      })
      sim.dispatch(node, { kind: 'promise-asked', shard: shard.shard.key, from: machine.id })
    })
  }

  /** The core of the asked one answers. */
  answer(machine: Machine, shard: ShardKey, to: NodeId, untilMs: number | null): void {
    const key = `${machine.index} ${shard} ${to}`
    const waiting = this.#waiting.get(key)
    this.#waiting.delete(key)
    waiting?.(untilMs)
  }

  #isGood(sealed: Uint8Array, machine: Machine, shard: SimShard, node: Machine): boolean {
    const opened = openPromise(sealed, this.#sim.ring.verify)
    if (!opened.ok || opened.signer !== node.id) return false
    return opened.value.to === machine.id && opened.value.shard === shard.shard.key
  }

  #tell(machine: Machine, shard: SimShard, node: Machine, granted: boolean): void {
    if (granted) this.granted++
    this.#sim.dispatch(machine, { kind: 'promised', shard: shard.shard.key, node: node.id, granted })
  }
}
