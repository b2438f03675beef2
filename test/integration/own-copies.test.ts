/** What a node holds, over a restart and on a disk that changes under it: real files, engine and hashing threads. */
import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { layoutOf } from '../../node/files/layout.ts'
import type { Hasher, Store } from '../../node/ports.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { OwnCopies } from '../../node/runtime/own-copies.ts'
import { HeldFiles } from '../../node/store/held-files.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { dumpPath } from '../../node/transfer/build-shard.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { type RealShard, realShard, writeBytes } from '../support/audit-node.ts'
import { handshakeFor, rawPeer } from '../support/raw-peers.ts'

let folder: string
let hasher: WorkerHasher
let real: RealShard
const stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-own-copies-'))
  hasher = new WorkerHasher({ teamsMax: 1 })
  real = await realShard('tenwiki', [50_000, 0, 300], join(folder, 'upstream'), hasher)
})
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})
afterAll(async () => {
  await hasher.close()
  await rm(folder, { recursive: true })
})

/** A data folder with the shard in it, and its store. */
async function dataFolder(): Promise<{ data: string; store: Store }> {
  const data = await mkdtemp(join(folder, 'node-'))
  const layout = layoutOf(data)
  await mkdir(layout.torrents, { recursive: true })
  await writeBytes(real.shard, layout.mirror, real.bytes)
  await writeFile(join(layout.torrents, `${real.infohash}.torrent`), real.torrent)
  return { data, store: createMemoryStore() }
}

/** One run of a node over that folder, as far as its own copies go. */
async function run({ data, store }: { data: string; store: Store }) {
  const files = new ShardFiles(layoutOf(data))
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  stops.push(() => engine.stop())
  const events: Event[] = []
  let reads = 0
  const counting: Hasher = {
    hash: (...options) => {
      reads++
      return hasher.hash(...options)
    },
    pieces: (...options) => {
      reads++
      return hasher.pieces(...options)
    },
    close: async () => {},
  }
  const { shard, infohash } = real
  const own = new Map([[shard.key, { shard, infohash, state: 'held' }]])
  const held = await HeldFiles.open(store, silentLog)
  const copies = new OwnCopies({
    state: { own } as unknown as CoreState,
    files,
    held,
    engine,
    hasher: counting,
    clock: systemClock,
    log: silentLog,
    dispatch: (event) => void events.push(event),
  })
  stops.push(() => copies.stop())
  return {
    copies,
    engine,
    events,
    held,
    reads: () => reads,
    file: dumpPath(shard, files.mirror, real.bytes[0]?.path ?? ''),
    files,
  }
}

const ask = (engine: WebTorrentEngine) => {
  const peer = rawPeer(engine.port, handshakeFor(real.infohash))
  stops.push(async () => void peer.socket.destroy())
  return peer
}
const newer = async (path: string) => {
  const { atime, mtimeMs } = await stat(path)
  await utimes(path, atime, new Date(mtimeMs + 5_000))
}

describe('own copies', () => {
  it('are not read again at start when sizes and times are those of when they were verified', async () => {
    const disk = await dataFolder()
    const first = await run(disk)
    await first.copies.hold(real.shard, real.infohash)
    const second = await run(disk)
    await second.copies.resume()
    await second.copies.stop()
    await ask(second.engine).received(68)
    expect(second.reads()).toBe(0)
    expect(second.events).toEqual([])
  })

  it('are read again when a time changed, and served again when they are whole', async () => {
    const disk = await dataFolder()
    const first = await run(disk)
    await first.copies.hold(real.shard, real.infohash)
    await newer(first.file)
    const second = await run(disk)
    await second.copies.resume()
    await expect
      .poll(() => second.events, { timeout: 10_000 })
      .toEqual([{ kind: 'checked', shard: real.shard.key, damaged: [] }])
    expect(second.reads()).toBe(1)
    await ask(second.engine).received(68)
    const third = await run(disk)
    await third.copies.resume()
    await third.copies.stop()
    expect(third.reads()).toBe(0)
  })

  it('are repaired, and no longer served, when bytes of the same size changed under a new time', async () => {
    const disk = await dataFolder()
    const first = await run(disk)
    await first.copies.hold(real.shard, real.infohash)
    const bytes = await readFile(first.file)
    bytes[7] = (bytes[7] ?? 0) ^ 1
    await writeFile(first.file, bytes)
    await newer(first.file)
    // No start in between: the first who asks finds it.
    expect(await ask(first.engine).closed).toHaveLength(0)
    await expect
      .poll(() => first.events, { timeout: 10_000 })
      .toMatchObject([{ kind: 'checked', damaged: [expect.stringContaining('part-0.sql.gz')] }])
    expect(await first.engine.stats()).toEqual([])
  })

  it.each([
    ['a file is gone', (path: string) => rm(path), 'ENOENT'],
    ['a file is shorter', (path: string) => writeFile(path, 'short'), 'should be 50000'],
  ])('are repaired at start when %s', async (_what, change, reason) => {
    const disk = await dataFolder()
    const one = await run(disk)
    await change(one.file)
    await one.copies.resume()
    await expect
      .poll(() => one.events, { timeout: 10_000 })
      .toMatchObject([{ kind: 'checked', damaged: [expect.stringContaining(reason)] }])
    expect(await one.engine.stats()).toEqual([])
  })

  it('are repaired when the .torrent is gone or another', async () => {
    const disk = await dataFolder()
    const one = await run(disk)
    await writeFile(one.files.torrentPath(real.infohash), 'not a torrent')
    await one.copies.resume()
    expect(await ask(one.engine).closed).toHaveLength(0)
    await expect
      .poll(() => one.events, { timeout: 10_000 })
      .toMatchObject([{ kind: 'checked', damaged: ['the .torrent is gone'] }])
  })

  it('of a folder without records are taken by their sizes, and counted as never read', async () => {
    const disk = await dataFolder()
    const one = await run(disk)
    await one.copies.resume()
    await one.copies.stop()
    expect(one.reads()).toBe(0)
    expect(one.held.verifiedAtMs(real.infohash)).toBe(0)
    await ask(one.engine).received(68)
    await one.copies.forget(real.infohash)
    expect(await one.held.get(real.infohash)).toBe(null)
  })

  it('of which a record is no record any more are taken like those without one', async () => {
    const disk = await dataFolder()
    await disk.store.batch([{ type: 'put', key: `21/${real.infohash}`, value: Uint8Array.of(0xff) }])
    const one = await run(disk)
    expect(one.held.verifiedAtMs(real.infohash)).toBe(null)
    await one.copies.resume()
    await one.copies.stop()
    expect(one.held.verifiedAtMs(real.infohash)).toBe(0)
  })
})
