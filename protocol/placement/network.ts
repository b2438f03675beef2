/**
 * Which network a node is in (PROTOCOL 5): its public IPv4 /24 or IPv6 /48, by what its own head declares. Replicas of one network
 * count once: they burn down together. Names, private, loopback and relayed addresses say nothing.
 */
import type { NodeHead } from '../manifest/node-head.ts'

/** `v4/203.0.113`, `v6/2001:db8:1` (as three groups of hex without leading zeros), or null when nothing public is declared. */
export function networkOf(endpoints: NodeHead['endpoints']): string | null {
  // Bytes come from the BitTorrent endpoints, so these go first.
  for (const { host } of endpoints.bittorrent) {
    const network = networkOfAddress(host)
    if (network !== null) return network
  }
  for (const multiaddr of endpoints.libp2p) {
    const [, family, address] = multiaddr.split('/')
    if ((family !== 'ip4' && family !== 'ip6') || multiaddr.includes('/p2p-circuit')) continue
    const network = networkOfAddress(address ?? '')
    if (network !== null) return network
  }
  return null
}

/** The network of one address in text form, null when it is no public address. */
export function networkOfAddress(text: string): string | null {
  const v4 = parseIpv4(text)
  if (v4 !== null) return networkOfIpv4(v4)
  const v6 = parseIpv6(text)
  if (v6 === null) return null
  // ::ffff:0:0/96: an IPv4 address in other clothes.
  const mapped = v6.slice(0, 5).every((group) => group === 0) && v6[5] === 0xffff
  if (mapped) return networkOfIpv4([high(v6, 6), low(v6, 6), high(v6, 7), low(v6, 7)])
  return isPublicIpv6(v6)
    ? `v6/${v6
        .slice(0, 3)
        .map((group) => group.toString(16))
        .join(':')}`
    : null
}

const high = (groups: readonly number[], at: number): number => (groups[at] as number) >> 8
const low = (groups: readonly number[], at: number): number => (groups[at] as number) & 255

type Ipv4 = readonly [number, number, number, number]

function networkOfIpv4(address: Ipv4): string | null {
  return isPublicIpv4(address) ? `v4/${address.slice(0, 3).join('.')}` : null
}

/** Not in the IANA registry of special-purpose IPv4 addresses (RFC 6890), nor multicast or reserved. */
function isPublicIpv4([a, b, c]: Ipv4): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false
  if (a === 100) return b < 64 || b > 127
  if (a === 169) return b !== 254
  if (a === 172) return b < 16 || b > 31
  if (a === 192) return !(b === 168 || (b === 0 && (c === 0 || c === 2)) || (b === 88 && c === 99))
  if (a === 198) return !(b === 18 || b === 19 || (b === 51 && c === 100))
  return !(a === 203 && b === 0 && c === 113)
}

/** Global unicast (2000::/3), but for tunnels that hide another network (RFC 4380, RFC 3056) and documentation. */
function isPublicIpv6(groups: readonly number[]): boolean {
  const [first = 0, second = 0] = groups
  if (first < 0x2000 || first > 0x3fff) return false
  if (first === 0x2001 && (second < 0x200 || second === 0xdb8)) return false
  return first !== 0x2002 && !(first === 0x3fff && second < 0x1000)
}

function parseIpv4(text: string): Ipv4 | null {
  const match = IPV4.exec(text)
  if (match === null) return null
  const [a = 256, b = 256, c = 256, d = 256] = match.slice(1).map(Number)
  return Math.max(a, b, c, d) > 255 ? null : [a, b, c, d]
}
const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/

/** Eight groups, or null. A zone (`%eth0`) is of one machine only, so such an address is none here. */
export function parseIpv6(text: string): number[] | null {
  if (text.length > IPV6_LENGTH_MAX || !text.includes(':')) return null
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head, tail] = halves.map((half) => (half === '' ? [] : groupsOf(half)))
  if (head === null || head === undefined || tail === null) return null
  if (tail === undefined) return head.length === 8 ? head : null
  const gap = 8 - head.length - tail.length
  return gap < 1 ? null : [...head, ...new Array<number>(gap).fill(0), ...tail]
}
const IPV6_LENGTH_MAX = 45

function groupsOf(half: string): number[] | null {
  const groups: number[] = []
  const parts = half.split(':')
  for (const [at, part] of parts.entries()) {
    const v4 = at === parts.length - 1 ? parseIpv4(part) : null
    if (v4 !== null) groups.push((v4[0] << 8) | v4[1], (v4[2] << 8) | v4[3])
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else return null
  }
  return groups
}
