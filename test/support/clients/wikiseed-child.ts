/**
 * Our engine in a process of its own, told what to do by lines on standard input (see line-client.ts):
 * `node wikiseed-child.ts HOST`.
 */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { boundGarbage, ENGINE_GROWING_PERCENT } from '../../../node/memory.ts'
import type { TorrentPeer } from '../../../node/ports.ts'
import { WebTorrentEngine } from '../../../node/transfer/torrent-engine.ts'
import { infohashOf } from '../../../protocol/torrent/info.ts'
import { parseMagnet } from '../../../protocol/torrent/magnet.ts'
import { decodeMetainfo } from '../../../protocol/torrent/metainfo.ts'

interface Order {
  readonly id: number
  readonly do: 'seed' | 'leech'
  readonly torrent?: string
  readonly magnet?: string
  readonly root: string
  readonly peers?: readonly TorrentPeer[]
}

const engine = new WebTorrentEngine({ host: process.argv[2] ?? '127.0.0.1', port: 0 })
const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`)

async function take(order: Order): Promise<void> {
  const { id, root } = order
  if (order.do === 'seed') {
    await engine.seed(await readFile(order.torrent ?? ''), root)
  } else {
    const infohash =
      order.magnet === undefined
        ? decodeMetainfo(await readFile(order.torrent ?? ''))?.infohash
        : parseMagnet(order.magnet)?.infohash
    if (infohash === undefined) throw new Error('no torrent')
    const options = { peers: order.peers ?? [], accept: (info: Uint8Array) => infohashOf(info) === infohash }
    const fetching = engine.fetch(infohash, root, options)
    say({ id, added: true })
    await fetching
  }
  say({ id, done: true })
}

await engine.start()
// As in the node's own process of it.
boundGarbage(ENGINE_GROWING_PERCENT)
say({ port: engine.port })
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const order = JSON.parse(line) as Order
  take(order).catch((error: Error) => say({ id: order.id, error: error.message }))
})
lines.once('close', () => process.exit(0))
// Node keeps what it compiled when it ends by itself, as the engine's process does.
process.once('SIGTERM', () => process.exit(0))
