/**
 * What gossip costs on the wire (PROTOCOL 3, 4): 30 real libp2p hosts on loopback that say heartbeats, and all bytes that their
 * sockets receive meanwhile. What is said in docs/simulation/gossip-amplification.md comes from here.
 */
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { saying, testIdentity } from '../support/records.ts'
import { Sockets } from '../support/sockets.ts'
import { started, stopAll, Updater } from '../support/updaters.ts'
import type { Bench, Measure } from './bench.ts'

const NODES = 30
const HEARTBEATS_EACH = 10
/** Each node says one in this time; they take turns. */
const ROUND_MS = 3_000
/** gossipsub grafts and prunes once a second. */
const MESH_FORMS_MS = 10_000
const ALL_HEARD_MS_MAX = 20_000
const FEDERATION = 'be'.repeat(32) as FederationId

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Connects node i with those that stand `steps` after it in a ring. */
async function ring(nodes: readonly Updater[], steps: readonly number[]): Promise<void> {
  for (const [i, node] of nodes.entries()) {
    for (const step of steps) {
      const other = nodes[(i + step) % nodes.length]
      if (other !== undefined) await node.network.connect(other.network.addresses())
    }
  }
}

const heardAll = (nodes: readonly Updater[]): boolean => {
  const [first] = nodes
  if (first === undefined) return false
  const sequence = first.sequence - 1
  return nodes.every((node) => {
    const records = [...node.exchange.book.records()]
    return records.length === nodes.length && records.every((record) => record.sequence === sequence)
  })
}

async function untilHeard(nodes: readonly Updater[]): Promise<void> {
  const endMs = performance.now() + ALL_HEARD_MS_MAX
  while (!heardAll(nodes)) {
    if (performance.now() > endMs) throw new Error('gossip did not reach everybody')
    await pause(20)
  }
}

/** One round: every node speaks once. */
async function round(nodes: readonly Updater[]): Promise<void> {
  for (const node of nodes) {
    await node.say(saying())
    await pause(ROUND_MS / NODES)
  }
}

async function measure(name: string, steps: readonly number[]): Promise<Measure[]> {
  const sockets = new Sockets()
  try {
    const nodes: Updater[] = []
    for (let number = 0; number < NODES; number++) {
      const identity = testIdentity(number)
      const network = new Libp2pNetwork({ identity, federationId: FEDERATION, log: silentLog })
      nodes.push(await started(new Updater(number, network)))
    }
    await ring(nodes, steps)
    await pause(MESH_FORMS_MS)
    // The first round carries the heads; from the second on all are heartbeats.
    await round(nodes)
    await untilHeard(nodes)
    await pause(MESH_FORMS_MS)
    const idleFrom = sockets.receivedBytes
    const spokenMs = HEARTBEATS_EACH * ROUND_MS
    await pause(spokenMs)
    const idleBytes = sockets.receivedBytes - idleFrom

    const startMs = performance.now()
    const from = sockets.receivedBytes
    for (let i = 0; i < HEARTBEATS_EACH; i++) await round(nodes)
    await untilHeard(nodes)
    const elapsedMs = performance.now() - startMs
    const perNode = (sockets.receivedBytes - from) / NODES
    const idlePerNode = ((idleBytes / spokenMs) * elapsedMs) / NODES
    const sealedBytes = nodes[0]?.exchange.book.get(nodes[0].node)?.sealed.length ?? 0
    const uniqueBytes = sealedBytes * HEARTBEATS_EACH * (NODES - 1)
    const links = nodes.reduce((sum, node) => sum + node.network.peers().length, 0) / NODES
    const say = (what: string, value: number, unit: string): Measure => ({
      what: `${name}: ${what}`,
      value,
      unit,
    })
    return [
      say('connections of a node', links, 'peers'),
      say('one sealed heartbeat', sealedBytes, 'bytes'),
      say('unique messages of others, for each node', uniqueBytes, 'bytes'),
      say('received by each node, all protocols and framing', perNode, 'bytes'),
      say('of these also without any message', idlePerNode, 'bytes'),
      say('amplification, all bytes', perNode / uniqueBytes, 'times'),
      say('amplification, without the idle bytes', (perNode - idlePerNode) / uniqueBytes, 'times'),
    ]
  } finally {
    await stopAll()
    sockets.close()
  }
}

async function run(): Promise<Measure[]> {
  const all = Array.from({ length: Math.floor(NODES / 2) }, (_, i) => i + 1)
  return [
    ...(await measure('everybody with everybody', all)),
    ...(await measure('each with 16 others', [1, 2, 3, 5, 7, 9, 11, 13])),
    ...(await measure('each with 8 others', [1, 4, 9, 13])),
  ]
}

export const bench: Bench = { group: 'gossip', run }
