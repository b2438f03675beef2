/**
 * Blocks of a file that are asked for one after the other, as BitTorrent peers do: one read brings a window of several. A window
 * lives until all of it was handed out, a second at most, so that what is served is what lies on the disk. Its memory is used again
 * once all that was handed out is sent: otherwise a quarter of a megabyte for each waits for the collector.
 */

import type { FileTime } from '../files/file-time.ts'

/** Where a window lies in its file, in bytes. */
export interface FileRange {
  readonly start: number
  readonly length: number
}

interface Window {
  readonly path: string
  readonly memory: Buffer
  readonly bytes: Promise<Buffer>
  readonly expiresAtMs: number
  leftBytes: number
  /** Handed out, and sent of that. */
  takenBytes: number
  sentBytes: number
  /** Nobody gets anything of it any more. */
  over: boolean
}

type Read = (path: string, buffer: Buffer, position: number, known?: FileTime) => Promise<void>

/** Of all files together: 8 MiB in windows of 256 KiB. */
const WINDOWS_MAX = 32
const LIFE_MS = 1_000
/** Memory of windows that is kept for the next ones. */
const SPARE_MAX = 16

export class ReadAhead {
  readonly #read: Read
  readonly #windows = new Map<string, Window>()
  readonly #byMemory = new WeakMap<ArrayBufferLike, Window>()
  readonly #spare: Buffer[] = []
  #timer: NodeJS.Timeout | null = null

  constructor(read: Read) {
    this.#read = read
  }

  /** Bytes of a block inside `window`; `position` is one of the file. Rejects as `read` does. */
  async get(
    path: string,
    window: FileRange,
    position: number,
    length: number,
    fileTime?: FileTime,
  ): Promise<Buffer> {
    const key = `${window.start} ${window.length} ${path}`
    let known = this.#windows.get(key)
    if (known === undefined || known.expiresAtMs < performance.now()) {
      known = this.#begin(key, path, window, fileTime)
    }
    known.leftBytes -= length
    known.takenBytes += length
    if (known.leftBytes <= 0) this.#end(key)
    const bytes = await known.bytes
    return bytes.subarray(position - window.start, position - window.start + length)
  }

  /** These bytes, if they are of a block that was handed out, are not looked at any more by whoever got it. */
  sent(bytes: Uint8Array): void {
    const window = this.#byMemory.get(bytes.buffer)
    if (window === undefined) return
    window.sentBytes += bytes.length
    this.#reuse(window)
  }

  /** The file changed. */
  forget(path: string): void {
    for (const [key, window] of this.#windows) if (window.path === path) this.#end(key)
  }

  /** Nobody gets anything of it any more. */
  #end(key: string): void {
    const window = this.#windows.get(key)
    if (window === undefined) return
    this.#windows.delete(key)
    window.over = true
    this.#reuse(window)
  }

  #reuse({ over, memory, takenBytes, sentBytes }: Window): void {
    if (!over || sentBytes < takenBytes) return
    this.#byMemory.delete(memory.buffer)
    if (this.#spare.length < SPARE_MAX) this.#spare.push(memory)
  }

  #begin(key: string, path: string, { start, length }: FileRange, fileTime?: FileTime): Window {
    const fits = this.#spare.findIndex((spare) => spare.length === length)
    const memory = this.#spare.splice(fits, fits < 0 ? 0 : 1)[0] ?? Buffer.allocUnsafeSlow(length)
    const bytes = this.#read(path, memory, start, fileTime).then(() => memory)
    const window = {
      path,
      memory,
      bytes,
      expiresAtMs: performance.now() + LIFE_MS,
      leftBytes: length,
      takenBytes: 0,
      sentBytes: 0,
      over: false,
    }
    this.#byMemory.set(memory.buffer, window)
    // Whoever asked is told; nobody else should be.
    bytes.catch(() => {
      if (this.#windows.get(key) === window) this.#end(key)
    })
    this.#end(key)
    this.#windows.set(key, window)
    const [oldest] = this.#windows.keys()
    if (this.#windows.size > WINDOWS_MAX && oldest !== undefined) this.#end(oldest)
    this.#timer ??= setTimeout(() => this.#sweep(), LIFE_MS).unref()
    return window
  }

  /** Gives the memory of what nobody came back for. */
  #sweep(): void {
    this.#timer = null
    const nowMs = performance.now()
    for (const [key, window] of this.#windows) if (window.expiresAtMs < nowMs) this.#end(key)
    if (this.#windows.size > 0) this.#timer = setTimeout(() => this.#sweep(), LIFE_MS).unref()
  }
}
