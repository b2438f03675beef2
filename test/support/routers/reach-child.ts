/**
 * A node's network and reach in a process of its own, in whatever namespace it is started: `reach-child.ts <seed> <host> [map]`.
 * A line in, a line of JSON out: `connect <multiaddr> ...`, `ask <node> [bytes]` (more than one: answered over a direct connection
 * only), `hidden`, `status`.
 */
import { isIP } from 'node:net'
import { createInterface } from 'node:readline'
import { serveDialback } from '../../../node/net/dialback.ts'
import { identityFromSeed } from '../../../node/net/identity.ts'
import { Libp2pNetwork } from '../../../node/net/network.ts'
import { sleep } from '../../../node/origin/pace.ts'
import { defaultGateway } from '../../../node/router/default-gateway.ts'
import { NatPmpRouter } from '../../../node/router/nat-pmp.ts'
import { systemClock } from '../../../node/runtime/clock.ts'
import { Reach } from '../../../node/runtime/reach.ts'
import type { FederationId, NodeId } from '../../../protocol/ids.ts'
import { silentLog } from '../../conformance/silent-log.ts'

const [seed, host = '', map] = process.argv.slice(2)
const network = new Libp2pNetwork({
  identity: identityFromSeed(new Uint8Array(32).fill(Number(seed))),
  federationId: 'ab'.repeat(32) as FederationId,
  listen: [`/ip${isIP(host)}/${host}/tcp/4811`],
  log: silentLog,
})
serveDialback(network)
network.handle('audit', async ({ length }, { address }) => {
  if (length > 1 && address === '') await new Promise(() => {}) // lasts until the relayed connection ends
  return new TextEncoder().encode(address)
})
await network.start()
const reach = new Reach({
  network,
  endpoints: [],
  dhtPort: null,
  announceHost: null,
  routers: map === 'map' ? [new NatPmpRouter({ gateway: defaultGateway })] : [],
  bittorrentHost: host,
  onOutside: () => {},
  relay: true,
  clock: systemClock,
  sleep,
  random: Math.random,
  log: silentLog,
  dispatch: () => {},
})
reach.start()
network.onPeer(({ kind, peer }) => {
  if (kind === 'connected') void reach.tests.ask(peer)
})

async function answerTo([command, ...words]: string[]): Promise<unknown> {
  if (command === 'connect') return network.connect(words)
  if (command === 'ask') {
    const request = new Uint8Array(Number(words[1] ?? 1))
    const answer = await network.request(words[0] as NodeId, 'audit', request, { timeoutMs: 30_000 })
    return new TextDecoder().decode(answer)
  }
  if (command === 'hidden') await network.setReachable(false)
  if (command === 'stop') await reach.stop()
  const peers = network.peers()
  return { node: network.nodeId, addresses: network.addresses(), peers, ports: reach.ports() }
}

for await (const line of createInterface(process.stdin)) {
  const answer = await answerTo(line.split(' ')).catch((error: unknown) => ({ error: String(error) }))
  console.log(JSON.stringify(answer))
}
process.exit(0)
