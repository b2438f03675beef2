/**
 * A tracker and a node of the DHT outside of a home, in a process of their own: `outside-child.ts <host>`. It says where they are, then
 * for each line `tracker|dht <folder>` whether the sample could be fetched there from whoever that one names.
 */
import { createInterface } from 'node:readline'
import { Server } from 'bittorrent-tracker'
import { Dht } from '../../../node/transfer/dht.ts'
import type { WebTorrentEngineOptions } from '../../../node/transfer/torrent-client.ts'
import { WebTorrentEngine } from '../../../node/transfer/torrent-engine.ts'
import { sampleTorrent } from '../torrents.ts'
import { SAMPLE } from './seeded.ts'

const [host = ''] = process.argv.slice(2)
const server = new Server({ http: true, udp: false, ws: false, stats: false })
await new Promise<void>((resolve) => server.listen(0, { http: host }, resolve))
const trackers = [`http://${host}:${server.http?.address().port}/announce`]
const dht = await Dht.start(
  { port: 0, bootstrap: [], nodesPath: null },
  { host: '0.0.0.0', announceHost: host },
)
const bootstrap = [`${host}:${dht.port}`]
console.log(JSON.stringify({ tracker: trackers[0], bootstrap: bootstrap[0] }))

async function fetchBy(way: Partial<WebTorrentEngineOptions>, folder: string): Promise<unknown> {
  const engine = new WebTorrentEngine({ host: '0.0.0.0', announceHost: host, port: 0, ...way })
  await engine.start()
  try {
    const { infohash } = sampleTorrent(...SAMPLE)
    const signal = AbortSignal.timeout(20_000)
    return await engine.fetch(infohash, folder, { peers: [], accept: () => true, signal })
  } finally {
    await engine.stop()
  }
}

for await (const line of createInterface(process.stdin)) {
  const [by, folder = ''] = line.split(' ')
  const way = by === 'dht' ? { dht: { port: 0, bootstrap, nodesPath: null } } : { trackers }
  const answer = await fetchBy(way, folder).then(
    () => 'fetched',
    (error: unknown) => String(error),
  )
  console.log(JSON.stringify(answer))
}
process.exit(0)
