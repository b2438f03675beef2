/** Does the core's effects in their order, as `node/runtime/perform.ts` does them on a real machine. */
import type { Effect } from '../../protocol/core/effect.ts'
import { NO_CHANGE } from '../../protocol/manifest/node-record.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'

/** The power may go between any two effects; then the rest of the step never happened. */
export function perform(sim: Simulation, machine: Machine, effects: readonly Effect[]): void {
  const { life } = machine
  for (const effect of effects) {
    if (machine.effectsUntilCrash === 0) {
      sim.lifecycle.crash(machine)
      sim.faultPlan.restartLater(machine)
    }
    if (machine.life !== life) return
    if (machine.effectsUntilCrash > 0) machine.effectsUntilCrash--
    performOne(sim, machine, effect)
  }
}

function performOne(sim: Simulation, machine: Machine, effect: Effect): void {
  switch (effect.kind) {
    case 'persist':
      machine.kept = effect.kept
      return
    case 'publish':
      publish(sim, machine, effect)
      return
    case 'forget':
      machine.book?.forget(effect.node)
      return
    case 'connect':
      return
    case 'fetch': {
      const shard = sim.upstream.get(effect.shard.key)
      sim.journal.note(sim.timeMs, machine.index, shard.index, `fetches from ${effect.from.kind}`)
      if (!sim.attackers.fetches(machine, shard, effect.from))
        sim.transfers.start(machine, shard, effect.from)
      return
    }
    case 'stop-fetch':
      sim.transfers.cancel(machine, sim.upstream.get(effect.shard))
      return
    case 'add-peers':
      sim.transfers.addPeers(machine, effect.infohash, effect.peers)
      return
    case 'release':
    case 'drop': {
      const shard = sim.upstream.get(effect.shard.key)
      sim.transfers.cancel(machine, shard)
      sim.invariants.dropping(machine, shard, effect.kind)
      machine.disk.remove(shard)
      return
    }
    case 'audit': {
      const node = sim.machineOf(effect.node)
      if (node !== null) sim.audits.audit(machine, sim.upstream.get(effect.shard.key), node)
      return
    }
    case 'audit-file': {
      const node = sim.machineOf(effect.node)
      if (node !== null) sim.audits.byFile.audit(machine, node, effect)
      return
    }
    case 'ask-receipt': {
      const auditor = sim.machineOf(effect.auditor)
      if (auditor !== null)
        sim.audits.askReceipt(machine, sim.upstream.get(effect.shard.key), effect, auditor)
      return
    }
    case 'ask-promise': {
      const node = sim.machineOf(effect.node)
      if (node !== null) sim.promises.ask(machine, sim.upstream.get(effect.shard.key), node)
      return
    }
    case 'answer-promise':
      sim.promises.answer(machine, effect.shard, effect.to, effect.untilMs)
      return
    case 'observe':
      sim.observations.observe(machine, effect)
      return
    case 'pull-runs':
      sim.observations.pull(machine, effect.missing)
      return
    case 'forget-observation':
      sim.observations.forget(machine, effect.observation)
      return
    case 'check':
      sim.audits.checkSoon(machine, sim.upstream.get(effect.shard.key))
      return
    case 'notice': {
      const shard = effect.shard === null ? -1 : sim.upstream.get(effect.shard).index
      sim.journal.note(sim.timeMs, machine.index, shard, effect.code, effect.detail)
      if (effect.code === 'claimed' && effect.shard !== null)
        sim.invariants.claimed(machine, sim.upstream.get(effect.shard))
      sim.metrics.noticed(machine, effect.code, effect.detail)
      return
    }
  }
}

function publish(sim: Simulation, machine: Machine, effect: Extract<Effect, { kind: 'publish' }>): void {
  if (machine.book === null || sim.attackers.publishes(machine, effect.statement)) return
  const { record, change } = machine.book.say(effect.statement, (payload) =>
    sim.messages.sealUpdate(machine.key, payload),
  )
  sim.truth.sealed(machine, record.sequence, record.digest)
  sim.metrics.published(record.sealed.length, change === NO_CHANGE)
  sim.network.gossip(record.sealed, 'manifests', machine.index, { heartbeat: change === NO_CHANGE })
  // A node hears itself too: its own words are part of its ledger.
  sim.dispatch(machine, { kind: 'record', record, change })
}
