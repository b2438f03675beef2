/** What came of a run, as one value: printed as JSON, and what the report is made of. */
import { DAY_MS, HOUR_MS } from './clock.ts'
import type { Violation } from './invariants.ts'
import type { Converged } from './liveness.ts'
import type { Sample } from './metrics.ts'
import { commandOf } from './options.ts'
import type { Simulation } from './simulation.ts'
import { stateHash } from './state-hash.ts'

export interface Summary {
  readonly command: string
  readonly nodes: number
  readonly days: number
  readonly seed: number
  readonly faults: readonly string[]
  readonly shards: number
  readonly bytes: number
  readonly violations: readonly Violation[]
  /** Null when the run ended in a violation before the faults stopped. */
  readonly converged: Converged | null
  readonly stateHash: string
  readonly claims: number
  readonly overClaims: number
  readonly deadClaims: number
  readonly overClaimShare: number
  readonly leadsPassed: number
  readonly originBytes: number
  readonly uniqueBytes: number
  readonly originRatio: number
  readonly swarmBytes: number
  readonly messages: number
  readonly heartbeats: number
  readonly gaps: number
  /** Amplification in it. */
  readonly gossipBytesPerNodeDay: number
  readonly pullBytesPerNodeDay: number
  readonly medianHoursToR: number | null
  readonly audits: number
  readonly fileAudits: number
  readonly fileAuditBytes: number
  readonly receiptsAsked: number
  readonly liars: number
  readonly liarsProven: number
  readonly medianHoursToProof: number | null
  readonly hoursToRecovery: number | null
  readonly damaged: number
  readonly repaired: number
  readonly refusedMessages: number
  readonly crashes: number
  readonly checks: number
  readonly events: number
  readonly steps: number
  readonly ticks: number
  readonly deliveries: number
  readonly exchanges: number
  readonly fullExchanges: number
  readonly samples: readonly Sample[]
}

export function summarize(sim: Simulation, converged: Converged | null): Summary {
  const { metrics, options, upstream } = sim
  const nodeDays = (options.nodes * sim.timeMs) / DAY_MS
  const detections = [...metrics.detections.values()]
  const proofs = detections.flatMap(({ firstLieMs, provenMs }) =>
    provenMs === null ? [] : [provenMs - firstLieMs],
  )
  const { massLossAtMs, recoveredAtMs } = metrics
  return {
    command: commandOf(options),
    nodes: options.nodes,
    days: options.days,
    seed: options.seed,
    faults: [...options.faults],
    shards: upstream.real.length,
    bytes: upstream.real.reduce((sum, one) => sum + one.shard.sizeBytes, 0),
    violations: sim.violations,
    converged,
    stateHash: stateHash(sim),
    claims: metrics.claims,
    overClaims: metrics.overClaims,
    deadClaims: metrics.deadClaims,
    overClaimShare: ratio(metrics.overClaims, metrics.claims),
    leadsPassed: metrics.leadsPassed,
    originBytes: metrics.originBytes,
    uniqueBytes: metrics.uniqueBytes,
    originRatio: ratio(metrics.originBytes, metrics.uniqueBytes),
    swarmBytes: metrics.swarmBytes,
    messages: metrics.messages,
    heartbeats: metrics.heartbeats,
    gaps: sim.updates.gaps,
    gossipBytesPerNodeDay: Math.round(metrics.gossipBytes / nodeDays),
    pullBytesPerNodeDay: Math.round(sim.updates.bytes / nodeDays),
    medianHoursToR: inHours(median(metrics.msToR)),
    audits: sim.audits.asked,
    fileAudits: sim.audits.byFile.asked,
    fileAuditBytes: sim.audits.byFile.bytes,
    receiptsAsked: sim.audits.receiptsAsked,
    liars: detections.length,
    liarsProven: proofs.length,
    medianHoursToProof: inHours(median(proofs)),
    hoursToRecovery:
      massLossAtMs === null || recoveredAtMs === null ? null : inHours(recoveredAtMs - massLossAtMs),
    damaged: metrics.damaged,
    repaired: metrics.repaired,
    refusedMessages: metrics.refused,
    crashes: sim.lifecycle.crashes,
    checks: sim.invariants.checks,
    events: sim.events,
    steps: sim.steps,
    ticks: sim.ticks,
    exchanges: sim.updates.exchanges,
    fullExchanges: sim.updates.fullExchanges,
    deliveries: sim.network.deliveries,
    samples: metrics.samples,
  }
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 10_000
}

function median(values: readonly number[]): number | null {
  const ordered = [...values].sort((a, b) => a - b)
  return ordered[ordered.length >> 1] ?? null
}

function inHours(ms: number | null): number | null {
  return ms === null ? null : Math.round((ms / HOUR_MS) * 100) / 100
}
