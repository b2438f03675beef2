/** Cycle bundles at a coordinator: when they are made, of what, and when they are not seeded any more. */
import { existsSync, readdirSync } from 'node:fs'
import { readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { BundleLoop } from '../../coordinator/bundle-loop.ts'
import type { MadeBundle } from '../../coordinator/bundle-records.ts'
import { OutsideEngine } from '../../node/engines/outside-engine.ts'
import { QBittorrent } from '../../node/engines/qbittorrent.ts'
import { Transmission } from '../../node/engines/transmission.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { bundleFiles, cycleBundles } from '../../protocol/torrent/bundle.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { missingProgram } from '../demo/support.ts'
import { withLeecher } from '../support/bundle-leecher.ts'
import { type BundleRig, type BundleRigOptions, bundleRig } from '../support/bundle-rig.ts'
import { PROGRAMS, startQBittorrent, startTransmission } from '../support/seed-programs.ts'

const RUNS = ['aawiki/20260101', 'htwiki/20260101', 'mgwiki/20260101']
const NEVER = new AbortController().signal

let rig: BundleRig | null = null
afterEach(async () => {
  await rig?.close()
  rig = null
})
async function start(runs = RUNS, options: BundleRigOptions = {}): Promise<BundleRig> {
  rig = await bundleRig(runs, options)
  return rig
}

async function only(loop: BundleLoop): Promise<MadeBundle> {
  await loop.round(NEVER)
  const [bundle, ...more] = loop.whole()
  if (bundle === undefined || more.length > 0) throw new Error(JSON.stringify(loop.status()))
  return bundle
}

async function change(path: string): Promise<void> {
  const bytes = await readFile(path)
  bytes[7] = (bytes[7] ?? 0) ^ 1
  await writeFile(path, bytes)
}

/** Every byte of the bundle, from who listens on this port. */
const expectGiven = ({ layout }: BundleRig, port: number, { infohash }: MadeBundle) =>
  withLeecher(port, infohash, async ({ info, read }) => {
    const files = decodeInfo(info, 'bundle')?.files ?? []
    expect(files.length).toBeGreaterThan(0)
    for (const [index, file] of files.entries()) {
      const ours = await readFile(join(layout.mirror, file.path))
      if (ours.length > 0) expect(ours.equals(await read(index, 0, file.sizeBytes)), file.path).toBe(true)
    }
  })

const stateOf = async ({ engine }: BundleRig, { infohash }: MadeBundle) =>
  (await engine.stats()).find((one) => one.infohash === infohash)?.state ?? 'none'
/** Of its first file. */
const pathOf = ({ layout }: BundleRig, shard: Shard) => join(layout.mirror, bundleFiles(shard)[0]?.path ?? '')

/** Whoever asks for it gets nothing, and it is not seeded any more. */
async function failsWhenAskedFor(now: BundleRig, bundle: MadeBundle): Promise<void> {
  const { port } = now.engine
  const given = () => Promise.reject(new Error('it was given'))
  await withLeecher(port, bundle.infohash, given, 1_500).catch((error: Error) =>
    expect(error.message).not.toBe('it was given'),
  )
  await expect.poll(() => stateOf(now, bundle)).toBe('failed')
}

describe('the bundle of a cycle', () => {
  it('is made of all small runs that are held, each byte read once, and no byte kept twice', async () => {
    const now = await start()
    const bundle = await only(now.loop)
    const [wanted] = cycleBundles(bundle.cycle, [...now.named.values()])
    if (wanted === undefined) throw new Error('no bundle')
    expect(bundle).toMatchObject({ name: 'wikiseed-2026-01', sizeBytes: wanted.sizeBytes })
    expect(bundle.shards).toEqual(wanted.shards.map((shard) => shard.key))
    expect(now.readBytes()).toBe(wanted.sizeBytes)
    const torrent = await now.loop.torrent(bundle)
    const metainfo = torrent === null ? null : decodeMetainfo(torrent)
    expect(metainfo?.infohash).toBe(bundle.infohash)
    const { name, files, pieceLengthBytes } = wanted
    const info = decodeInfo(metainfo?.info ?? new Uint8Array(), 'bundle')
    expect(info).toMatchObject({ name, files, pieceLengthBytes })
    expect(readdirSync(now.layout.bundles)).toEqual(['wikiseed-2026-01'])
    expect(await stat(join(now.layout.bundles, 'wikiseed-2026-01', 'aawiki'))).toMatchObject({
      ino: (await stat(join(now.layout.mirror, 'aawiki'))).ino,
    })
    expect(now.loop.status()).toEqual([
      expect.objectContaining({ name: 'wikiseed-2026-01', shards: 3, detail: '' }),
    ])
  })

  it('has the same infohash at two that hold the same', async () => {
    const first = await only((await start()).loop)
    await rig?.close()
    const second = await only((await start([...RUNS].reverse())).loop)
    expect(second.infohash).toBe(first.infohash)
  })

  it('is seeded from the files of the mirror, byte for byte', async () => {
    const now = await start()
    const bundle = await only(now.loop)
    await expectGiven(now, now.engine.port, bundle)
  })

  it('is not read again after a restart, and seeded at once', async () => {
    const now = await start()
    const bundle = await only(now.loop)
    const before = now.readBytes()
    await now.engine.remove(bundle.infohash)
    const next = await now.again()
    await next.seed()
    expect(await stateOf(now, bundle)).toBe('seeding')
    await next.round(NEVER)
    expect(next.whole()).toEqual([bundle])
    expect(now.readBytes()).toBe(before)
  })

  it('waits for every run that the catalog names, and says for how many', async () => {
    const now = await start()
    const [first] = now.own.values()
    if (first === undefined) throw new Error('nothing is held')
    first.state = 'claimed'
    await now.loop.round(NEVER)
    expect(now.loop.status()).toEqual([
      expect.objectContaining({ cycle: '2026-01', name: null, detail: 'waits for 1 of 3 shards' }),
    ])
    expect(now.readBytes()).toBe(0)
    first.state = 'held'
    expect((await only(now.loop)).shards).toHaveLength(3)
  })

  it('waits until no run was new for the quiet time', async () => {
    const now = await start(RUNS, { quietMs: 60_000 })
    await now.loop.round(NEVER)
    expect(now.loop.status()).toEqual([
      expect.objectContaining({ detail: expect.stringMatching(/^waits until .*Z, in case more comes$/) }),
    ])
    for (const key of now.acceptedAtMs.keys()) now.acceptedAtMs.set(key, Date.now() - 60_001)
    expect((await only(now.loop)).shards).toHaveLength(3)
  })

  it('of another cycle is another one, and parts of big runs are in none', async () => {
    const now = await start(['aawiki/20260101', 'fatwiki/20240920'])
    await now.loop.round(NEVER)
    expect(now.loop.whole().map((one) => [one.name, one.shards.length])).toEqual([
      ['wikiseed-2024-09', 1],
      ['wikiseed-2026-01', 1],
    ])
  })

  it('is made anew, in the place of the old one, when a run comes to its cycle', async () => {
    const now = await start()
    const [last] = [...now.named.values()].slice(-1)
    if (last === undefined) throw new Error('nothing is held')
    now.named.delete(last.key)
    const before = await only(now.loop)
    expect(before.shards).toHaveLength(2)
    now.named.set(last.key, last)
    const after = await only(now.loop)
    expect([after.name, after.shards.length]).toEqual([before.name, 3])
    expect([await stateOf(now, before), await stateOf(now, after)]).toEqual(['none', 'seeding'])
    expect(existsSync(join(now.layout.torrents, `${before.infohash}.torrent`))).toBe(false)
  })
})

describe.each([
  ['qbittorrent', startQBittorrent, QBittorrent],
  ['transmission', startTransmission, Transmission],
] as const)('a bundle of a coordinator whose seeds %s gives', (kind, startProgram, Client) => {
  const itRuns = missingProgram(PROGRAMS[kind]) === null ? it : it.skip

  itRuns(
    'is seeded there from the link, and taken out while a shard is repaired',
    async () => {
      const program = await startProgram()
      try {
        const client = new Client({ url: program.url, user: null, password: null })
        const now = await start(RUNS, {
          outside: (own, from) =>
            new OutsideEngine({ own, client, folders: { from, to: from }, log: silentLog }),
        })
        const bundle = await only(now.loop)
        await expect
          .poll(async () => (await client.find(bundle.infohash))?.state, { timeout: 30_000 })
          .toBe('seeding')
        await expectGiven(now, program.port, bundle)
        const copy = now.own.get(bundle.shards[1] as ShardKey)
        if (copy === undefined) throw new Error('not held')
        copy.state = 'claimed'
        await now.loop.seed()
        expect(await client.find(bundle.infohash)).toBeNull()
      } finally {
        await rig?.close()
        rig = null
        await program.stop()
      }
    },
    90_000,
  )
})

describe('a bundle with a damaged shard', () => {
  it('is not made: what is damaged is repaired first', async () => {
    const now = await start()
    const [, second] = now.held
    if (second === undefined) throw new Error('no second shard')
    await change(pathOf(now, second.shard))
    await now.loop.round(NEVER)
    expect(now.loop.whole()).toEqual([])
    expect(now.events).toEqual([
      { kind: 'checked', shard: second.shard.key, damaged: [expect.stringContaining('htwiki')] },
    ])
    await now.loop.round(NEVER)
    expect(now.loop.status()).toEqual([expect.objectContaining({ detail: 'waits for 1 of 3 shards' })])
  })

  it('is given to nobody, also when only the time of a file changed', async () => {
    const now = await start()
    const bundle = await only(now.loop)
    const path = pathOf(now, now.held[0]?.shard as Shard)
    const { atime, mtimeMs } = await stat(path)
    await utimes(path, atime, new Date(mtimeMs + 5_000))
    await failsWhenAskedFor(now, bundle)
    // The file is whole, so its shard is read and the bundle is seeded again later.
    await now.loop.mend()
    expect(now.events).toEqual([{ kind: 'checked', shard: now.held[0]?.shard.key, damaged: [] }])
  })

  it('is not seeded while that is repaired, and seeded again afterwards', async () => {
    const now = await start()
    const bundle = await only(now.loop)
    const copy = now.own.get(bundle.shards[1] as ShardKey)
    if (copy === undefined) throw new Error('not held')
    copy.state = 'claimed'
    await now.loop.seed()
    expect([now.loop.whole(), await stateOf(now, bundle)]).toEqual([[], 'none'])
    expect(now.loop.status()).toContainEqual(
      expect.objectContaining({
        name: 'wikiseed-2026-01',
        detail: 'waits for 1 of 3 shards to be whole again',
      }),
    )
    copy.state = 'held'
    await now.loop.seed()
    expect([now.loop.whole(), await stateOf(now, bundle)]).toEqual([[bundle], 'seeding'])
  })

  it('whose .torrent was lost is made again', async () => {
    const now = await start()
    const bundle = await only(now.loop)
    const path = join(now.layout.torrents, `${bundle.infohash}.torrent`)
    const torrent = await readFile(path)
    await writeFile(path, torrent.subarray(0, 100))
    await failsWhenAskedFor(now, bundle)
    await now.loop.mend()
    expect(now.loop.whole()).toEqual([])
    expect((await only(now.loop)).infohash).toBe(bundle.infohash)
    expect((await readFile(path)).equals(torrent)).toBe(true)
    expect(await stateOf(now, bundle)).toBe('seeding')
  })
})
