/**
 * One file of a torrent as its peers send it, block by block, held against nothing: whoever audits a node wants the bytes that it
 * sends, right or wrong. The engine's package would ask for a wrong piece again, without end.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Info } from '../../protocol/torrent/info.ts'
import { layoutOf } from '../../protocol/torrent/spans.ts'
import type { Taker } from './torrent-transfer.ts'
import type { Wire } from './wire.ts'

/** What every peer answers. */
const BLOCK_BYTES = 16 * 1024
/** Asked for at once of one peer: 1 MiB. */
const REQUESTS_MAX = 64

interface Block {
  readonly piece: number
  /** In the piece, and in the file. */
  readonly offset: number
  readonly position: number
  readonly length: number
}

export class FileTaker implements Taker {
  readonly isClosed = true
  readonly #wires = new Set<Wire>()
  #taking: Taking | null = null

  /** A peer whose bytes may be taken. */
  watch(wire: Wire): void {
    this.#wires.add(wire)
    wire.on('unchoke', () => this.#taking?.ask(wire))
    wire.once('close', () => {
      this.#wires.delete(wire)
      // What it did not answer is for the others.
      for (const other of this.#wires) this.#taking?.ask(other)
    })
    this.#taking?.ask(wire)
  }

  /** Writes one file to `path`; resolves when every block came, however long that takes. Rejects with the file system's error. */
  async take(info: Info, file: number, path: string): Promise<void> {
    const taking = new Taking(info, file, path)
    this.#taking = taking
    try {
      for (const wire of this.#wires) taking.ask(wire)
      await taking.done
    } finally {
      await this.stop()
    }
  }

  /** After this nothing is written any more; what `take` waits for does not come. */
  async stop(): Promise<void> {
    const taking = this.#taking
    this.#taking = null
    await taking?.end()
  }
}

class Taking {
  readonly done: Promise<void>
  readonly #handle: Promise<FileHandle>
  readonly #blocks: Iterator<Block>
  /** Of peers that closed, choked or refused before they answered. */
  readonly #again: Block[] = []
  /** Requests under way. */
  readonly #open = new WeakMap<Wire, number>()
  readonly #writing = new Set<Promise<void>>()
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  #leftBytes: number
  #ended = false

  constructor(info: Info, file: number, path: string) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.done = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#handle = create(path)
    this.#handle.catch(reject)
    this.#blocks = blocksOf(info, file)
    this.#leftBytes = info.files[file]?.sizeBytes ?? 0
    if (this.#leftBytes === 0) this.#handle.then(() => resolve(), reject)
  }

  /** Asks a peer for as much as it may be asked for now. */
  ask(wire: Wire): void {
    if (this.#ended || wire.destroyed) return
    wire.interested()
    while (!wire.peerChoking && (this.#open.get(wire) ?? 0) < REQUESTS_MAX) {
      const block = this.#again.pop() ?? this.#blocks.next().value
      if (block === undefined) return
      const { length } = this.#again
      this.#count(wire, 1)
      wire.request(block.piece, block.offset, block.length, (error, bytes) =>
        this.#answered(wire, block, error === null && bytes !== undefined ? bytes : null),
      )
      // Refused on the spot: it is closing.
      if (this.#again.length > length) return
    }
  }

  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    await Promise.all(this.#writing)
    const handle = await this.#handle.catch(() => null)
    await handle?.close()
  }

  #answered(wire: Wire, block: Block, bytes: Uint8Array | null): void {
    this.#count(wire, -1)
    if (this.#ended) return
    if (bytes === null) {
      this.#again.push(block)
      return
    }
    // The wire's buffer is used again.
    const writing = this.#write(block, new Uint8Array(bytes)).finally(() => {
      this.#writing.delete(writing)
      this.ask(wire)
    })
    this.#writing.add(writing)
  }

  async #write(block: Block, bytes: Uint8Array): Promise<void> {
    try {
      const handle = await this.#handle
      for (let at = 0; at < bytes.length; ) {
        const rest = bytes.length - at
        const { bytesWritten } = await handle.write(bytes, at, rest, block.position + at)
        at += bytesWritten
      }
      this.#leftBytes -= block.length
      if (this.#leftBytes === 0) this.#resolve()
    } catch (error) {
      this.#reject(error)
    }
  }

  #count(wire: Wire, by: number): void {
    this.#open.set(wire, (this.#open.get(wire) ?? 0) + by)
  }
}

async function create(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true })
  return open(path, 'w')
}

/** A file's blocks in order; none reaches into another piece or another file. */
function* blocksOf(info: Info, file: number): Generator<Block, undefined> {
  const { pieceLengthBytes, files } = info
  const start = layoutOf(files).starts[file]
  const sizeBytes = files[file]?.sizeBytes
  if (start === undefined || sizeBytes === undefined) throw new RangeError(`file ${file}`)
  for (let position = 0; position < sizeBytes; ) {
    const offset = (start + position) % pieceLengthBytes
    const length = Math.min(BLOCK_BYTES, pieceLengthBytes - offset, sizeBytes - position)
    yield { piece: Math.floor((start + position) / pieceLengthBytes), offset, position, length }
    position += length
  }
  return undefined
}
