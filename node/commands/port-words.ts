import type { NodeStatus } from '../observe/status.ts'
import { spanText } from './words.ts'

type Port = NodeStatus['ports'][number]

/** `libp2p 4811/tcp: IPv4 reached by 3 peers, 2 of them from outside, 5 min ago; IPv6 not tested; UPnP forwards 9.9.9.1:4811` */
export function portWords(
  { name, port, protocol, forwarding, ipv4, ipv6, natMapping }: Port,
  nowMs: number,
): string {
  const parts = [`IPv4 ${reachedWords(ipv4, nowMs)}`, `IPv6 ${reachedWords(ipv6, nowMs)}`]
  if (forwarding !== null) parts.push(forwardingWords(forwarding))
  if (natMapping === 'changing') parts.push('the router gives each connection another port: no hole punching')
  return `${name} ${port}/${protocol}: ${parts.join('; ')}`
}

function reachedWords(found: Port['ipv4'], nowMs: number): string {
  const { reachedBy, reachedFromOutsideBy, missedBy, reachedAtMs } = found
  if (reachedBy + missedBy === 0) return 'not tested'
  if (reachedAtMs === null) return `not reached by ${peers(missedBy)}`
  const outside =
    reachedFromOutsideBy === reachedBy
      ? 'all from outside'
      : `${reachedFromOutsideBy === 0 ? 'none' : reachedFromOutsideBy} of them from outside`
  const missed = missedBy === 0 ? '' : `, not by ${missedBy}`
  return `reached by ${peers(reachedBy)}, ${outside}, ${spanText(nowMs - reachedAtMs)} ago${missed}`
}

function forwardingWords(forwarding: NonNullable<Port['forwarding']>): string {
  const { by, externalHost, externalPort, error } = forwarding
  const problem = error === null ? '' : ` (${error})`
  if (by !== null) return `${by} forwards ${externalHost}:${externalPort}${problem}`
  return error === null ? 'asking the router' : `not forwarded${problem}`
}

function peers(count: number): string {
  return count === 1 ? '1 peer' : `${count} peers`
}
