/** Port tests of a node whose only port is BitTorrent's. */
import type { Network } from '../../node/ports.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { PortTests } from '../../node/runtime/port-tests.ts'
import type { Event } from '../../protocol/core/event.ts'

export function bittorrentTests(network: Network, port: number, dispatch: (event: Event) => void): PortTests {
  return new PortTests({
    network,
    ports: () => [{ name: 'bittorrent', port }],
    clock: systemClock,
    heard: (reachable) => dispatch({ kind: 'reachability', reachable }),
  })
}
