/**
 * Answers what a peer asks for. A peer asks for many blocks in one message, of small pieces in no order; the package reads, frames and sends
 * each by itself. Here what was asked for in one turn is read together, blocks that lie near each other by one call, into memory that holds
 * the messages' heads already, and sent as it lies there.
 */
import type { Span } from '../../protocol/torrent/spans.ts'
import { type BlockMemory, MEMORY_BYTES_MAX } from './block-memory.ts'
import type { PeerRequest, Wire } from './wire.ts'

/** What blocks are read from: a torrent's files. */
export interface BlockSource {
  readonly memory: BlockMemory
  /** Where a block lies; null when there is no such block here. */
  spans(piece: number, offset: number, length: number): readonly Span[] | null
  /** Fills the buffers, one after the other, from the position in the file. */
  read(file: number, buffers: readonly Uint8Array[], position: number): Promise<void>
}

interface Asked extends PeerRequest {
  readonly spans: readonly Span[]
}

/** Part of a block, and where it goes. */
interface Segment extends Span {
  readonly bytes: Uint8Array
}

/** Who asks for more is cut off, as the package does; all ask for 16 KiB (BEP 3). */
const BLOCK_BYTES_MAX = 128 * 1024
/** Length, number of the message, piece, offset (BEP 3). */
const HEAD_BYTES = 13
const PIECE = 7
/** Reading so much more costs less than another call. */
const GAP_BYTES_MAX = 128 * 1024
/** Where what lies between blocks goes, of all reads alike. */
const NOWHERE = new Uint8Array(GAP_BYTES_MAX)

export interface AnswerOptions {
  readonly has: (piece: number) => boolean
  /** The torrent is destroyed. */
  readonly isOver: () => boolean
  /** What a read failed with. */
  readonly onError: (error: Error) => void
}

/** In place of the package's answers. */
export function answerRequests(
  wire: Wire,
  source: BlockSource,
  { has, isOver, onError }: AnswerOptions,
): void {
  let waiting: Asked[] = []
  const refuse = ({ piece, offset, length }: PeerRequest) => {
    if (wire.hasFast) wire.reject(piece, offset, length) // BEP 6
  }
  /** False: it was cancelled, or refused. */
  const settle = (request: PeerRequest) => {
    const at = wire.peerRequests.indexOf(request)
    if (at >= 0) wire.peerRequests.splice(at, 1)
    return at >= 0
  }
  const send = (requests: readonly Asked[], memory: Buffer) => {
    const runs: Buffer[] = []
    let payloadBytes = 0
    let bytes = 0
    let end = 0
    let from = 0
    for (const request of requests) {
      const start = end
      end += HEAD_BYTES + request.length
      if (settle(request)) {
        payloadBytes += request.length
        bytes += end - start
        continue
      }
      if (start > from) runs.push(memory.subarray(from, start))
      from = end
    }
    if (end > from) runs.push(memory.subarray(from, end))
    source.memory.lend(memory, bytes)
    for (const run of runs) wire._push(run)
    if (payloadBytes === 0) return
    wire.uploaded += payloadBytes
    wire.uploadSpeed(payloadBytes)
    wire.emit('upload', payloadBytes)
  }
  const answer = async (requests: readonly Asked[], bytes: number) => {
    const memory = source.memory.take(bytes)
    try {
      const reads = readsOf(framed(requests, memory))
      await Promise.all(reads.map(({ file, buffers, position }) => source.read(file, buffers, position)))
    } catch (error) {
      for (const request of requests) if (settle(request)) refuse(request)
      onError(error as Error)
      return
    }
    if (!isOver() && !wire.destroyed) send(requests, memory)
  }
  const answerAll = () => {
    const asked = waiting.sort((a, b) => a.piece - b.piece || a.offset - b.offset)
    waiting = []
    if (isOver()) return
    let some: Asked[] = []
    let bytes = 0
    for (const request of asked) {
      const more = HEAD_BYTES + request.length
      if (bytes + more > MEMORY_BYTES_MAX) {
        void answer(some, bytes)
        some = []
        bytes = 0
      }
      some.push(request)
      bytes += more
    }
    if (some.length > 0) void answer(some, bytes)
  }
  wire._onRequest = (piece, offset, length) => {
    if (length > BLOCK_BYTES_MAX) {
      wire.destroy()
      return
    }
    const spans = wire.amChoking || !has(piece) ? null : source.spans(piece, offset, length)
    if (spans === null) {
      refuse({ piece, offset, length })
      return
    }
    const request = { piece, offset, length, spans }
    wire.peerRequests.push(request)
    if (waiting.push(request) === 1) queueMicrotask(answerAll)
  }
}

/** Writes the heads of the messages; what is still to be read, in the order of the files. */
function framed(requests: readonly Asked[], memory: Buffer): Segment[] {
  const segments: Segment[] = []
  let at = 0
  for (const { piece, offset, length, spans } of requests) {
    at = memory.writeUInt32BE(HEAD_BYTES - 4 + length, at)
    at = memory.writeUInt8(PIECE, at)
    at = memory.writeUInt32BE(piece, at)
    at = memory.writeUInt32BE(offset, at)
    for (const span of spans) {
      segments.push({ ...span, bytes: memory.subarray(at, at + span.length) })
      at += span.length
    }
  }
  return segments
}

interface Read {
  readonly file: number
  readonly position: number
  readonly buffers: Uint8Array[]
}

/** Segments near each other in a file are one read, with what lies between them. */
function readsOf(segments: readonly Segment[]): Read[] {
  const reads: Read[] = []
  let last: Read | undefined
  let end = 0
  for (const { file, offset, length, bytes } of segments) {
    const gap = offset - end
    if (last?.file !== file || gap < 0 || gap > GAP_BYTES_MAX) {
      last = { file, position: offset, buffers: [] }
      reads.push(last)
    } else if (gap > 0) {
      last.buffers.push(NOWHERE.subarray(0, gap))
    }
    last.buffers.push(bytes)
    end = offset + length
  }
  return reads
}
