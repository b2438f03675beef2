/** Nodes of the DHT on loopback, and strangers who speak KRPC by hand; what was started ends with its test. */
import { createSocket, type Socket } from 'node:dgram'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import { Dht } from '../../node/transfer/dht.ts'
import type { Announce } from '../../node/transfer/tracker-answer.ts'
import { type Bencodable, type BencodedMap, bdecode, bencode } from '../../protocol/codec/bencode.ts'
import type { Infohash } from '../../protocol/ids.ts'

export const cleanUp: (() => Promise<unknown>)[] = []
/** Nobody is there. */
export const NOBODY = '127.0.0.1:9'
export const forever = new AbortController().signal
export const addressOf = ({ port }: { port: number }, host = '127.0.0.1'): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

export function useDht(): void {
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean()
  })
}

export async function startDht(
  bootstrap: readonly string[] = [NOBODY],
  nodesPath: string | null = null,
  host = '127.0.0.1',
): Promise<Dht> {
  const families = host.includes(':') ? (['ipv6'] as const) : (['ipv4'] as const)
  const options = { port: 0, bootstrap, nodesPath, nodes6Path: nodesPath }
  const dht = await Dht.start(options, { host, announceHost: host }, families)
  cleanUp.push(() => dht.stop())
  return dht
}

/** `count` nodes on `host` that know each other. */
export async function startNetwork(
  count: number,
  host = '127.0.0.1',
  polling: { readonly timeout: number; readonly interval?: number } = { timeout: 20_000 },
): Promise<Dht[]> {
  const start = (bootstrap: string) => startDht([bootstrap], null, host)
  const first = await start(addressOf({ port: 9 }, host))
  const others = await Promise.all(Array.from({ length: count - 1 }, () => start(addressOf(first, host))))
  const all = [first, ...others]
  const few = Math.min(3, count - 1)
  const family = host.includes(':') ? 'ipv6' : 'ipv4'
  await expect.poll(() => all.every((one) => one.stats(family).nodes >= few), polling).toBe(true)
  return all
}

export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wikiseed-dht-'))
  cleanUp.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export const announce = (infohash: string, port: number, leftBytes = 0): Announce => ({
  infohash: infohash as Infohash,
  peerId: 'ab'.repeat(20),
  port,
  outsidePort: port,
  uploadedBytes: 0,
  downloadedBytes: 0,
  leftBytes,
  event: 'started',
})

/** A socket of a stranger, and what it is told. */
export async function startStranger(
  host = '127.0.0.1',
): Promise<{ socket: Socket; port: number; heard: Buffer[] }> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  await new Promise<void>((resolve) => socket.bind(0, host, resolve))
  const heard: Buffer[] = []
  socket.on('message', (bytes) => heard.push(bytes))
  cleanUp.push(async () => socket.close())
  return { socket, port: socket.address().port, heard }
}

/** The stranger's. */
export const ID = Buffer.alloc(20, 1)

export const query = (q: string, a: Record<string, Bencodable>): Uint8Array =>
  bencode({ t: 'aa', y: 'q', q, a: { id: ID, ...a } })

export const read = (bytes: Uint8Array): BencodedMap =>
  bdecode(bytes, { bytesMax: 65_536, itemsMax: 10_000, depthMax: 8 }) as BencodedMap
