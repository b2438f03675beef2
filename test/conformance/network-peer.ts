/** A node's network in a process of its own, to be killed: `network-peer.ts <seed> <port>`; prints its address when ready. */
import { identityFromSeed } from '../../node/net/identity.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { silentLog } from './silent-log.ts'

const [seed, port] = process.argv.slice(2).map(Number)
const network = new Libp2pNetwork({
  identity: identityFromSeed(new Uint8Array(32).fill(seed ?? 0)),
  federationId: 'ab'.repeat(32) as FederationId,
  listen: [`/ip4/127.0.0.1/tcp/${port}`],
  log: silentLog,
})
network.onGossip('manifests', () => 'accept')
network.handle('audit', async () => new TextEncoder().encode(String(process.pid)))
await network.start()
console.log(network.addresses()[0])
// Ends with its parent, even when that one is killed.
process.stdin.on('end', () => process.exit(0)).resume()
