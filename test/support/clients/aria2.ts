/** aria2 by its JSON-RPC. It takes peers from trackers only, so each `leech` has one of its own. */
import type { TorrentPeer } from '../../../node/ports.ts'
import { infohashOf } from '../../../protocol/torrent/info.ts'
import { parseMagnet } from '../../../protocol/torrent/magnet.ts'
import { decodeMetainfo } from '../../../protocol/torrent/metainfo.ts'
import type { ClientDriver, TorrentClient } from './client.ts'
import { freePort, makeFolder, missing, startProgram, untilTrue } from './program.ts'
import { startTracker, type Tracker } from './tracker.ts'

interface Row {
  readonly gid: string
  readonly infoHash: string
  readonly status: string
  readonly seeder?: string
  readonly totalLength: string
  readonly completedLength: string
  readonly errorMessage?: string
  readonly files: readonly { readonly path: string }[]
}

const KEYS = [
  'gid',
  'infoHash',
  'status',
  'seeder',
  'totalLength',
  'completedLength',
  'errorMessage',
  'files',
]
const SETTINGS = [
  '--no-conf=true',
  '--enable-rpc=true',
  '--rpc-listen-all=false',
  '--rpc-max-request-size=64M',
  '--enable-dht=false',
  '--enable-dht6=false',
  '--bt-enable-lpd=false',
  '--enable-peer-exchange=false',
  '--disable-ipv6=true',
  '--file-allocation=none',
  '--allow-overwrite=true',
  '--seed-ratio=0',
  '--max-concurrent-downloads=10000',
  '--quiet=true',
]

async function start(host: string): Promise<TorrentClient> {
  const [port, rpcPort] = [await freePort(host), await freePort()]
  const args = [
    ...SETTINGS,
    `--rpc-listen-port=${rpcPort}`,
    `--listen-port=${port}`,
    `--interface=${host}`,
    `--stop-with-process=${process.pid}`,
  ]
  const program = startProgram('aria2c', args, await makeFolder())
  const trackers: Tracker[] = []
  const ask = async <T>(method: string, params: readonly unknown[]): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${rpcPort}/jsonrpc`, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: `aria2.${method}`, params }),
    })
    const { result, error } = (await response.json()) as { result: T; error?: { message: string } }
    if (error !== undefined) throw new Error(`aria2: ${error.message}`)
    return result
  }
  const done = async (infohash: string, seeding: boolean): Promise<true | null> => {
    const rows = [
      ...(await ask<Row[]>('tellActive', [KEYS])),
      ...(await ask<Row[]>('tellStopped', [0, 1_000, KEYS])),
    ]
    // What stands for a magnet link until its info dictionary has come is a download of its own.
    const own = rows.filter(
      (row) => row.infoHash === infohash && row.files[0]?.path.startsWith('[METADATA]') === false,
    )
    const failed = own.find((row) => row.status === 'error')
    if (failed !== undefined) throw new Error(`aria2: ${failed.errorMessage}`)
    const whole = own.some(
      (row) =>
        row.totalLength !== '0' &&
        row.completedLength === row.totalLength &&
        (seeding ? row.seeder === 'true' : row.status === 'complete' || row.seeder === 'true'),
    )
    return whole ? true : null
  }
  await untilTrue('aria2 answers', program, () => ask('getVersion', []).catch(() => null))
  return {
    name: 'aria2',
    pid: program.pid,
    peer: { host, port },
    dials: true,
    makesEmptyFiles: true,
    async seed(torrent, root) {
      const options = { dir: root, 'bt-seed-unverified': 'true' }
      await ask('addTorrent', [Buffer.from(torrent).toString('base64'), [], options])
      await untilTrue('aria2 seeds', program, () => done(infohashIn(torrent), true))
    },
    async leech(what, root, peers: readonly TorrentPeer[], onAdded) {
      const tracker = peers.length === 0 ? null : await startTracker(peers)
      if (tracker !== null) trackers.push(tracker)
      const options = { dir: root, ...(tracker === null ? {} : { 'bt-tracker': tracker.url }) }
      if (typeof what === 'string') await ask('addUri', [[what], options])
      else await ask('addTorrent', [Buffer.from(what).toString('base64'), [], options])
      onAdded?.()
      await untilTrue('aria2 has everything', program, () => done(infohashIn(what), false))
    },
    async stop() {
      await program.stop()
      await Promise.all(trackers.map((tracker) => tracker.close()))
    },
  }
}

export function infohashIn(what: Uint8Array | string): string {
  const found = typeof what === 'string' ? parseMagnet(what)?.infohash : undefined
  const metainfo = typeof what === 'string' ? null : decodeMetainfo(what)
  return found ?? (metainfo === null ? '' : infohashOf(metainfo.info))
}

export const aria2: ClientDriver = {
  name: 'aria2',
  missing: () => missing('aria2c'),
  start: ({ host = '127.0.0.1' } = {}) => start(host),
}
