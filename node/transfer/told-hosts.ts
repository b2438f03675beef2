/** Who is inside our own network and who is outside, and which port each is told. Pure. */
import { isIPv6 } from 'node:net'
import { networkOfAddress } from '../../protocol/placement/network.ts'
import type { Announce } from './tracker-answer.ts'

/** A machine of this network or this machine itself, by its address; names count as public. */
export function isPrivateHost(host: string): boolean {
  const bare = bareHost(host)
  if (bare === 'localhost') return true
  const isAddress = /^[0-9.]+$/.test(bare) || bare.includes(':')
  return isAddress && networkOfAddress(bare) === null
}

/** `0.0.0.0` and `::` may be reachable from outside. */
export function mayBePublic(announcedHost: string): boolean {
  return announcedHost === '0.0.0.0' || announcedHost === '::' || !isPrivateHost(announcedHost)
}

/** What `host` is told: a router maps IPv4 only, and who is inside does not come through it. */
export function toldPort(
  host: string,
  { port, outsidePort }: Pick<Announce, 'port' | 'outsidePort'>,
): number {
  return isPrivateHost(host) || isIPv6(bareHost(host)) ? port : outsidePort
}

/** Without the brackets of a URL. */
const bareHost = (host: string): string => host.replace(/^\[|\]$/g, '')
