/** The suite of SeedClient on real qBittorrent and Transmission, as Debian has them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { QBittorrent } from '../../node/engines/qbittorrent.ts'
import { Transmission } from '../../node/engines/transmission.ts'
import { TransmissionRpc } from '../../node/engines/transmission-rpc.ts'
import { missingProgram } from '../demo/support.ts'
import { type Login, PROGRAMS, startQBittorrent, startTransmission } from '../support/seed-programs.ts'
import { sampleTorrent, writeSample } from '../support/torrents.ts'
import { type SeedClientFactory, seedClientSuite } from './seed-client.suite.ts'

const noLogin = { user: null, password: null }
const qbittorrent: SeedClientFactory = {
  start: startQBittorrent,
  client: (url, login?: Login) => new QBittorrent({ url, ...(login ?? noLogin) }),
  addAsStranger: async ({ url }, torrent, folder) => {
    const form = new FormData()
    form.append('torrents', new Blob([Buffer.from(torrent)]))
    form.append('savepath', folder)
    form.append('category', 'films')
    await fetch(`${url}api/v2/torrents/add`, { method: 'POST', body: form })
  },
}
const transmission: SeedClientFactory = {
  start: startTransmission,
  client: (url, login?: Login) => new Transmission({ url, ...(login ?? noLogin) }),
  addAsStranger: async ({ url }, torrent, folder) => {
    const rpc = new TransmissionRpc({ url, ...noLogin })
    await rpc.call('torrent_add', { metainfo: Buffer.from(torrent).toString('base64'), download_dir: folder })
  },
}

for (const [name, factory, program] of [
  ['qBittorrent', qbittorrent, PROGRAMS.qbittorrent],
  ['Transmission', transmission, PROGRAMS.transmission],
] as const) {
  const missing = missingProgram(program)
  if (missing === null) seedClientSuite(name, factory)
  else describe(`seed client: ${name}`, () => it.skip(`not run: ${missing} is not installed`))
}

describe.skipIf(missingProgram(PROGRAMS.qbittorrent) !== null)('qBittorrent', () => {
  it('dials a peer that a seed is told of', async () => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-dial-'))
    const program = await startQBittorrent()
    const called = vi.fn()
    const peer = createServer((socket) => {
      called()
      socket.destroy()
    })
    try {
      await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve))
      const address = peer.address()
      const port = typeof address === 'object' ? (address?.port ?? 0) : 0
      const sample = sampleTorrent('tenwiki', [40_000])
      await writeSample(sample, root)
      const client = new QBittorrent({ url: program.url, ...noLogin })
      await client.add(sample.torrent, sample.infohash, root)
      await vi.waitFor(
        async () => expect(await client.find(sample.infohash)).toMatchObject({ state: 'stopped' }),
        { timeout: 10_000, interval: 50 },
      )
      await client.start([sample.infohash])
      await client.addPeers(sample.infohash, [
        { host: 'no.address', port: 1 },
        { host: '127.0.0.1', port },
      ])
      await vi.waitFor(() => expect(called).toHaveBeenCalled(), { timeout: 25_000, interval: 50 })
    } finally {
      await new Promise((closed) => peer.close(closed))
      await program.stop()
      await rm(root, { recursive: true })
    }
  })
})
