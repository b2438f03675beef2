/**
 * Our own ut_metadata (BEP 9): info dictionaries by infohash, from and to peers. The engine's package has one too, but it
 * trusts the sizes and piece numbers of peers, throws on a hostile message, decodes and encodes again before anyone
 * could judge, and then goes on to request payload at once.
 */
import { BencodeError, bdecodePrefix, bencode } from '../../protocol/codec/bencode.ts'
import { concatBytes } from '../../protocol/codec/bytes.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { INFO_BYTES_MAX } from '../../protocol/limits.ts'
import { infohashOf } from '../../protocol/torrent/info.ts'
import type { Extension, ExtensionClass, Wire } from './wire.ts'

const NAME = 'ut_metadata'
/** BEP 9: metadata travels in blocks of 16 KiB. */
const BLOCK_BYTES = 16 * 1024
const REQUEST = 0
const DATA = 1
const REJECT = 2
/** How often one peer may ask for the whole dictionary over one connection. */
const SERVINGS_MAX = 4

/** What we have or want of the info dictionary of one torrent. */
export type MetadataRole =
  | { readonly kind: 'serve'; readonly info: Uint8Array }
  /** `onInfo` gets the raw bytes, whose SHA-1 is the infohash; perhaps more than once. */
  | { readonly kind: 'want'; readonly infohash: Infohash; readonly onInfo: (info: Uint8Array) => void }

/** For `wire.use`; replaces the package's own extension of the same name. */
export function metadataExchange(role: MetadataRole): ExtensionClass {
  class MetadataExchange implements Extension {
    readonly #wire: Wire
    /** Blocks received so far; null while nothing was asked for. */
    #blocks: (Uint8Array | undefined)[] | null = null
    #sizeBytes = 0
    #servingsLeft = role.kind === 'serve' ? SERVINGS_MAX * blockCount(role.info.length) : 0

    constructor(wire: Wire) {
      this.#wire = wire
      if (role.kind === 'serve') wire.extendedHandshake.metadata_size = role.info.length
    }

    onExtendedHandshake(handshake: Readonly<Record<string, unknown>>): void {
      const size = handshake.metadata_size
      if (role.kind !== 'want' || this.#blocks !== null) return
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1 || size > INFO_BYTES_MAX) return
      this.#sizeBytes = size
      this.#blocks = new Array(blockCount(size)).fill(undefined)
      for (let piece = 0; piece < this.#blocks.length; piece++) this.#send({ msg_type: REQUEST, piece })
    }

    onMessage(message: Uint8Array): void {
      const parsed = parse(message)
      if (parsed === null || parsed.type === REJECT) return
      if (parsed.type === REQUEST) this.#answer(parsed.piece)
      else if (parsed.type === DATA) this.#keep(parsed.piece, parsed.data)
    }

    /** The engine calls this on whatever extension bears the name; our role was fixed when it was made. */
    setMetadata(): void {}

    #answer(piece: number): void {
      if (role.kind !== 'serve' || piece >= blockCount(role.info.length) || this.#servingsLeft-- <= 0) {
        this.#send({ msg_type: REJECT, piece })
        return
      }
      const block = role.info.subarray(piece * BLOCK_BYTES, (piece + 1) * BLOCK_BYTES)
      this.#send({ msg_type: DATA, piece, total_size: role.info.length }, block)
    }

    #keep(piece: number, data: Uint8Array): void {
      if (role.kind !== 'want' || this.#blocks === null || piece >= this.#blocks.length) return
      const expected = Math.min(BLOCK_BYTES, this.#sizeBytes - piece * BLOCK_BYTES)
      if (data.length !== expected || this.#blocks[piece] !== undefined) return
      this.#blocks[piece] = new Uint8Array(data) // the wire's buffer is used again
      const blocks = this.#blocks.flatMap((block) => block ?? [])
      if (blocks.length < this.#blocks.length) return
      const info = concatBytes(...blocks)
      this.#blocks = []
      if (infohashOf(info) === role.infohash) role.onInfo(info)
      else this.#wire.destroy() // it sent other bytes than it was asked for
    }

    #send(fields: Readonly<Record<string, number>>, data: Uint8Array = new Uint8Array()): void {
      if (this.#wire.destroyed || this.#wire.peerExtendedMapping[NAME] === undefined) return
      this.#wire.extended(NAME, concatBytes(bencode(fields), data))
    }
  }
  Object.defineProperty(MetadataExchange.prototype, 'name', { value: NAME })
  return MetadataExchange
}

function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES)
}

/** A message is a small map and, behind it, perhaps a block. Null when it is none. */
function parse(message: Uint8Array): { type: number; piece: number; data: Uint8Array } | null {
  try {
    const limits = { bytesMax: BLOCK_BYTES + 1_024, itemsMax: 64, depthMax: 4 }
    const { value, length } = bdecodePrefix(message, limits)
    if (!(value instanceof Map)) return null
    const type: unknown = value.get('msg_type')
    const piece: unknown = value.get('piece')
    if (typeof type !== 'number' || typeof piece !== 'number' || piece < 0) return null
    return { type, piece, data: message.subarray(length) }
  } catch (error) {
    if (error instanceof BencodeError) return null
    throw error
  }
}
