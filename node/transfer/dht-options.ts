/** What the DHT is told, and when it makes no sense. Pure. */
import { isIPv4 } from 'node:net'
import type { Log, TorrentPeer } from '../ports.ts'
import { isPrivateHost, mayBePublic } from './told-hosts.ts'

export interface DhtOptions {
  /** UDP port; 0 = the system chooses, null = the number of the BitTorrent port. */
  readonly port: number | null
  /** Who is asked first, `host:port`. */
  readonly bootstrap: readonly string[]
  /** File that keeps the table; null: it is not kept. */
  readonly nodesPath: string | null
  /** That of the table of IPv6. @default null */
  readonly nodes6Path?: string | null
}

export interface Surroundings {
  /** Address to listen on. */
  readonly host: string
  /** By which others reach us. */
  readonly announceHost: string
  /** Others are asked and not answered, and told so (BEP 43): for who is there for a moment only. @default false */
  readonly isReader?: boolean
  readonly log?: Log | undefined
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
  return unreached(bootstrap, host, announceHost)
}

/** The same of the table of IPv6 (BEP 32). */
export function dht6OffBecause(
  { bootstrap }: Pick<DhtOptions, 'bootstrap'>,
  { host, announceHost }: { readonly host: string; readonly announceHost: string },
): string | null {
  if (!host.includes(':')) return `BitTorrent listens on ${host} only, and this needs IPv6`
  if (isIPv4(announceHost)) return `BitTorrent is announced at ${announceHost}, and this needs IPv6`
  return unreached(bootstrap, host, announceHost)
}

function unreached(bootstrap: readonly string[], host: string, announceHost: string): string | null {
  if (mayBePublic(announceHost) || bootstrap.some((one) => isPrivateHost(nodeOf(one).host))) return null
  return announceHost === host
    ? `BitTorrent listens on ${host} only, where nobody outside could reach it`
    : `BitTorrent is announced at ${announceHost}, where nobody outside could reach it`
}

/** Of `host:port`, or of `[address]:port`. */
export function nodeOf(text: string): TorrentPeer {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}
