/** BitTorrent peers made of plain sockets, for what a real one would never do. */
import { connect, type Socket } from 'node:net'
import type { Infohash } from '../../protocol/ids.ts'

/** BEP 3, with the extension bit of BEP 10. */
export function handshakeFor(infohash: Infohash, peerId = '-XX0000-abcdefghijkl'): Buffer {
  const bytes = Buffer.alloc(68)
  bytes.write('\x13BitTorrent protocol', 0, 'latin1')
  bytes[25] = 0x10
  bytes.write(infohash, 28, 'hex')
  bytes.write(peerId, 48, 'latin1')
  return bytes
}

export interface RawPeer {
  readonly socket: Socket
  /** All that came until it was closed. */
  readonly closed: Promise<Buffer>
  /** Resolves when so many bytes came; rejects when it was closed before. */
  received(count: number): Promise<Buffer>
}

/** A connection to a listener on 127.0.0.1 that sent `bytes`. */
export function rawPeer(port: number, bytes: Uint8Array): RawPeer {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  let wake = Promise.withResolvers<void>()
  let isClosed = false
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    wake.resolve()
  })
  socket.on('error', () => {})
  const closed = new Promise<Buffer>((resolve) =>
    socket.once('close', () => {
      isClosed = true
      wake.resolve()
      resolve(Buffer.concat(chunks))
    }),
  )
  socket.write(bytes)
  return {
    socket,
    closed,
    received: async (count) => {
      for (;;) {
        const all = Buffer.concat(chunks)
        if (all.length >= count) return all
        if (isClosed) throw new Error('the connection was closed')
        await wake.promise
        wake = Promise.withResolvers()
      }
    },
  }
}
