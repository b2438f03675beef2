/**
 * ByteSource and RunSource over a folder laid out like the mirror: `<wiki>/<date>/<file>`, of exports
 * `mediawiki_<dataset>/<wiki>/<YYYY-MM-DD>/xml/bzip2/<file>`.
 */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isRunDate, runDateFromHyphens } from '../../protocol/dump/dates.ts'
import type { Dataset } from '../../protocol/ids.ts'
import { isFileOfRun, runFolder, torrentName } from '../../protocol/shard/paths.ts'
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
export async function localRunDates(
  root: string,
  wiki: string,
  dataset: Dataset = 'dumps',
): Promise<string[]> {
  const parent = dataset === 'dumps' ? wiki : join(torrentName({ dataset, wiki, date: '' }), wiki)
  const names = await readdir(join(resolve(root), parent)).catch(() => [])
  const dates = dataset === 'dumps' ? names.filter(isRunDate) : names.map(runDateFromHyphens)
  return dates
    .filter((date) => date !== null)
    .sort()
    .reverse()
}

/** The run's files, links and folders left out. Rejects with SourceError `disk`. */
export async function openLocalRun(
  root: string,
  wiki: string,
  date: string,
  dataset: Dataset = 'dumps',
): Promise<RunSource> {
  const run = { dataset, wiki, date }
  const folder = join(resolve(root), torrentName(run), runFolder(run))
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: Error) => {
    throw new SourceError('disk', `the folder ${folder} cannot be read`, { cause: error })
  })
  if (entries.length > FILES_MAX)
    throw new SourceError('disk', `${folder} holds more than ${FILES_MAX} files`)
  const files: RunFile[] = []
  for (const entry of entries) {
    if (!entry.isFile() || !isFileOfRun(entry.name, run)) continue
    files.push({ name: entry.name, sizeBytes: (await stat(join(folder, entry.name))).size })
  }
  return {
    ...run,
    files: files.sort((a, b) => (a.name < b.name ? -1 : 1)),
    async open(name) {
      if (!files.some((file) => file.name === name)) throw new RangeError(`no file ${name}`)
      return openLocalFile(join(folder, name))
    },
    close: async () => {},
  }
}
