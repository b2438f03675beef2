/** How commands without a node look for peers that the manifest does not name: flags, and what is said of it. */

import type { MergedManifest } from '../../protocol/manifest/merged-manifest.ts'
import { DISCOVERY_SETTINGS, discoveryConfigOf } from '../config-discovery.ts'
import type { FindPeers } from '../reading/more-peers.ts'
import type { Settings, Values } from '../settings.ts'

const { tracker, dht, dhtBootstrap } = DISCOVERY_SETTINGS

export const FINDING_SETTINGS = {
  tracker: {
    ...tracker,
    help: 'a BitTorrent tracker to ask for peers when those that are known do not answer; none for no tracker',
  },
  dht: { ...dht, help: "do not ask BitTorrent's DHT for peers when those that are known do not answer" },
  dhtBootstrap,
} satisfies Settings

export interface Finding {
  readonly find: FindPeers
  close(): Promise<void>
}

/** Null when there is nobody to ask. `say`: a line for people. */
export function openFinding(
  values: Values<typeof FINDING_SETTINGS>,
  manifest: Pick<MergedManifest, 'shards'>,
  say: (line: string) => void,
): Finding | null {
  const config = discoveryConfigOf({ ...values, dhtPort: null, lsd: false })
  const { trackers } = config
  const bootstrap = config.dht?.bootstrap ?? null
  if (bootstrap === null && trackers.length === 0) return null
  // Its libraries are loaded when they are needed, which is seldom.
  const loading = () =>
    import('../getting/peer-finder.ts').then((it) => new it.PeerFinder({ bootstrap, trackers }))
  let opened: ReturnType<typeof loading> | null = null
  return {
    async find(infohash, onPeers, signal) {
      opened ??= loading()
      const finder = await opened
      const name = manifest.shards.find((shard) => shard.infohash === infohash)?.id ?? infohash
      say(`${name}: no peer that is known answers; asking ${finder.places}.`)
      const { peers, silent } = await finder.find(infohash, onPeers, signal)
      const count = peers === 0 ? 'nobody' : peers === 1 ? '1 peer' : `${peers} peers`
      const others = silent.length === 0 ? '' : `; no answer from ${silent.join(', ')}`
      say(`${name}: ${finder.places} named ${count}${others}.`)
    },
    close: async () => (await opened)?.close(),
  }
}
