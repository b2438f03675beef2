/**
 * One announce to a tracker over HTTP (BEP 3, 7, 23) or UDP (BEP 15). Ours, because the engine's package keeps a client with timers a
 * torrent, reads answers without a bound, and lets one that is cut end the process.
 */
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { type Bencoded, type BencodedMap, BencodeError, bdecode } from '../../protocol/codec/bencode.ts'
import { isPrivateHost, mayBePublic, toldPort } from './told-hosts.ts'
import { type Announce, PEERS_WANTED, peersOf, type TrackerAnswer, TrackerError } from './tracker-answer.ts'
import { announceByUdp } from './tracker-udp.ts'

const TIMEOUT_MS = 15_000
const ANSWER_BYTES_MAX = 256 * 1024

/** Rejects with TrackerError, or with the signal's reason. */
export async function announceTo(
  url: string,
  announce: Announce,
  signal: AbortSignal,
): Promise<TrackerAnswer> {
  const both = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
  try {
    if (url.startsWith('udp:')) return await announceByUdp(new URL(url), announce, both)
    // The tracker takes the address that it sees for that of the port, so it must see the one that a router maps.
    const family = announce.outsidePort === announce.port ? 0 : 4
    return readAnswer(await get(urlOf(url, announce), family, both))
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TrackerError) throw error
    const { cause } = error as Error
    throw new TrackerError(`${url}: ${cause instanceof Error ? cause.message : String(error)}`, {
      cause: error,
    })
  }
}

/** An http, https or udp URL. */
export function isTrackerUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.hostname === '') return false
  return url.protocol === 'udp:' ? url.port !== '' : url.protocol === 'http:' || url.protocol === 'https:'
}

/** Whoever cannot be reached from outside tells no public tracker that it is there. */
export function mayAnnounce(url: string, announcedHost: string): boolean {
  return mayBePublic(announcedHost) || isPrivateHost(new URL(url).hostname)
}

function urlOf(url: string, announce: Announce): string {
  const raw = (hex: string) => hex.replace(/../g, (byte) => `%${byte}`)
  const fields = [
    `info_hash=${raw(announce.infohash)}`,
    `peer_id=${raw(announce.peerId)}`,
    `port=${toldPort(new URL(url).hostname, announce)}`,
    `uploaded=${announce.uploadedBytes}`,
    `downloaded=${announce.downloadedBytes}`,
    `left=${announce.leftBytes}`,
    `compact=1&numwant=${PEERS_WANTED}`,
    ...(announce.event === null ? [] : [`event=${announce.event}`]),
  ]
  return `${url}${url.includes('?') ? '&' : '?'}${fields.join('&')}`
}

/** By node:http and not by fetch, which costs several times the memory of it. Redirects are not followed. */
async function get(url: string, family: 0 | 4, signal: AbortSignal): Promise<Uint8Array> {
  const request = (url.startsWith('https:') ? https : http).get(url, { family, signal })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
  })
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > ANSWER_BYTES_MAX) throw new TrackerError('the tracker answers without end')
    chunks.push(chunk)
  }
  if (response.statusCode !== 200) throw new TrackerError(`the tracker answers with ${response.statusCode}`)
  return Buffer.concat(chunks)
}

function readAnswer(bytes: Uint8Array): TrackerAnswer {
  const map = decode(bytes)
  const failure = map.get('failure reason')
  if (failure instanceof Uint8Array)
    throw new TrackerError(Buffer.from(failure).toString('utf8').slice(0, 200))
  const seconds = countOf(map.get('interval'))
  if (seconds === 0) throw new TrackerError('the tracker names no interval')
  return {
    intervalMs: seconds * 1_000,
    seeds: countOf(map.get('complete')),
    leeches: countOf(map.get('incomplete')),
    peers: [...peersOf(map.get('peers'), 4), ...peersOf(map.get('peers6'), 16)],
  }
}

function decode(bytes: Uint8Array): BencodedMap {
  try {
    const value = bdecode(bytes, { bytesMax: ANSWER_BYTES_MAX, itemsMax: 10_000, depthMax: 6 })
    if (value instanceof Map) return value
  } catch (error) {
    if (!(error instanceof BencodeError)) throw error
  }
  throw new TrackerError('the tracker answers with no bencoded map')
}

const countOf = (value: Bencoded | undefined): number =>
  typeof value === 'number' && value > 0 ? Math.min(value, 1_000_000) : 0
