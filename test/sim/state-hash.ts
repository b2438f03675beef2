/** One value for everything that a run came to: equal on every machine for the same seed (sha256 of a canonical text). */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '../../protocol/codec/bytes.ts'
import { knownSequence, ownAudits, ownOf } from './core-view.ts'
import type { Simulation } from './simulation.ts'

export function stateHash(sim: Simulation): string {
  const hash = sha256.create()
  const add = (text: string) => hash.update(utf8ToBytes(`${text}\n`))
  add(`${sim.timeMs} ${sim.runHash} ${sim.events} ${sim.steps} ${sim.network.deliveries}`)
  add(`${sim.metrics.originBytes} ${sim.metrics.swarmBytes} ${sim.metrics.messages}`)
  for (const machine of sim.machines) {
    add(`${machine.id} ${machine.up} ${machine.disk.usedBytes}`)
    for (const copy of machine.disk.copies.values()) {
      add(`${copy.shard.index} ${copy.doneBytes} ${copy.whole} ${copy.damaged.length}`)
    }
    if (machine.state === null) continue
    for (const own of ownOf(machine.state)) {
      add(`${own.shard.key} ${own.held} ${own.infohash} ${own.sinceMs} ${own.sixteenths}`)
    }
    for (const audit of ownAudits(machine.state))
      add(`${audit.shard} ${audit.node} ${audit.outcome} ${audit.atMs}`)
    for (const other of sim.machines) add(`${knownSequence(machine.state, other.id)}`)
  }
  return bytesToHex(hash.digest())
}
