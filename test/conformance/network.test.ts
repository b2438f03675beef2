import { identityFromSeed } from '../../node/net/identity.ts'
import { MemoryHub, MemoryNetwork } from '../../node/net/memory-network.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { networkSuite } from './network.suite.ts'
import { silentLog } from './silent-log.ts'

const federationId = 'ab'.repeat(32) as FederationId
const identity = (seed: number) => identityFromSeed(new Uint8Array(32).fill(seed))

networkSuite('libp2p', () => ({
  make: ({ seed, port = 0, remembered = [] }) =>
    new Libp2pNetwork({
      identity: identity(seed),
      federationId,
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
      remembered,
      log: silentLog,
    }),
}))

networkSuite('memory', () => {
  const hub = new MemoryHub()
  return {
    make: ({ seed, port, remembered = [] }) =>
      new MemoryNetwork({
        hub,
        nodeId: identity(seed).nodeId,
        remembered,
        log: silentLog,
        ...(port === undefined ? {} : { port }),
      }),
  }
})
