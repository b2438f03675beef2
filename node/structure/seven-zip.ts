/**
 * 7z (7zFormat.txt of the LZMA SDK): a signature header, packed streams, and at the end the header that says how to read them.
 * So the header is looked at first, out of order; then the streams are unpacked as they come, and held to their CRCs.
 */
import { crc32 } from 'node:zlib'
import { type Bzip2Decoder, plainBzip2Decoder } from './bzip2.ts'
import { Broken, type Decoder, NotRead, type Sink } from './finding.ts'
import { HEADER_BYTES_MAX, holdDictionary } from './limits.ts'
import { LzmaDecoder, lzmaProperties } from './lzma.ts'
import { Lzma2Stream, LzmaStream, type Unpacker } from './lzma-stream.ts'
import {
  type Folder,
  MalformedHeader,
  readHeader,
  SIGNATURE,
  SIGNATURE_HEADER_BYTES,
} from './seven-zip-header.ts'
import { lzma2Dictionary } from './xz-parts.ts'

/** The file itself, for its two headers: exactly these bytes, or fewer where it ends. */
export type ReadAt = (offsetBytes: number, lengthBytes: number) => Uint8Array

interface OpenFolder {
  readonly folder: Folder
  readonly unpacker: Unpacker
  readonly check: FolderCheck
}

export class SevenZipDecoder implements Decoder {
  readonly #give: Sink
  readonly #folders: readonly Folder[]
  readonly #endBytes: number
  readonly #fileBytes: number
  #at = 0
  #next = 0
  #files = 0
  #open: OpenFolder | null = null

  /** Reads the headers. Throws Broken and NotRead. */
  constructor(readAt: ReadAt, fileBytes: number, give: Sink) {
    this.#give = give
    this.#fileBytes = fileBytes
    const { folders, endBytes } = openArchive(readAt, fileBytes)
    this.#endBytes = endBytes
    this.#folders = [...folders].sort((a, b) => a.offsetBytes - b.offsetBytes)
  }

  push(bytes: Uint8Array): void {
    let rest = bytes
    while (rest.length > 0) {
      const open = this.#open ?? this.#nextFolder()
      if (open === null) {
        this.#at += rest.length
        return
      }
      const gap = open.folder.offsetBytes - this.#at
      if (gap > 0) {
        const passed = Math.min(gap, rest.length)
        this.#at += passed
        rest = rest.subarray(passed)
        continue
      }
      const left = open.folder.offsetBytes + open.folder.packedBytes - this.#at
      const taken = open.unpacker.take(rest.subarray(0, left))
      this.#at += taken
      rest = rest.subarray(taken)
      if (taken < left && open.unpacker.isFinished) {
        throw new Broken(open.folder.offsetBytes, 'a packed stream that ends before its last byte')
      }
      if (taken === left) this.#close(open)
    }
  }

