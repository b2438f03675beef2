/**
 * Where a dump file lies inside its torrent (PROTOCOL 2): the origin's own layout, so that one folder of many torrents is
 * a partial mirror. `dumps`: name `tenwiki`, path `20260101/<file>`. Exports: name `mediawiki_content_history`, path
 * `<db>/<YYYY-MM-DD>/xml/bzip2/<file>`.
 */
import { ShapeError } from '../codec/shape.ts'
import { hyphenDate } from '../dump/dates.ts'
import { isSafeFileName, isWorkingName, parseDumpFileName } from '../dump/file-name.ts'
import type { Dataset } from '../ids.ts'
import { PATH_BYTES_MAX } from '../limits.ts'

/** 2 TiB in pieces of 16 MiB make 2.6 MB of hashes, below INFO_BYTES_MAX. Upstream's largest file is about 0.2 TiB. */
export const FILE_BYTES_MAX = 2 * 1024 ** 4

/** Which run a path must belong to. */
export interface RunName {
  readonly dataset: Dataset
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
}

/** Name of the torrent = first folder of the mirror. */
export function torrentName(run: RunName): string {
  return run.dataset === 'dumps' ? run.wiki : `mediawiki_${run.dataset}`
}

/** Folder of the run's files below the torrent's name, without a slash at its end. */
export function runFolder(run: RunName): string {
  return run.dataset === 'dumps' ? run.date : `${run.wiki}/${hyphenDate(run.date)}/xml/bzip2`
}

/** What upstream and its mirrors put before the torrent's name: nothing, before exports `other/`. */
export function originBase({ dataset }: Pick<RunName, 'dataset'>): string {
  return dataset === 'dumps' ? '' : 'other/'
}

/** Where upstream and its mirrors publish it. No slash at its end. */
export function originFolder(run: RunName): string {
  return `${originBase(run)}${torrentName(run)}/${runFolder(run)}`
}

/** The same for one file, by its path inside the torrent. */
export function originPath(run: RunName, path: string): string {
  return `${originBase(run)}${torrentName(run)}/${path}`
}

/** True when this is the name of a finished file of this very run. */
export function isFileOfRun(name: string, run: RunName): boolean {
  if (run.dataset === 'dumps') {
    const parsed = parseDumpFileName(name)
    return parsed !== null && parsed.wiki === run.wiki && parsed.date === run.date
  }
  return (
    isSafeFileName(name) && !isWorkingName(name) && name.startsWith(`${run.wiki}-${hyphenDate(run.date)}-`)
  )
}

/** Checks a path that a stranger wrote: it must be a file of this run in its own folder, and nothing else. Throws ShapeError. */
export function checkRunPath(path: string, run: RunName, where: string): string {
  const folder = `${runFolder(run)}/`
  if (
    path.length > PATH_BYTES_MAX ||
    !path.startsWith(folder) ||
    !isFileOfRun(path.slice(folder.length), run)
  ) {
    throw new ShapeError(where, `a path of a dump file in ${torrentName(run)}/${folder}`)
  }
  return path
}

/** Last element of a path. */
export function fileNameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
