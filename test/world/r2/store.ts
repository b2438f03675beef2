// Buckets on disk: `<state>/r2/<bucket>/<key>` holds the bytes, `<state>/r2/.meta/<bucket>/` what is known of them.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isSafeSegment } from '../exchange.ts'
import { Turns, writeJson } from '../store-files.ts'

export type StoredObject = {
  key: string
  sizeBytes: number
  /** Quoted. */
  etag: string
  lastModifiedMs: number
  /** content-type, cache-control and the like, and x-amz-meta-*. */
  headers: Record<string, string>
}

export class R2Store {
  readonly #folder: string
  readonly #buckets = new Map<string, Map<string, StoredObject>>()
  readonly #turns = new Turns()
  #spools = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  static async open(folder: string, firstBucket: string): Promise<R2Store> {
    const store = new R2Store(folder)
    // What an earlier world had not finished receiving is of no use.
    await rm(join(folder, '.spool'), { recursive: true, force: true })
    await mkdir(join(folder, '.spool'), { recursive: true })
    for (const name of await readdir(folder)) if (!name.startsWith('.')) await store.#load(name)
    await store.createBucket(firstBucket)
    return store
  }

  bucketNames(): string[] {
    return [...this.#buckets.keys()].sort()
  }

  hasBucket(bucket: string): boolean {
    return this.#buckets.has(bucket)
  }

  async createBucket(bucket: string): Promise<void> {
    if (this.#buckets.has(bucket)) return
    await mkdir(join(this.#folder, bucket), { recursive: true })
    await mkdir(join(this.#folder, '.meta', bucket), { recursive: true })
    this.#buckets.set(bucket, new Map())
  }

  get(bucket: string, key: string): StoredObject | undefined {
    return this.#buckets.get(bucket)?.get(key)
  }

  /** Keys with the prefix in the order of their UTF-8 bytes. */
  keys(bucket: string, prefix: string): string[] {
    const keys = [...(this.#buckets.get(bucket)?.keys() ?? [])].filter((key) => key.startsWith(prefix))
    return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  }

  path(bucket: string, key: string): string {
    return join(this.#folder, bucket, ...key.split('/'))
  }

  spoolPath(): string {
    return join(this.#folder, '.spool', `${process.pid}-${++this.#spools}`)
  }

  /** A key that would be a file and a folder at once cannot be kept on this disk. */
  keyConflicts(bucket: string, key: string): boolean {
    const keys = this.#buckets.get(bucket)?.keys() ?? []
    for (const other of keys) if (other.startsWith(`${key}/`) || key.startsWith(`${other}/`)) return true
    return false
  }

  /** Runs `task` while nothing else writes this key: check there, then put. */
  alone<T>(bucket: string, key: string, task: () => Promise<T>): Promise<T> {
    return this.#turns.take(`${bucket}/${key}`, task)
  }

  /** Moves the spooled file into place. To be called within `alone`. */
  async put(bucket: string, spool: string, object: StoredObject): Promise<void> {
    const path = this.path(bucket, object.key)
    await mkdir(dirname(path), { recursive: true })
    await rename(spool, path)
    this.#buckets.get(bucket)?.set(object.key, object)
    await writeJson(this.#metaPath(bucket, object.key), object)
  }

  async delete(bucket: string, key: string): Promise<void> {
    this.#buckets.get(bucket)?.delete(key)
    await rm(this.#metaPath(bucket, key), { force: true })
    await rm(this.path(bucket, key), { force: true })
  }

  async #load(bucket: string): Promise<void> {
    await this.createBucket(bucket)
    const folder = join(this.#folder, '.meta', bucket)
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.json')) continue
      const object = JSON.parse(await readFile(join(folder, name), 'utf8')) as StoredObject // written by this class
      const found = await stat(this.path(bucket, object.key)).catch(() => undefined)
      if (found?.size === object.sizeBytes) this.#buckets.get(bucket)?.set(object.key, object)
    }
  }

  #metaPath(bucket: string, key: string): string {
    return join(this.#folder, '.meta', bucket, `${createHash('sha256').update(key).digest('hex')}.json`)
  }
}

export function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)
}

/** R2 allows 1,024 bytes; this world keeps keys as paths, and refuses those that are none. */
export function isStorableKey(key: string): boolean {
  return Buffer.byteLength(key) <= 1024 && key.split('/').every(isSafeSegment)
}
