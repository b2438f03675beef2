/** BEP 15: an announce in two round trips, over a socket of its own. */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { toldPort } from './told-hosts.ts'
import { type Announce, PEERS_WANTED, peersOf, type TrackerAnswer, TrackerError } from './tracker-answer.ts'

const PROTOCOL_ID = 0x41727101980n
const EVENTS = { started: 2, stopped: 3 }
const [CONNECT, ANNOUNCE, ERROR] = [0, 1, 3] as const
/** Datagrams get lost: the first is sent again after so long, then after twice that. */
const AGAIN_MS = 3_000

/** Rejects with TrackerError, with the system's error, or with the signal's reason. */
export async function announceByUdp(
  url: URL,
  announce: Announce,
  signal: AbortSignal,
): Promise<TrackerAnswer> {
  const { address, family } = await lookup(url.hostname.replace(/^\[|\]$/g, ''))
  signal.throwIfAborted()
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  const stop = () => failed.reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  socket.on('error', failed.reject)
  let answered: (message: Buffer) => void = () => {}
  socket.on('message', (message) => answered(message))

  const ask = async (action: number, request: (transaction: number) => Buffer): Promise<Buffer> => {
    const transaction = randomInt(2 ** 32)
    const datagram = request(transaction)
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    answered = (message) => {
      if (message.length < 8 || message.readUInt32BE(4) !== transaction) return
      const said = message.readUInt32BE(0)
      if (said === ERROR) reject(new TrackerError(message.toString('utf8', 8).slice(0, 200)))
      else if (said === action) resolve(message)
    }
    let timer: NodeJS.Timeout | null = null
    const send = (pauseMs: number) => {
      socket.send(datagram)
      timer = setTimeout(() => send(2 * pauseMs), pauseMs)
    }
    send(AGAIN_MS)
    try {
      return await Promise.race([promise, failed.promise])
    } finally {
      if (timer !== null) clearTimeout(timer)
    }
  }

  try {
    // Connected: the system drops what others send to this port.
    await Promise.race([
      new Promise<void>((resolve) => socket.connect(Number(url.port), address, resolve)),
      failed.promise,
    ])
    const welcome = await ask(CONNECT, connectRequest)
    if (welcome.length < 16) throw new TrackerError('the tracker cuts its answer')
    const connection = welcome.readBigUInt64BE(8)
    const answer = await ask(ANNOUNCE, (transaction) =>
      announceRequest(connection, transaction, announce, toldPort(address, announce)),
    )
    return readAnswer(answer, family === 6 ? 16 : 4)
  } finally {
    signal.removeEventListener('abort', stop)
    socket.close()
  }
}

function connectRequest(transaction: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64BE(PROTOCOL_ID, 0)
  bytes.writeUInt32BE(CONNECT, 8)
  bytes.writeUInt32BE(transaction, 12)
  return bytes
}

function announceRequest(connection: bigint, transaction: number, announce: Announce, port: number): Buffer {
  const bytes = Buffer.alloc(98)
  bytes.writeBigUInt64BE(connection, 0)
  bytes.writeUInt32BE(ANNOUNCE, 8)
  bytes.writeUInt32BE(transaction, 12)
  bytes.write(announce.infohash, 16, 'hex')
  bytes.write(announce.peerId, 36, 'hex')
  bytes.writeBigUInt64BE(BigInt(announce.downloadedBytes), 56)
  bytes.writeBigUInt64BE(BigInt(announce.leftBytes), 64)
  bytes.writeBigUInt64BE(BigInt(announce.uploadedBytes), 72)
  bytes.writeUInt32BE(announce.event === null ? 0 : EVENTS[announce.event], 80)
  // 84: our address, 0 = as the tracker sees it. 88: a key, that it may know us by after a change of address; we have none.
  bytes.writeInt32BE(PEERS_WANTED, 92)
  bytes.writeUInt16BE(port, 96)
  return bytes
}

function readAnswer(answer: Buffer, addressBytes: 4 | 16): TrackerAnswer {
  if (answer.length < 20) throw new TrackerError('the tracker cuts its answer')
  return {
    intervalMs: answer.readUInt32BE(8) * 1_000,
    leeches: answer.readUInt32BE(12),
    seeds: answer.readUInt32BE(16),
    peers: peersOf(answer.subarray(20), addressBytes),
  }
}
