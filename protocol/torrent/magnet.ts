/**
 * Magnet links (BEP 9). Every value is percent-encoded, so "=", "&", "?" and "#" in a tracker or web seed survive: some
 * clients cut a parameter at each "=" and silently drop those with two.
 */
import { bytesToHex } from '../codec/bytes.ts'
import { type Infohash, isInfohash } from '../ids.ts'

export interface Magnet {
  readonly infohash: Infohash
  readonly name: string | null
  readonly trackers: readonly string[]
  readonly webSeeds: readonly string[]
  /** `host:port` of peers (x.pe). */
  readonly peers: readonly string[]
}

/** Longest link that is read; systems pass on about 2,000 characters. */
const MAGNET_CHARACTERS_MAX = 16_384
const VALUES_MAX = 100

export function magnetLink(magnet: Pick<Magnet, 'infohash'> & Partial<Magnet>): string {
  const values: [string, string][] = []
  if (typeof magnet.name === 'string') values.push(['dn', magnet.name])
  for (const url of magnet.trackers ?? []) values.push(['tr', url])
  for (const url of magnet.webSeeds ?? []) values.push(['ws', url])
  for (const peer of magnet.peers ?? []) values.push(['x.pe', peer])
  // The colons of xt stay as they are: BEP 9 writes them so, and not every client decodes there.
  return `magnet:?xt=urn:btih:${magnet.infohash}${values.map(([key, value]) => `&${key}=${encodeURIComponent(value)}`).join('')}`
}

/** Reads a v1 magnet link (hex or base32 infohash); null when it is none. Parameters it does not know are left out. */
export function parseMagnet(link: string): Magnet | null {
  if (link.length > MAGNET_CHARACTERS_MAX || !link.startsWith('magnet:?')) return null
  const values = new Map<string, string[]>()
  for (const parameter of link.slice('magnet:?'.length).split('&').slice(0, VALUES_MAX)) {
    const equals = parameter.indexOf('=')
    if (equals < 1) continue
    const value = decode(parameter.slice(equals + 1))
    if (value === null) return null
    // `tr.1` is an old way to write several trackers; `x.pe` keeps its dot.
    const key = parameter.slice(0, equals).replace(/\.[0-9]+$/, '')
    values.set(key, [...(values.get(key) ?? []), value])
  }
  const infohash = (values.get('xt') ?? []).map(infohashOfTopic).find((found) => found !== null)
  if (infohash === undefined || infohash === null) return null
  return {
    infohash,
    name: values.get('dn')?.[0] ?? null,
    trackers: values.get('tr') ?? [],
    webSeeds: values.get('ws') ?? [],
    peers: values.get('x.pe') ?? [],
  }
}

function decode(value: string): string | null {
  try {
    return decodeURIComponent(value.replaceAll('+', ' '))
  } catch {
    return null
  }
}

function infohashOfTopic(topic: string): Infohash | null {
  if (!topic.startsWith('urn:btih:')) return null
  const value = topic.slice('urn:btih:'.length)
  const hex = value.length === 32 ? hexOfBase32(value) : value.toLowerCase()
  return hex !== null && isInfohash(hex) ? hex : null
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 base32 of 20 bytes, without padding. */
function hexOfBase32(value: string): string | null {
  const bytes = new Uint8Array(20)
  let buffer = 0
  let bits = 0
  let at = 0
  for (const character of value.toUpperCase()) {
    const digit = BASE32.indexOf(character)
    if (digit < 0) return null
    buffer = ((buffer << 5) | digit) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = buffer >> bits
    }
  }
  return bytesToHex(bytes)
}
