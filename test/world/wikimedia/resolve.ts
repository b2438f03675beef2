// From a path to what is to be served: a file of the folder, a derived document, or a listing.
import { createHash } from 'node:crypto'
import type { WikimediaKind } from '../access-log.ts'
import type { Faults } from '../faults.ts'
import { type FileView, nginxEtag, readBuffer, readDisk } from '../serve-file.ts'
import { exportMarker } from './content-exports.ts'
import { parseDumpName } from './jobs.ts'
import { backupIndexPage, type IndexRow, type ListingRow, listingPage } from './pages.ts'
import { newestUpdated, type StatusMaker } from './status.ts'
import { type DumpTree, type Entry, isSumsName } from './tree.ts'
import type { FileState, Versions } from './versions.ts'

export type Found =
  | { kind: WikimediaKind; view: FileView; disk?: { urlPath: string; state: FileState } }
  | { kind: 'redirect'; to: string }
  | { kind: 'forbidden' }

export class Resolver {
  readonly #tree: DumpTree
  readonly #status: StatusMaker
  readonly #versions: Versions
  readonly #startedMs: number
  readonly #faults: Faults
  readonly #now: () => number
  readonly #derived = new Map<string, { hash: string; mtimeMs: number }>()

  constructor(parts: {
    tree: DumpTree
    status: StatusMaker
    versions: Versions
    faults: Faults
    now: () => number
  }) {
    this.#tree = parts.tree
    this.#status = parts.status
    this.#versions = parts.versions
    this.#faults = parts.faults
    this.#now = parts.now
    this.#startedMs = parts.now()
  }

  /** `segments` are decoded; a trailing empty one means that the path ended with a slash. */
  async resolve(segments: readonly string[]): Promise<Found | undefined> {
    const urlPath = `/${segments.join('/')}`
    const asFolder = segments.at(-1) === ''
    const names = asFolder ? segments.slice(0, -1) : [...segments]
    const entry = await this.#tree.find(names)
    if (entry?.kind === 'file' && !asFolder) return this.#file(names, urlPath, entry)
    if (entry?.kind === 'folder' && names.length > 0 && this.#faults.listingsOff) return { kind: 'forbidden' }
    if (entry?.kind === 'folder') {
      if (!asFolder) return { kind: 'redirect', to: `/${names.map(encodeURIComponent).join('/')}/` }
      return this.#page(
        urlPath,
        names.length === 0 ? await this.#backupIndex('recency') : await this.#listing(names),
      )
    }
    return asFolder ? undefined : this.#derivedDocument(names, urlPath)
  }

