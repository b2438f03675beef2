/**
 * A relay in a process of its own: `relay-child.ts <seed> <host>`. A line in, a line of JSON out: its addresses, and how many
 * connections of others it passes on now.
 */
import { isIP } from 'node:net'
import { createInterface } from 'node:readline'
import { createHost } from '../../../node/net/host.ts'
import { identityFromSeed } from '../../../node/net/identity.ts'
import type { FederationId } from '../../../protocol/ids.ts'
import { silentLog } from '../../conformance/silent-log.ts'

const [seed, at = ''] = process.argv.slice(2)
const address = `/ip${isIP(at)}/${at}/tcp/4811`
const host = await createHost({
  identity: identityFromSeed(new Uint8Array(32).fill(Number(seed))),
  federationId: 'ab'.repeat(32) as FederationId,
  listen: [address],
  // As a node does whose ports peers of two networks reached.
  announce: [address],
  log: silentLog,
})
await host.start()
await host.services.relay.offer()

for await (const _line of createInterface(process.stdin)) {
  const streams = host.getConnections().flatMap((connection) => connection.streams)
  const passedOn = streams.filter(({ protocol }) => protocol === '/libp2p/circuit/relay/0.2.0/stop').length
  console.log(JSON.stringify({ addresses: host.getMultiaddrs().map(String), passedOn }))
}
process.exit(0)
