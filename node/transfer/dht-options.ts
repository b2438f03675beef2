/** What the DHT is told, and when it makes no sense. Pure. */
import type { TorrentPeer } from '../ports.ts'
import { isPrivateHost, mayBePublic } from './told-hosts.ts'

export interface DhtOptions {
  /** UDP port; 0 = the system chooses, null = the number of the BitTorrent port. */
  readonly port: number | null
  /** Who is asked first, `host:port`. */
  readonly bootstrap: readonly string[]
  /** File that keeps the table; null: it is not kept. */
  readonly nodesPath: string | null
}

/**
 * Why it should not run, in words; null when it may. Whoever cannot be reached from outside is told to a private DHT only, one
 * that is entered at a private address. `host` is what BitTorrent listens on, `announceHost` what others are told.
 */
export function dhtOffBecause(
  { bootstrap }: Pick<DhtOptions, 'bootstrap'>,
  { host, announceHost }: { readonly host: string; readonly announceHost: string },
): string | null {
  if (host.includes(':') && host !== '::') return `BitTorrent listens on ${host} only, and the DHT needs IPv4`
  if (mayBePublic(announceHost) || bootstrap.some((one) => isPrivateHost(nodeOf(one).host))) return null
  return announceHost === host
    ? `BitTorrent listens on ${host} only, where nobody outside could reach it`
    : `BitTorrent is announced at ${announceHost}, where nobody outside could reach it`
}

/** Of `host:port`. */
export function nodeOf(text: string): TorrentPeer {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) }
}
