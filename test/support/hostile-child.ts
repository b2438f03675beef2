/**
 * A process of hostile BitTorrent peers, for one seed: bad handshakes without end, handshakes that never end, floods of requests whose
 * answers are never read, messages of 4 GiB, and a thousand connections at once. Ends with its parent.
 */
import { connect, type Socket } from 'node:net'
import { setPriority } from 'node:os'
import type { Infohash } from '../../protocol/ids.ts'
import { handshakeFor } from './raw-peers.ts'

export interface HostileTask {
  readonly port: number
  readonly infohash: Infohash
}

const CONNECTIONS = 1_000
/** The attacker shares the processors with its victim: it begins no more than so many a second. */
const CALLS_PER_SECOND = 500

const INTERESTED = Buffer.from([0, 0, 0, 1, 2])
const HUGE = Buffer.from([0xff, 0xff, 0xff, 0xf0, 20, 1])

function requests(count: number): Buffer {
  const one = Buffer.alloc(17)
  one.writeUInt32BE(13, 0)
  one[4] = 6
  one.writeUInt32BE(16 * 1024, 13)
  return Buffer.concat(Array(count).fill(one))
}

// What the attack costs the attacker is not to be measured: it gets what processor time the others leave.
setPriority(19)
const { port, infohash } = JSON.parse(process.argv[2] ?? '{}') as HostileTask
const flood = requests(2_000)
const tricks: ((socket: Socket) => void)[] = [
  (socket) => socket.write(Buffer.alloc(68, 0xaa)),
  (socket) => socket.write(handshakeFor('00'.repeat(20) as Infohash)),
  (socket) => socket.write(handshakeFor(infohash).subarray(0, 40)),
  (socket) => socket.write(Buffer.concat([handshakeFor(infohash, peerId()), HUGE, Buffer.alloc(60_000)])),
  (socket) => {
    socket.pause() // it never reads what it asked for
    socket.write(Buffer.concat([handshakeFor(infohash, peerId()), INTERESTED, flood]))
  },
]
const peerId = () => `-XX0000-${Math.random().toFixed(10)}`
const open = new Set<Socket>()
let turn = 0
let calls = 0

setInterval(() => {
  for (let i = 0; i < CALLS_PER_SECOND / 20 && open.size < CONNECTIONS; i++) {
    // From eight addresses of this machine: one alone is held to its bound.
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (calls++ % 8)}` })
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    socket.on('connect', () => tricks[turn++ % tricks.length]?.(socket))
  }
}, 50)
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
