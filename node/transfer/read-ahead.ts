/**
 * Blocks of a file that are asked for one after the other, as BitTorrent peers do: one read brings a window of several. A window
 * lives until all of it was handed out, a second at most, so that what is served is what lies on the disk.
 */

/** Where a window lies in its file, in bytes. */
export interface FileRange {
  readonly start: number
  readonly length: number
}

interface Window {
  readonly path: string
  readonly bytes: Promise<Buffer>
  readonly expiresAtMs: number
  leftBytes: number
}

/** Of all files together: 8 MiB in windows of 256 KiB. */
const WINDOWS_MAX = 32
const LIFE_MS = 1_000

export class ReadAhead {
  readonly #read: (path: string, buffer: Buffer, position: number) => Promise<void>
  readonly #windows = new Map<string, Window>()
  #timer: NodeJS.Timeout | null = null

  constructor(read: (path: string, buffer: Buffer, position: number) => Promise<void>) {
    this.#read = read
  }

  /** Bytes of a block inside `window`; `position` is one of the file. Rejects as `read` does. */
  async get(path: string, window: FileRange, position: number, length: number): Promise<Buffer> {
    const key = `${window.start} ${window.length} ${path}`
    let known = this.#windows.get(key)
    if (known === undefined || known.expiresAtMs < performance.now()) {
      known = this.#begin(key, path, window)
    }
    known.leftBytes -= length
    if (known.leftBytes <= 0) this.#windows.delete(key)
    const bytes = await known.bytes
    return bytes.subarray(position - window.start, position - window.start + length)
  }

  /** The file changed. */
  forget(path: string): void {
    for (const [key, window] of this.#windows) if (window.path === path) this.#windows.delete(key)
  }

  #begin(key: string, path: string, { start, length }: FileRange): Window {
    const buffer = Buffer.allocUnsafeSlow(length)
    const bytes = this.#read(path, buffer, start).then(() => buffer)
    const window = { path, bytes, expiresAtMs: performance.now() + LIFE_MS, leftBytes: length }
    // Whoever asked is told; nobody else should be.
    bytes.catch(() => {
      if (this.#windows.get(key) === window) this.#windows.delete(key)
    })
    this.#windows.delete(key)
    this.#windows.set(key, window)
    const [oldest] = this.#windows.keys()
    if (this.#windows.size > WINDOWS_MAX && oldest !== undefined) this.#windows.delete(oldest)
    this.#timer ??= setTimeout(() => this.#sweep(), LIFE_MS).unref()
    return window
  }

  /** Gives the memory of what nobody came back for. */
  #sweep(): void {
    this.#timer = null
    const nowMs = performance.now()
    for (const [key, window] of this.#windows) if (window.expiresAtMs < nowMs) this.#windows.delete(key)
    if (this.#windows.size > 0) this.#timer = setTimeout(() => this.#sweep(), LIFE_MS).unref()
  }
}
