/** A BitTorrent peer that takes a whole torrent from one other, with nothing but a socket: it costs next to nothing itself. */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { decodeInfo, infohashOf } from '../../protocol/torrent/info.ts'
import { handshakeFor } from './raw-peers.ts'

const BLOCK_BYTES = 16 * 1024
const IN_FLIGHT = 64
const HANDSHAKE_BYTES = 68
const [UNCHOKE, INTERESTED, REQUEST, PIECE] = [1, 2, 6, 7]

export interface Leeched {
  readonly bytes: number
  /** From the first packet to the first byte of payload. */
  readonly firstByteMs: number
  readonly ms: number
}

/** `raw` is the info dictionary. Rejects when the connection ends before all pieces came right. */
export function leech(port: number, raw: Uint8Array, timeoutMs = 60_000): Promise<Leeched> {
  const info = decodeInfo(raw)
  if (info === null) throw new Error('no info dictionary')
  const total = info.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const payload = Buffer.alloc(total)
  const startMs = performance.now()
  let firstByteMs = Number.NaN
  let asked = 0
  let came = 0
  let rest: Buffer = Buffer.alloc(0)
  let isGreeted = false
  const { promise, resolve, reject } = Promise.withResolvers<Leeched>()
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('nothing came')))
  socket.setNoDelay(true)
  socket.write(handshakeFor(infohashOf(raw), `-XX0000-${Math.random().toFixed(10)}`))
  const ask = () => {
    while (asked < total && asked - came < IN_FLIGHT * BLOCK_BYTES) {
      const piece = Math.floor(asked / info.pieceLengthBytes)
      const begin = asked - piece * info.pieceLengthBytes
      const length = Math.min(BLOCK_BYTES, info.pieceLengthBytes - begin, total - asked)
      const message = Buffer.alloc(17)
      message.writeUInt32BE(13, 0)
      message[4] = REQUEST ?? 0
      message.writeUInt32BE(piece, 5)
      message.writeUInt32BE(begin, 9)
      message.writeUInt32BE(length, 13)
      socket.write(message)
      asked += length
    }
  }
  const take = (message: Buffer) => {
    if (message[0] === UNCHOKE) return ask()
    if (message[0] !== PIECE) return
    if (came === 0) firstByteMs = performance.now() - startMs
    const at = message.readUInt32BE(1) * info.pieceLengthBytes + message.readUInt32BE(5)
    message.copy(payload, at, 9)
    came += message.length - 9
    if (came < total) return ask()
    resolve({ bytes: came, firstByteMs, ms: performance.now() - startMs })
    socket.destroy()
  }
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    if (!isGreeted) {
      if (rest.length < HANDSHAKE_BYTES) return
      isGreeted = true
      rest = rest.subarray(HANDSHAKE_BYTES)
      socket.write(Uint8Array.of(0, 0, 0, 1, INTERESTED ?? 0))
    }
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const end = 4 + rest.readUInt32BE(0)
      const message = rest.subarray(4, end)
      rest = rest.subarray(end)
      if (message.length > 0) take(message)
    }
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('the connection was closed')))
  return promise.then((leeched) => {
    for (let at = 0, piece = 0; at < total; at += info.pieceLengthBytes, piece++) {
      const sha1 = createHash('sha1')
        .update(payload.subarray(at, at + info.pieceLengthBytes))
        .digest()
      if (!sha1.equals(info.pieces.subarray(piece * 20, piece * 20 + 20))) throw new Error('wrong bytes')
    }
    return leeched
  })
}
