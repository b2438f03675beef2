/**
 * One bounded pool of open files for all torrents of the process: positional reads and writes, no cache of its own (the
 * system has one). Never more than `filesMax` files are open, whatever the number of torrents.
 */
import { constants, fstatSync } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type FileTime, fileTime, isSameTime } from '../files/file-time.ts'

interface OpenFile {
  readonly handle: Promise<FileHandle>
  /** Operations under way. */
  users: number
  /** Called when the last operation ends, of a file that is to be closed. */
  onIdle: (() => void) | null
}

/** Fewer bytes on disk than were asked for: the file is shorter than the torrent says. */
export class ShortFileError extends Error {
  constructor(path: string) {
    super(`the file ends too early: ${path}`)
    this.name = 'ShortFileError'
  }
}

/** The file is not as it was when its bytes were verified: what was read of it may be anything. */
export class ChangedFileError extends Error {
  constructor(path: string) {
    super(`the file changed while it was served: ${path}`)
    this.name = 'ChangedFileError'
  }
}

export class FilePool {
  readonly #filesMax: number
  /** By mode and path, the longest unused first. */
  readonly #open = new Map<string, OpenFile>()
  readonly #closing = new Set<Promise<void>>()
  /** Operations that wait for one of the `filesMax` permits. */
  readonly #waiting: (() => void)[] = []
  #permits: number

  constructor(filesMax = 128) {
    this.#filesMax = filesMax
    this.#permits = filesMax
  }

  /** Files open now. */
  get size(): number {
    return this.#open.size
  }

  /**
   * Fills `buffer` from `position`. Rejects with ShortFileError or the file system's error; with ChangedFileError when afterwards the
   * file is not as `known` says.
   */
  read(path: string, buffer: Uint8Array, position: number, known?: FileTime): Promise<void> {
    return this.readEach(path, [buffer], position, known)
  }

  /** Fills the buffers, one after the other, from `position`. Rejects as `read` does. */
  async readEach(
    path: string,
    buffers: readonly Uint8Array[],
    position: number,
    known?: FileTime,
  ): Promise<void> {
    await this.#use(path, 'r', async (handle) => {
      let at = position
      for (let rest = withoutFirst(buffers, 0); rest.length > 0; ) {
        const { bytesRead } = await handle.readv(rest, at)
        if (bytesRead === 0) throw new ShortFileError(path)
        at += bytesRead
        rest = withoutFirst(rest, bytesRead)
      }
      // The open file's own entry is in memory: microseconds, for each read of many blocks.
      if (known !== undefined && !isSameTime(fileTime(fstatSync(handle.fd)), known))
        throw new ChangedFileError(path)
    })
  }

  /** Writes all of `buffer` at `position`; creates the file and its folders. Rejects with the file system's error. */
  async write(path: string, buffer: Uint8Array, position: number): Promise<void> {
    await this.#use(path, 'w', async (handle) => {
      for (let at = 0; at < buffer.length; ) {
        const { bytesWritten } = await handle.write(buffer, at, buffer.length - at, position + at)
        at += bytesWritten
      }
    })
  }

  /**
   * Makes a complete file durable: cuts what lies behind `sizeBytes` (left by an older download), creates an empty file,
   * and fsyncs. Rejects with ShortFileError when bytes are missing.
   */
  async seal(path: string, sizeBytes: number): Promise<void> {
    await this.#use(path, 'w', async (handle) => {
      const { size } = await handle.stat()
      if (size < sizeBytes) throw new ShortFileError(path)
      if (size > sizeBytes) await handle.truncate(sizeBytes)
      await handle.sync()
    })
  }

  /** Closes these files once their operations ended; must be done before they are renamed or replaced. */
  async release(paths: readonly string[]): Promise<void> {
    const closing = paths.flatMap((path) =>
      (['r', 'w'] as const).flatMap((mode) => {
        const file = this.#open.get(mode + path)
        return file === undefined ? [] : [this.#close(mode + path, file)]
      }),
    )
    await Promise.all(closing)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map(([key, file]) => this.#close(key, file)))
    await Promise.all(this.#closing)
  }

  async #use(path: string, mode: 'r' | 'w', operation: (handle: FileHandle) => Promise<void>): Promise<void> {
    await this.#permit()
    try {
      const file = await this.#take(mode, path)
      try {
        await operation(await file.handle)
      } finally {
        file.users--
        if (file.users === 0) file.onIdle?.()
      }
    } finally {
      this.#permits++
      this.#waiting.shift()?.()
    }
  }

  async #permit(): Promise<void> {
    while (this.#permits === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#permits--
  }

  /**
   * The file, open and marked as used. Others hold at most filesMax - 1 permits, so among filesMax open files one is idle:
   * it gives way.
   */
  async #take(mode: 'r' | 'w', path: string): Promise<OpenFile> {
    const key = mode + path
    for (;;) {
      const known = this.#open.get(key)
      if (known !== undefined) {
        known.users++
        // The used one goes to the end of the line of those to be closed.
        this.#open.delete(key)
        this.#open.set(key, known)
        return known
      }
      if (this.#open.size + this.#closing.size < this.#filesMax) return this.#make(key, path, mode)
      const idle = [...this.#open].find(([, file]) => file.users === 0)
      if (idle !== undefined) await this.#close(...idle)
      else await Promise.race(this.#closing)
    }
  }

  #make(key: string, path: string, mode: 'r' | 'w'): OpenFile {
    const file: OpenFile = { handle: openFile(path, mode), users: 1, onIdle: null }
    this.#open.set(key, file)
    file.handle.catch(() => {
      if (this.#open.get(key) === file) this.#open.delete(key)
    })
    return file
  }

  #close(key: string, file: OpenFile): Promise<void> {
    this.#open.delete(key)
    const idle =
      file.users === 0 ? Promise.resolve() : new Promise<void>((resolve) => (file.onIdle = resolve))
    const closed = idle
      .then(() => file.handle)
      .then(
        (handle) => handle.close(),
        () => {}, // it never opened: whoever asked for it was told
      )
      .finally(() => this.#closing.delete(closed))
    this.#closing.add(closed)
    return closed
  }
}

/** What is left of the buffers once so many bytes of them are filled. */
function withoutFirst(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let filled = bytes
  return buffers.flatMap((buffer) => {
    const rest = buffer.subarray(Math.min(filled, buffer.length))
    filled -= buffer.length - rest.length
    return rest.length > 0 ? [rest] : []
  })
}

async function openFile(path: string, mode: 'r' | 'w'): Promise<FileHandle> {
  if (mode === 'r') return open(path, 'r')
  await mkdir(dirname(path), { recursive: true })
  return open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
}