  async #file(names: string[], urlPath: string, entry: Entry & { kind: 'file' }): Promise<Found | undefined> {
    const [wiki = '', date = '', name = ''] = names
    if (names.length === 3 && (await this.#status.unfinishedFiles(wiki, date)).has(name)) return undefined
    const state = this.#versions.stateOf(urlPath, entry)
    const view: FileView = {
      sizeBytes: state.sizeBytes,
      mtimeMs: state.mtimeMs,
      contentType: contentType(urlPath),
      etag: nginxEtag(state.mtimeMs, state.sizeBytes),
      read: (first, last) => readDisk(state.path, first, last, state.flips),
    }
    return { kind: isStatusPath(urlPath) ? 'status' : 'dump', view, disk: { urlPath, state } }
  }

  async #derivedDocument(names: readonly string[], urlPath: string): Promise<Found | undefined> {
    if (urlPath === '/index.json') return this.#json(urlPath, await this.#status.index())
    if (urlPath === '/backup-index.html') return this.#page(urlPath, await this.#backupIndex('recency'))
    if (urlPath === '/backup-index-bydb.html') return this.#page(urlPath, await this.#backupIndex('name'))
    const marker = await exportMarker(
      { tree: this.#tree, status: this.#status, versions: this.#versions, faults: this.#faults },
      names,
    )
    if (marker !== undefined)
      return this.#document('status', urlPath, marker.text, marker.mtimeMs, 'application/octet-stream')
    const [wiki = '', date = '', name = ''] = names
    if (names.length !== 3 || !/^\d{8}$/.test(date)) return undefined
    const status = await this.#status.dumpStatus(wiki, date)
    if (!status) return undefined
    const updatedMs = Date.parse(`${newestUpdated(status).replace(' ', 'T')}Z`)
    if (name === 'dumpstatus.json') return this.#json(urlPath, status, updatedMs)
    const parsed = parseDumpName(name)
    if (parsed?.wiki !== wiki || parsed.date !== date || !isSumsName(parsed.rest)) return undefined
    const kind = parsed.rest.startsWith('md5') ? 'md5' : 'sha1'
    const text = await this.#status.sums(wiki, date, kind, parsed.rest.endsWith('.json') ? 'json' : 'txt')
    return this.#document('status', urlPath, text, updatedMs)
  }

  async #backupIndex(order: 'recency' | 'name'): Promise<string> {
    const rows: IndexRow[] = []
    for (const wiki of await this.#tree.wikis()) {
      const date = (await this.#tree.dates(wiki)).at(-1) ?? ''
      const status = await this.#status.dumpStatus(wiki, date).catch(() => undefined)
      if (status) rows.push({ wiki, date, status })
    }
    return backupIndexPage(rows, order)
  }

  async #listing(names: readonly string[]): Promise<string> {
    const [wiki = '', date = ''] = names
    const isRun = names.length === 2 && /^\d{8}$/.test(date)
    const unfinished = isRun ? await this.#status.unfinishedFiles(wiki, date) : new Set<string>()
    const rows: ListingRow[] = []
    for (const name of await this.#tree.list(names)) {
      const entry = await this.#tree.find([...names, name])
      if (!entry || unfinished.has(name)) continue
      const sizeBytes = entry.kind === 'file' ? entry.sizeBytes : 0
      rows.push({ name, folder: entry.kind === 'folder', mtimeMs: entry.mtimeMs, sizeBytes })
    }
    for (const name of derivedNames(wiki, date, isRun, rows)) {
      const found = await this.#derivedDocument([...names, name], `/${[...names, name].join('/')}`)
      if (found && 'view' in found) {
        rows.push({ name, folder: false, mtimeMs: found.view.mtimeMs, sizeBytes: found.view.sizeBytes })
      }
    }
    // nginx lists folders first, then by name.
    rows.sort((a, b) => Number(b.folder) - Number(a.folder) || (a.name < b.name ? -1 : 1))
    return listingPage(`/${names.join('/')}/`, rows)
  }

  #json(urlPath: string, value: unknown, mtimeMs = this.#startedMs): Found {
    return this.#document('status', urlPath, JSON.stringify(value), mtimeMs)
  }

  #page(urlPath: string, html: string): Found {
    return this.#document('page', urlPath, html, this.#startedMs, 'text/html; charset=utf-8')
  }

  /** A document with other content than before is newer than before, so that ETag and date tell the truth. */
  #document(kind: WikimediaKind, urlPath: string, text: string, mtimeMs: number, type?: string): Found {
    const bytes = Buffer.from(text)
    const hash = createHash('sha256').update(bytes).digest('hex')
    const before = this.#derived.get(urlPath)
    const changedMs = before ? Math.max(this.#now(), before.mtimeMs + 1000) : mtimeMs
    const current = before?.hash === hash ? before : { hash, mtimeMs: changedMs }
    this.#derived.set(urlPath, current)
    const view: FileView = {
      sizeBytes: bytes.length,
      mtimeMs: current.mtimeMs,
      contentType: type ?? contentType(urlPath),
      etag: nginxEtag(current.mtimeMs, bytes.length),
      read: (first, last) => readBuffer(bytes, first, last),
    }
    return { kind, view }
  }
}

function derivedNames(wiki: string, date: string, isRun: boolean, rows: readonly ListingRow[]): string[] {
  const run = ['md5sums.json', 'md5sums.txt', 'sha1sums.json', 'sha1sums.txt'].map(
    (rest) => `${wiki}-${date}-${rest}`,
  )
  const names = isRun ? ['dumpstatus.json', ...run] : ['SHA256SUMS', '_SUCCESS']
  return names.filter((name) => !rows.some((row) => row.name === name))
}

function isStatusPath(urlPath: string): boolean {
  const name = urlPath.split('/').at(-1) ?? ''
  return (
    name === 'dumpstatus.json' ||
    name === 'SHA256SUMS' ||
    name === '_SUCCESS' ||
    /sums\.(txt|json)$/.test(name)
  )
}

const types: Record<string, string> = {
  json: 'application/json',
  txt: 'text/plain',
  html: 'text/html; charset=utf-8',
  xml: 'text/xml',
  '7z': 'application/x-7z-compressed',
}

function contentType(path: string): string {
  return types[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
}
