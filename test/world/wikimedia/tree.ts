// The dumps folder, read afresh for each request: any folder laid out `<wiki>/<date>/<file>` will do.
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { isSafeSegment } from '../exchange.ts'
import { isWorkingFile, parseDumpName } from './jobs.ts'

export type Entry =
  | { kind: 'file'; path: string; sizeBytes: number; mtimeMs: number }
  | { kind: 'folder'; path: string; mtimeMs: number }

export type Run = { wiki: string; date: string; folder: string }

export class DumpTree {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  /** What is at that path; undefined when nothing is, or when it lies outside the folder (also by a link). */
  async find(segments: readonly string[]): Promise<Entry | undefined> {
    if (!segments.every((segment) => isSafeSegment(segment) && !segment.startsWith('.'))) return undefined
    try {
      const root = await realpath(this.#root)
      const path = await realpath(join(root, ...segments))
      if (path !== root && !path.startsWith(root + sep)) return undefined
      const { size, mtimeMs, ...found } = await stat(path).then((s) => ({
        size: s.size,
        mtimeMs: s.mtimeMs,
        isFile: s.isFile(),
        isFolder: s.isDirectory(),
      }))
      if (found.isFile) return { kind: 'file', path, sizeBytes: size, mtimeMs }
      return found.isFolder ? { kind: 'folder', path, mtimeMs } : undefined
    } catch {
      return undefined
    }
  }

  /** Sorted names of a folder, without hidden ones. */
  async list(segments: readonly string[]): Promise<string[]> {
    const entry = await this.find(segments)
    if (entry?.kind !== 'folder') return []
    const names = await readdir(entry.path)
    return names.filter((name) => isSafeSegment(name) && !name.startsWith('.')).sort()
  }

  async wikis(): Promise<string[]> {
    const found: string[] = []
    for (const name of await this.list([])) {
      if (/^[a-z0-9_]+$/.test(name) && (await this.dates(name)).length > 0) found.push(name)
    }
    return found
  }

  /** Dates of a wiki's runs, oldest first. */
  async dates(wiki: string): Promise<string[]> {
    const dates: string[] = []
    for (const name of await this.list([wiki])) {
      if (/^\d{8}$/.test(name) && (await this.find([wiki, name]))?.kind === 'folder') dates.push(name)
    }
    return dates
  }

  /** Names of the dump files of one run, working files left out. */
  async dumpFiles(wiki: string, date: string): Promise<string[]> {
    const names = await this.list([wiki, date])
    return names.filter((name) => {
      const parsed = parseDumpName(name)
      return parsed?.wiki === wiki && parsed.date === date && !isWorkingFile(name) && !isSumsName(parsed.rest)
    })
  }
}

export function isSumsName(rest: string): boolean {
  return /^(?:md5|sha1)sums\.(?:txt|json)$/.test(rest)
}
