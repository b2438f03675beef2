// archive.org in small: the metadata API, downloads by way of a storage node, and the little that `ia` asks besides.
import { stat } from 'node:fs/promises'
import { type Exchange, pathSegments, send } from '../exchange.ts'
import { readDisk, serveFile } from '../serve-file.ts'
import { escapeXml } from '../xml.ts'
import { type ArchiveStore, type Item, isIdentifier } from './store.ts'

/** Collections that exist without having been made here. */
const knownCollections = [
  'opensource',
  'opensource_media',
  'test_collection',
  'community',
  'wikimediadownloads',
]
const node = 'ia600100.us.archive.org'
const spareNode = 'ia800100.us.archive.org'

export class ArchiveSite {
  readonly #store: ArchiveStore

  constructor(store: ArchiveStore) {
    this.#store = store
  }

  async handle(ex: Exchange): Promise<void> {
    const segments = pathSegments(ex.rawPath)
    const [door, ...rest] = segments ?? []
    if (door === 'services') return this.#service(ex, rest)
    if (ex.method !== 'GET' && ex.method !== 'HEAD') return page(ex, 405, 'Method Not Allowed')
    if (door === 'metadata') return this.#metadata(ex, rest)
    if (door === 'download') return this.#download(ex, rest)
    if (door === '0' && rest[0] === 'items') return this.#nodeFile(ex, rest.slice(1))
    if (door === 'details') return this.#details(ex, rest)
    return page(ex, 404, 'Page not found')
  }

  /** `/metadata/<id>` and parts of it such as `/metadata/<id>/files`. A missing item is 200 with `{}`. */
  async #metadata(ex: Exchange, [identifier = '', ...path]: string[]): Promise<void> {
    const whole = await this.#metadataOf(ex, identifier)
    const wanted = path.filter((part) => part !== '')
    if (wanted.length === 0 || Object.keys(whole).length === 0) return json(ex, 200, whole)
    let value: unknown = whole
    for (const part of wanted)
      value = typeof value === 'object' && value !== null ? own(value, part) : undefined
    if (value === undefined) return json(ex, 200, { error: `Couldn't locate '${wanted.join('/')}'` })
    if (Array.isArray(value)) {
      const start = Number(ex.query.get('start') ?? 0)
      const count = Number(ex.query.get('count') ?? value.length)
      value = value.slice(start, start + count)
    }
    return json(ex, 200, { result: value })
  }

  async #metadataOf(ex: Exchange, identifier: string): Promise<Record<string, unknown>> {
    const item = isIdentifier(identifier) ? await this.#store.read(identifier) : undefined
    if (!item?.visible) {
      return knownCollections.includes(identifier) && !item ? collectionMetadata(identifier) : {}
    }
    return itemMetadata(ex, item)
  }

  /** 302 to the node that holds the item. */
  async #download(ex: Exchange, [identifier = '', ...path]: string[]): Promise<void> {
    const item = isIdentifier(identifier) ? await this.#store.read(identifier) : undefined
    if (!item?.visible) return page(ex, 404, 'The item you have requested does not exist.')
    const host = ex.proxied ? `http://${node}` : ex.origin
    const location = `${host}/0/items/${identifier}/${path.map(encodeURIComponent).join('/')}`
    return send(ex, 302, { location, 'content-type': 'text/html' })
  }

  async #nodeFile(ex: Exchange, [identifier = '', ...path]: string[]): Promise<void> {
    const found = isIdentifier(identifier)
      ? await this.#store.filePath(identifier, path.join('/'))
      : undefined
    if (!found) return page(ex, 404, 'Not Found')
    const { row } = found
    const item = await this.#store.read(identifier)
    // The list of files has no size in its own row, but it has one on disk.
    const sizeBytes = row.size === undefined ? (await stat(found.path)).size : Number(row.size)
    const mtimeSeconds = row.mtime === undefined ? (item?.updatedSeconds ?? 0) : Number(row.mtime)
    return serveFile(ex, {
      sizeBytes,
      mtimeMs: mtimeSeconds * 1000,
      contentType: 'application/octet-stream',
      etag: `"${row.md5}"`,
      read: (first, last) => readDisk(found.path, first, last),
    })
  }

  async #service(ex: Exchange, [name, ...more]: string[]): Promise<void> {
    const identifier = ex.query.get('identifier') ?? ''
    if (name === 'check_identifier.php' && more.length === 0) {
      const free =
        isIdentifier(identifier) && !this.#store.exists(identifier) && !knownCollections.includes(identifier)
      const code = free ? 'available' : 'not_available'
      const message = free
        ? 'The identifier you have chosen is available'
        : 'The identifier you have chosen is not available'
      return json(ex, 200, { type: 'success', code, identifier, message })
    }
    if (name === 'tasks.php' && more.length === 0) {
      const item = await this.#store.read(identifier)
      const queued = item?.tasks.length ?? 0
      const catalog = (item?.tasks ?? []).map(({ id }) => ({
        identifier,
        task_id: id,
        server: node,
        cmd: 'archive.php',
        args: {},
        submitter: 'volunteer@example.org',
        priority: 0,
        status: 'queued',
      }))
      const value = { summary: { queued, running: 0, error: 0, paused: 0 }, catalog, cursor: '' }
      return json(ex, 200, { success: true, value })
    }
    return page(ex, 404, 'Page not found')
  }

  async #details(ex: Exchange, [identifier = '']: string[]): Promise<void> {
    const item = isIdentifier(identifier) ? await this.#store.read(identifier) : undefined
    if (!item?.visible) return page(ex, 404, 'Item not available')
    return page(ex, 200, [item.metadata.title ?? identifier].flat().join(' '))
  }
}

function itemMetadata(ex: Exchange, item: Item): Record<string, unknown> {
  const server = ex.proxied ? node : new URL(ex.origin).host
  return {
    created: item.createdSeconds,
    d1: node,
    d2: spareNode,
    dir: `/0/items/${item.identifier}`,
    files: item.files,
    files_count: item.files.length,
    item_last_updated: item.updatedSeconds,
    item_size: item.files.reduce((sum, { size }) => sum + Number(size ?? 0), 0),
    metadata: item.metadata,
    ...(item.tasks.length > 0 ? { pending_tasks: true } : {}),
    server,
    uniq: item.uniq,
    workable_servers: ex.proxied ? [node, spareNode] : [server],
  }
}

function collectionMetadata(identifier: string): Record<string, unknown> {
  return {
    created: 1427273784,
    d1: node,
    dir: `/0/items/${identifier}`,
    files: [],
    files_count: 0,
    is_collection: true,
    item_size: 0,
    metadata: { identifier, mediatype: 'collection', title: identifier },
    server: node,
    uniq: 1,
    workable_servers: [node],
  }
}

function own(value: object, name: string): unknown {
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

function json(ex: Exchange, status: number, value: unknown): Promise<void> {
  return send(ex, status, { 'content-type': 'application/json' }, JSON.stringify(value))
}

function page(ex: Exchange, status: number, text: string): Promise<void> {
  const body = `<!DOCTYPE html>\n<title>${escapeXml(text)}</title>\n<h1>${escapeXml(text)}</h1>\n`
  return send(ex, status, { 'content-type': 'text/html; charset=utf-8' }, body)
}
