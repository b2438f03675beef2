/**
 * A cycle bundle and other programs: they compute its infohash, each downloads it from our engine, and each can seed it from the link to
 * the mirror. The bundle is a second one of its cycle by name, since `~` in a name may mean something to a program.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { BUNDLE_FILES_MAX } from '../../protocol/limits.ts'
import { bundleName, type CycleBundle, cycleBundles } from '../../protocol/torrent/bundle.ts'
import { encodeInfo, infohashOf } from '../../protocol/torrent/info.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { temporaryFolder } from '../integration/world-support.ts'
import { type BundleRig, bundleRig } from '../support/bundle-rig.ts'
import { OTHERS } from '../support/clients/all.ts'
import { libtorrent } from '../support/clients/libtorrent.ts'
import { DEBIAN_PYTHON, missingLibtorrent } from '../support/clients/program.ts'
import { RunningClients } from '../support/clients/running.ts'
import { bundleTorrent } from '../support/published.ts'

const ORACLE = join(import.meta.dirname, '..', 'oracle', 'libtorrent_trees.py')
const NEVER = new AbortController().signal

let rig: BundleRig
/** The one that the coordinator's loop made, under its other name. */
let second: CycleBundle
let torrent: Uint8Array
let infohash: Infohash
const running = new RunningClients()

beforeAll(async () => {
  rig = await bundleRig(['aawiki/20260101', 'htwiki/20260101', 'mgwiki/20260101'])
  await rig.loop.round(NEVER)
  const [first] = rig.loop.whole()
  const [wanted] = first === undefined ? [] : cycleBundles(first.cycle, rig.named.values())
  if (wanted === undefined) throw new Error('no bundle was made')
  second = { ...wanted, name: bundleName(wanted.cycle, 2) }
  await symlink('../mirror', join(rig.layout.bundles, second.name))
  const made = await bundleTorrent(second, rig.layout.mirror)
  torrent = made.torrent
  infohash = made.infohash
})
afterAll(async () => {
  await running.stop()
  await rig.close()
})

/** Files of the bundle below `folder` whose bytes are not the mirror's. */
async function wrongIn(folder: string, { makesEmptyFiles }: { makesEmptyFiles: boolean }): Promise<string[]> {
  const wrong: string[] = []
  for (const { path, sizeBytes } of second.files) {
    const theirs = await readFile(join(folder, path)).catch(() => null)
    const ours = await readFile(join(rig.layout.mirror, path))
    const isLeftOut = theirs === null && sizeBytes === 0 && !makesEmptyFiles
    if (!isLeftOut && (theirs === null || !ours.equals(theirs))) wrong.push(path)
  }
  return wrong
}

/** As many files as a bundle may have, of four bytes each. */
async function largestBundle() {
  const root = join(rig.layout.root, 'largest')
  const folder = join(root, 'wikiseed-2026-02', 'aawiki')
  await mkdir(folder, { recursive: true })
  const names = Array.from(
    { length: BUNDLE_FILES_MAX },
    (_, i) => `aawiki-20260201-a-table-with-a-long-name-${i}.sql.gz`,
  )
  for (const name of names) await writeFile(join(folder, name), 'data')
  const whole = Buffer.from('data'.repeat(names.length))
  const pieceLengthBytes = 16_384
  const pieces: Buffer[] = []
  for (let at = 0; at < whole.length; at += pieceLengthBytes)
    pieces.push(
      createHash('sha1')
        .update(whole.subarray(at, at + pieceLengthBytes))
        .digest(),
    )
  const files = names.map((name) => ({ path: `aawiki/${name}`, sizeBytes: 4 }))
  const parts = { name: 'wikiseed-2026-02', files, pieceLengthBytes, pieces: Buffer.concat(pieces) }
  const info = encodeInfo(parts, 'bundle')
  return { root, largest: { torrent: encodeMetainfo({ info }), infohash: infohashOf(info) } }
}

describe('the infohash of a bundle', () => {
  it('is what libtorrent computes from the files as they lie in the mirror', (context) => {
    const lacking = missingLibtorrent()
    if (lacking !== null) context.skip(`${lacking} is not installed`)
    const [made] = rig.loop.whole()
    const { pieceLengthBytes, files } = second
    const tree = { parent: rig.layout.bundles, pieceLengthBytes, files: files.map(({ path }) => path) }
    const input = JSON.stringify([
      { ...tree, name: 'wikiseed-2026-01' },
      { ...tree, name: second.name },
    ])
    const { stdout, stderr } = spawnSync(DEBIAN_PYTHON, [ORACLE], { input })
    const theirs = stdout.toString().trim().split('\n')
    expect(theirs, stderr.toString()).toEqual([made?.infohash, infohash])
  })
})

describe.each(OTHERS.map((driver) => ({ name: driver.name, driver })))('$name', ({ name, driver }) => {
  it('downloads a bundle by magnet link from our engine, byte for byte', async (context) => {
    const other = await running.get(context, driver)
    const root = join(rig.layout.root, `to-${name}`)
    await rig.engine.seed(torrent, rig.layout.bundles)
    const peers = [{ host: '127.0.0.1', port: rig.engine.port }]
    await other.leech(magnetLink({ infohash, name: second.name }), root, peers, () => {
      if (!other.dials) rig.engine.addPeers(infohash, [other.peer])
    })
    expect(await wrongIn(join(root, second.name), other)).toEqual([])
  }, 60_000)

  it('seeds a bundle from the link to the mirror', async (context) => {
    const missing = driver.missing()
    if (missing !== null) context.skip(`${missing} is not installed`)
    const other = await driver.start({ host: '127.0.0.2' })
    const engine = new WebTorrentEngine({ port: 0 })
    await engine.start()
    try {
      const root = await temporaryFolder()
      await other.seed(torrent, rig.layout.bundles)
      await engine.fetch(infohash, root, { peers: [other.peer], accept: () => true })
      expect(await wrongIn(join(root, second.name), { makesEmptyFiles: true })).toEqual([])
    } finally {
      await engine.stop()
      await other.stop()
    }
  }, 60_000)
})

// The others do too (docs/decisions/0034); so many files take them a minute.
describe('libtorrent', () => {
  it('takes a bundle of as many files as it may have by magnet link', async (context) => {
    const other = await running.get(context, libtorrent)
    const { root, largest } = await largestBundle()
    await rig.engine.seed(largest.torrent, root)
    const peers = [{ host: '127.0.0.1', port: rig.engine.port }]
    const to = join(rig.layout.root, 'to-largest')
    await other.leech(magnetLink({ infohash: largest.infohash, name: 'wikiseed-2026-02' }), to, peers)
    // A program may still be writing what it says it has.
    const count = async () => (await readdir(join(to, 'wikiseed-2026-02', 'aawiki'))).length
    await expect.poll(count, { timeout: 60_000 }).toBe(BUNDLE_FILES_MAX)
  }, 120_000)
})