  end(): number {
    if (this.#at !== this.#fileBytes) throw new NotRead('it changed while it was read')
    if (this.#fileBytes > this.#endBytes)
      throw new Broken(this.#endBytes, 'bytes after the end of the archive')
    return this.#files
  }

  close(): void {
    this.#open = null
  }

  #nextFolder(): OpenFolder | null {
    for (;;) {
      const folder = this.#folders[this.#next]
      if (folder === undefined) return null
      this.#next++
      if (folder.offsetBytes < this.#at) throw new Broken(folder.offsetBytes, 'packed streams that overlap')
      const check = new FolderCheck(folder, this.#give)
      this.#open = { folder, check, unpacker: unpackerOf(folder, (bytes) => check.update(bytes)) }
      if (folder.packedBytes > 0) return this.#open
      this.#close(this.#open)
    }
  }

  #close(open: OpenFolder): void {
    if (!open.unpacker.isFinished) throw new Broken(open.folder.offsetBytes, 'a packed stream without an end')
    open.check.finish()
    this.#files += open.folder.files.length
    this.#open = null
  }
}

/** Holds what comes out of a folder to the sizes and CRCs of its files. */
class FolderCheck {
  readonly #folder: Folder
  readonly #give: Sink
  #file = 0
  #bytes = 0
  #crc = 0

  constructor(folder: Folder, give: Sink) {
    this.#folder = folder
    this.#give = give
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const file = this.#skipEmpty()
      if (file === undefined) throw this.#broken('more bytes than its files have')
      const take = Math.min(file.sizeBytes - this.#bytes, bytes.length - at)
      this.#crc = crc32(bytes.subarray(at, at + take), this.#crc)
      this.#bytes += take
      at += take
      if (this.#bytes < file.sizeBytes) continue
      if (file.crc !== null && file.crc !== this.#crc)
        throw this.#broken('the CRC of a file is not that of its bytes')
      this.#file++
      this.#bytes = 0
      this.#crc = 0
    }
    this.#give(bytes)
  }

  finish(): void {
    if (this.#skipEmpty() !== undefined) throw this.#broken('fewer bytes than its files have')
  }

  #skipEmpty(): Folder['files'][number] | undefined {
    while (this.#folder.files[this.#file]?.sizeBytes === 0) this.#file++
    return this.#folder.files[this.#file]
  }

  #broken(detail: string): Broken {
    return new Broken(this.#folder.offsetBytes, `a packed stream with ${detail}`)
  }
}

function openArchive(readAt: ReadAt, fileBytes: number): { folders: Folder[]; endBytes: number } {
  if (fileBytes === 0) throw new Broken(0, 'the file is empty')
  const start = readAt(0, SIGNATURE_HEADER_BYTES)
  const begins = start.subarray(0, SIGNATURE.length)
  if (SIGNATURE.slice(0, begins.length).some((byte, i) => begins[i] !== byte))
    throw new Broken(0, 'no 7z file')
  if (start.length < SIGNATURE_HEADER_BYTES) throw new Broken(fileBytes, 'it ends within its first header')
  const view = new DataView(start.buffer, start.byteOffset, start.length)
  if (crc32(start.subarray(12)) !== view.getUint32(8, true))
    throw new Broken(0, 'the CRC of its first header is wrong')
  const offset = Number(view.getBigUint64(12, true))
  const lengthBytes = Number(view.getBigUint64(20, true))
  const headerAt = SIGNATURE_HEADER_BYTES + offset
  const endBytes = headerAt + lengthBytes
  if (endBytes > fileBytes) {
    throw new Broken(fileBytes, `it ends too early: its first header says that it has ${endBytes} bytes`)
  }
  if (lengthBytes === 0) return { folders: [], endBytes }
  if (lengthBytes > HEADER_BYTES_MAX) throw new NotRead(`a header of ${lengthBytes} bytes`)
  const bytes = readAt(headerAt, lengthBytes)
  if (crc32(bytes) !== view.getUint32(28, true)) throw new Broken(headerAt, 'the CRC of its header is wrong')
  return { folders: readFolders(bytes, headerAt, readAt), endBytes }
}

function readFolders(bytes: Uint8Array, headerAt: number, readAt: ReadAt): Folder[] {
  try {
    const { encoded, folders } = readHeader(bytes)
    if (!encoded) return folders
    const [folder] = folders
    if (folder === undefined || folders.length !== 1) throw new MalformedHeader('a header in several pieces')
    if (folder.packedBytes > HEADER_BYTES_MAX || folder.unpackedBytes > HEADER_BYTES_MAX) {
      throw new NotRead('a header that is too large')
    }
    const plain = readHeader(unpackHeader(folder, readAt))
    if (plain.encoded) throw new NotRead('a header that is packed twice')
    return plain.folders
  } catch (error) {
    if (error instanceof MalformedHeader) throw new Broken(headerAt, error.message)
    throw error
  }
}

function unpackHeader(folder: Folder, readAt: ReadAt): Uint8Array {
  const pieces: Uint8Array[] = []
  const check = new FolderCheck(folder, (bytes) => pieces.push(bytes.slice()))
  const unpacker = unpackerOf(folder, (bytes) => check.update(bytes))
  const taken = unpacker.take(readAt(folder.offsetBytes, folder.packedBytes))
  if (taken !== folder.packedBytes || !unpacker.isFinished) {
    throw new Broken(folder.offsetBytes, 'a packed header without an end')
  }
  check.finish()
  return new Uint8Array(Buffer.concat(pieces))
}

function unpackerOf(folder: Folder, give: Sink): Unpacker {
  const { coder, properties, offsetBytes } = folder
  const [first = 0] = properties
  if (coder === '30101') {
    const known = lzmaProperties(first)
    if (properties.length !== 5 || known === null)
      throw new Broken(offsetBytes, 'impossible properties of LZMA')
    const dictionaryBytes = new DataView(properties.buffer, properties.byteOffset).getUint32(1, true)
    holdDictionary(dictionaryBytes)
    const { packedBytes, unpackedBytes } = folder
    // No more window than there is to come out.
    const decoder = new LzmaDecoder(known, Math.min(dictionaryBytes, unpackedBytes), give)
    return new LzmaStream(decoder, { offsetBytes, packedBytes, sizeBytes: unpackedBytes })
  }
  if (coder === '21') {
    const dictionaryBytes = lzma2Dictionary(first)
    if (properties.length !== 1 || dictionaryBytes === null) {
      throw new Broken(offsetBytes, 'impossible properties of LZMA2')
    }
    holdDictionary(dictionaryBytes)
    return new Lzma2Stream(Math.min(dictionaryBytes, folder.unpackedBytes), give, () => offsetBytes)
  }
  if (coder === '40202') return new Bzip2Stream(folder, give)
  if (coder === '0') return new StoredStream(folder, give)
  throw new NotRead(`the coder ${coder}`)
}

class Bzip2Stream implements Unpacker {
  readonly #decoder: Bzip2Decoder
  readonly #offsetBytes: number
  #left: number
  isFinished = false

  constructor({ offsetBytes, packedBytes }: Folder, give: Sink) {
    this.#decoder = plainBzip2Decoder(give)
    this.#offsetBytes = offsetBytes
    this.#left = packedBytes
  }

  take(bytes: Uint8Array): number {
    try {
      this.#decoder.push(bytes)
      this.#left -= bytes.length
      if (this.#left === 0) {
        this.#decoder.end()
        this.isFinished = true
      }
    } catch (error) {
      if (error instanceof Broken) throw new Broken(this.#offsetBytes + error.offsetBytes, error.message)
      throw error
    }
    return bytes.length
  }
}

class StoredStream implements Unpacker {
  readonly #give: Sink
  #left: number
  isFinished: boolean

  constructor({ packedBytes }: Folder, give: Sink) {
    this.#give = give
    this.#left = packedBytes
    this.isFinished = packedBytes === 0
  }

  take(bytes: Uint8Array): number {
    this.#give(bytes)
    this.#left -= bytes.length
    this.isFinished = this.#left === 0
    return bytes.length
  }
}
