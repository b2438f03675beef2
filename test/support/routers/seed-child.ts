/**
 * A node's engine and reach behind a home router, in a process of its own: `seed-child.ts <folder> <tracker> <DHT node>`. It seeds the
 * sample in the folder. `status` in, a line of JSON out; `stop` takes the mappings away.
 */
import { createInterface } from 'node:readline'
import { identityFromSeed } from '../../../node/net/identity.ts'
import { Libp2pNetwork } from '../../../node/net/network.ts'
import { sleep } from '../../../node/origin/pace.ts'
import { defaultGateway } from '../../../node/router/default-gateway.ts'
import { NatPmpRouter } from '../../../node/router/nat-pmp.ts'
import { systemClock } from '../../../node/runtime/clock.ts'
import { Reach } from '../../../node/runtime/reach.ts'
import { WebTorrentEngine } from '../../../node/transfer/torrent-engine.ts'
import type { FederationId } from '../../../protocol/ids.ts'
import { silentLog } from '../../conformance/silent-log.ts'
import { sampleTorrent } from '../torrents.ts'
import { PORT, SAMPLE } from './seeded.ts'

const [folder = '', tracker = '', bootstrap = ''] = process.argv.slice(2)
const host = '0.0.0.0'
const network = new Libp2pNetwork({
  identity: identityFromSeed(new Uint8Array(32).fill(9)),
  federationId: 'ab'.repeat(32) as FederationId,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  log: silentLog,
})
await network.start()
const dht = { port: null, bootstrap: [bootstrap], nodesPath: null }
const engine = new WebTorrentEngine({ host, port: PORT, trackers: [tracker], dht })
await engine.start()
const reach = new Reach({
  network,
  endpoints: [{ host, port: engine.port }],
  dhtPort: (await engine.discovery()).dht.port,
  announceHost: null,
  routers: [new NatPmpRouter({ gateway: defaultGateway })],
  bittorrentHost: host,
  onOutside: (endpoint) => engine.setOutside(endpoint),
  relay: false,
  clock: systemClock,
  sleep,
  random: Math.random,
  log: silentLog,
  dispatch: () => {},
})
reach.start()
await engine.seed(sampleTorrent(...SAMPLE).torrent, folder)
for await (const line of createInterface(process.stdin)) {
  if (line === 'stop') await reach.stop()
  console.log(JSON.stringify({ ports: reach.ports(), discovery: await engine.discovery() }))
}
process.exit(0)
