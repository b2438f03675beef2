/** The least of a tracker (BEP 3, 23): says one fixed list of peers to whoever asks, for programs that take peers in no other way. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TorrentPeer } from '../../../node/ports.ts'

export interface Tracker {
  readonly url: string
  /** Announces that were answered. */
  readonly announces: number
  close(): Promise<void>
}

export async function startTracker(peers: readonly TorrentPeer[]): Promise<Tracker> {
  const compact = Buffer.concat(
    peers.map(({ host, port }) => Buffer.from([...host.split('.').map(Number), port >> 8, port & 0xff])),
  )
  const answer = Buffer.concat([
    Buffer.from(`d8:intervali60e5:peers${compact.length}:`),
    compact,
    Buffer.from('e'),
  ])
  let announces = 0
  const server = createServer((request, response) => {
    request.resume()
    announces++
    response.end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/announce`,
    get announces() {
      return announces
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
