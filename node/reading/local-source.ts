/** ByteSource and RunSource over a folder laid out like the mirror: `<wiki>/<date>/<file>`. */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isRunDate } from '../../protocol/dump/dates.ts'
import { parseDumpFileName } from '../../protocol/dump/file-name.ts'
import { READ_BYTES_MAX } from '../ports.ts'
import { type ByteSource, checkRange, type RunFile, type RunSource, SourceError } from './byte-source.ts'

const FILES_MAX = 10_000

/** Rejects with SourceError `disk` when it cannot be opened. */
export async function openLocalFile(path: string): Promise<ByteSource> {
  const handle = await open(path, 'r').catch((error: Error) => {
    throw new SourceError('disk', error.message, { cause: error })
  })
  const { size } = await handle.stat()
  return {
    sizeBytes: size,
    async read(start, end, signal) {
      checkRange(start, end, size, READ_BYTES_MAX)
      return readAll(handle, start, end, signal)
    },
    close: () => handle.close(),
  }
}

async function readAll(
  handle: FileHandle,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const out = new Uint8Array(end - start)
  for (let at = 0; at < out.length; ) {
    if (signal?.aborted === true) throw new SourceError('aborted', 'reading was stopped')
    const { bytesRead } = await handle
      .read(out, at, out.length - at, start + at)
      .catch((error: Error) => Promise.reject(new SourceError('disk', error.message, { cause: error })))
    if (bytesRead === 0) throw new SourceError('changed', 'the file became shorter while it was read')
    at += bytesRead
  }
  return out
}

/** Dates of the runs of a wiki in the folder, newest first; empty when there is none. */
export async function localRunDates(root: string, wiki: string): Promise<string[]> {
  const names = await readdir(join(resolve(root), wiki)).catch(() => [])
  return names.filter(isRunDate).sort().reverse()
}

/** The run's files, links and folders left out. Rejects with SourceError `disk`. */
export async function openLocalRun(root: string, wiki: string, date: string): Promise<RunSource> {
  const folder = join(resolve(root), wiki, date)
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: Error) => {
    throw new SourceError('disk', `the folder ${folder} cannot be read`, { cause: error })
  })
  if (entries.length > FILES_MAX)
    throw new SourceError('disk', `${folder} holds more than ${FILES_MAX} files`)
  const files: RunFile[] = []
  for (const entry of entries) {
    const parsed = entry.isFile() ? parseDumpFileName(entry.name) : null
    if (parsed?.wiki !== wiki || parsed.date !== date) continue
    files.push({ name: entry.name, sizeBytes: (await stat(join(folder, entry.name))).size })
  }
  return {
    wiki,
    date,
    files: files.sort((a, b) => (a.name < b.name ? -1 : 1)),
    async open(name) {
      if (!files.some((file) => file.name === name)) throw new RangeError(`no file ${name}`)
      return openLocalFile(join(folder, name))
    },
    close: async () => {},
  }
}
