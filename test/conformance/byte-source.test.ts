import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openLocalFile } from '../../node/reading/local-source.ts'
import { openSwarm } from '../../node/reading/swarm-source.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { sampleTorrentOf, writeSample } from '../support/torrents.ts'
import { byteSourceSuite } from './byte-source.suite.ts'

const folder = () => mkdtemp(join(tmpdir(), 'wikiseed-source-'))

byteSourceSuite('a file on disk', async (bytes) => {
  const root = await folder()
  await writeFile(join(root, 'file'), bytes)
  const source = await openLocalFile(join(root, 'file'))
  const close = async () => {
    await source.close()
    await rm(root, { recursive: true })
  }
  return { source, close }
})

byteSourceSuite('a file in the swarm', async (bytes) => {
  const root = await folder()
  const sample = sampleTorrentOf('tenwiki', [new Uint8Array(20_000), bytes, new Uint8Array(9)])
  await writeSample(sample, root)
  const engines = [0, 1, 2].map(() => new WebTorrentEngine({ port: 0 }))
  const [reader, ...seeds] = engines
  for (const engine of engines) await engine.start()
  for (const seed of seeds) await seed.seed(sample.torrent, root)
  if (reader === undefined) throw new Error('no engine')
  const peers = seeds.map((seed) => ({ host: '127.0.0.1', port: seed.port }))
  const swarm = await openSwarm(reader, { infohash: sample.infohash, info: sample.info, peers })
  const close = async () => {
    await swarm.close()
    for (const engine of engines) await engine.stop()
    await rm(root, { recursive: true })
  }
  return { source: swarm.file('20260101/file-1'), close }
})

describe('a file on disk', () => {
  it('that became shorter is noticed', async () => {
    const root = await folder()
    await writeFile(join(root, 'file'), new Uint8Array(1_000))
    const source = await openLocalFile(join(root, 'file'))
    await truncate(join(root, 'file'), 500)
    await expect(source.read(0, 1_000)).rejects.toMatchObject({ code: 'changed' })
    await source.close()
    await rm(root, { recursive: true })
    await expect(openLocalFile(join(root, 'file'))).rejects.toMatchObject({ code: 'disk' })
  })
})

describe('a file in the swarm', () => {
  it('says that nobody gives it when there are no peers', async () => {
    const sample = sampleTorrentOf('tenwiki', [new Uint8Array(20_000)])
    const engine = new WebTorrentEngine({ port: 0 })
    await engine.start()
    const { infohash, info } = sample
    const swarm = await openSwarm(engine, { infohash, info, peers: [] }, { patienceMs: 50 })
    const reading = swarm.file('20260101/file-0').read(0, 1)
    await expect(reading).rejects.toMatchObject({ name: 'SourceError', code: 'unreachable' })
    expect(() => swarm.file('20260101/other')).toThrow(RangeError)
    await engine.stop()
  })
})
