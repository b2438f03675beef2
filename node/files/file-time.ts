/** By what a file is known to be as it was when its bytes were looked at, without reading it again. */
import type { Stats } from 'node:fs'

export interface FileTime {
  readonly sizeBytes: number
  /** Unix microseconds of the last change of its bytes (mtime). */
  readonly changedUs: number
}

export function fileTime({ size, mtimeMs }: Pick<Stats, 'size' | 'mtimeMs'>): FileTime {
  return { sizeBytes: size, changedUs: Math.floor(mtimeMs * 1_000) }
}

export function isSameTime(a: FileTime, b: FileTime): boolean {
  return a.sizeBytes === b.sizeBytes && a.changedUs === b.changedUs
}
