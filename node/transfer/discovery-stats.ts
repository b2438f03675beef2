/** What is said of ways to find peers that are not used. Apart from them, so that nothing of theirs is loaded for it. */
import type { Discovery, DiscoveryStats } from '../ports.ts'

export const offStats = (off: string): DiscoveryStats => ({ off, port: null, nodes: 0, announcedAtMs: null })

/** Of an engine that does not run. */
export const NO_DISCOVERY: Discovery = {
  dht: offStats('not running'),
  dht6: offStats('not running'),
  lsd: offStats('not running'),
}
