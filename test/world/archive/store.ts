// Items of the Archive on disk: `<state>/archive/<item>/files/<key>`, `item.json` beside it, and a queue. An upload is
// accepted into the queue and becomes a file of the item only when its task runs (IAS3: 200 is not yet visible).
import { mkdirSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isSafeSegment } from '../exchange.ts'
import { Turns, writeJson } from '../store-files.ts'
import { formatOf, writeItemXml } from './item-xml.ts'

export type Metadata = Record<string, string | string[]>

/** As in `files[]` of the metadata API: numbers are strings. */
export type FileRow = {
  name: string
  source: 'original' | 'metadata'
  format: string
  size?: string
  mtime?: string
  md5: string
  crc32?: string
  sha1?: string
  [more: string]: string | undefined
}

export type Task = {
  id: number
  kind: 'put' | 'delete' | 'metadata'
  dueMs: number
  keepOld: boolean
  row?: FileRow
  key?: string
  spool?: string
  metadata?: Metadata
}

export type Item = {
  identifier: string
  createdSeconds: number
  updatedSeconds: number
  uniq: number
  /** False until the first task has run: the metadata API answers `{}` so long. */
  visible: boolean
  metadata: Metadata
  files: FileRow[]
  tasks: Task[]
}

type Options = { folder: string; lagMs: number; now: () => number }

export class ArchiveStore {
  readonly #options: Options
  readonly #items = new Map<string, Item>()
  readonly #turns = new Turns()
  readonly #timers = new Set<NodeJS.Timeout>()
  #taskId = 0

  constructor(options: Options) {
    this.#options = options
  }

  static async open(options: Options): Promise<ArchiveStore> {
    mkdirSync(options.folder, { recursive: true })
    const store = new ArchiveStore(options)
    for (const name of await readdir(options.folder)) {
      const text = await readFile(join(options.folder, name, 'item.json'), 'utf8').catch(() => undefined)
      if (text === undefined) continue
      const item = JSON.parse(text) as Item // written by this class
      store.#items.set(item.identifier, item)
      for (const task of item.tasks) {
        store.#taskId = Math.max(store.#taskId, task.id)
        store.#runLater(item.identifier, Math.max(0, task.dueMs - options.now()))
      }
    }
    await store.#dropStraySpools()
    return store
  }

  /** True from the first accepted upload on, whether or not the metadata shows it. */
  exists(identifier: string): boolean {
    return this.#items.has(identifier)
  }

  /** The item as it stands, with the tasks that are due done. */
  async read(identifier: string): Promise<Item | undefined> {
    if (!this.#items.has(identifier)) return undefined
    await this.#runDue(identifier)
    return this.#items.get(identifier)
  }

  tasksQueued(identifier?: string): number {
    if (identifier !== undefined) return this.#items.get(identifier)?.tasks.length ?? 0
    return [...this.#items.values()].reduce((sum, item) => sum + item.tasks.length, 0)
  }

  /** Bytes of the item, queued uploads included. */
  sizeBytes(identifier: string): number {
    const item = this.#items.get(identifier)
    const rows = [
      ...(item?.files ?? []),
      ...(item?.tasks ?? []).flatMap((task) => (task.row ? [task.row] : [])),
    ]
    return rows.reduce((sum, row) => sum + Number(row.size ?? 0), 0)
  }

  /** A name that would have to be a file and a folder at once cannot be kept on this disk. */
  keyConflicts(identifier: string, key: string): boolean {
    const item = this.#items.get(identifier)
    const keys = [
      ...(item?.files ?? []).map(({ name }) => name),
      ...(item?.tasks ?? []).flatMap(({ row }) => row?.name ?? []),
    ]
    return keys.some((other) => other.startsWith(`${key}/`) || key.startsWith(`${other}/`))
  }

  /** Where an upload is to be written before it is accepted. */
  async spoolPath(): Promise<string> {
    const folder = join(this.#options.folder, '.queue')
    await mkdir(folder, { recursive: true })
    return join(folder, `${process.pid}-${++this.#taskId}`)
  }

  async create(identifier: string, metadata: Metadata): Promise<void> {
    await this.#turns.take(identifier, async () => {
      if (this.#items.has(identifier)) return
      const nowSeconds = Math.floor(this.#options.now() / 1000)
      await mkdir(join(this.#options.folder, identifier, 'files'), { recursive: true })
      this.#items.set(identifier, {
        identifier,
        createdSeconds: nowSeconds,
        updatedSeconds: nowSeconds,
        uniq: nowSeconds,
        visible: false,
        metadata,
        files: [],
        tasks: [],
      })
    })
    await this.#enqueue(identifier, { kind: 'metadata', keepOld: false })
  }

  async replaceMetadata(identifier: string, metadata: Metadata): Promise<void> {
    await this.#enqueue(identifier, { kind: 'metadata', keepOld: false, metadata })
  }

  async put(identifier: string, spool: string, row: FileRow, keepOld: boolean): Promise<void> {
    await this.#enqueue(identifier, { kind: 'put', keepOld, row, spool })
  }

  async delete(identifier: string, key: string, keepOld: boolean): Promise<void> {
    await this.#enqueue(identifier, { kind: 'delete', keepOld, key })
  }

  /** The path of a file that the metadata shows. */
  async filePath(identifier: string, key: string): Promise<{ path: string; row: FileRow } | undefined> {
    const item = await this.read(identifier)
    const row = item?.visible ? item.files.find(({ name }) => name === key) : undefined
    return row && isSafeKey(key) ? { path: this.#fileAt(identifier, key), row } : undefined
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    await this.#turns.idle()
  }

  async #enqueue(identifier: string, work: Omit<Task, 'id' | 'dueMs'>): Promise<void> {
    await this.#turns.take(identifier, async () => {
      const item = this.#items.get(identifier)
      if (!item) throw new Error(`no item ${identifier}`)
      item.tasks.push({ ...work, id: ++this.#taskId, dueMs: this.#options.now() + this.#options.lagMs })
      await this.#save(item)
    })
    this.#runLater(identifier, this.#options.lagMs)
  }

  #runLater(identifier: string, inMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#runDue(identifier).catch((error: unknown) =>
        console.error(`world: archive task: ${String(error)}`),
      )
    }, inMs + 1)
    this.#timers.add(timer)
  }

  async #runDue(identifier: string): Promise<void> {
    const due = (item: Item) => (item.tasks[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= this.#options.now()
    const seen = this.#items.get(identifier)
    if (!seen || !due(seen)) return
    await this.#turns.take(identifier, async () => {
      const item = this.#items.get(identifier)
      if (!item || !due(item)) return
      while (due(item)) {
        const [task] = item.tasks
        if (task) await this.#run(item, task)
        item.tasks.shift()
      }
      item.visible = true
      item.updatedSeconds = Math.floor(this.#options.now() / 1000)
      await writeItemXml(item, join(this.#options.folder, identifier, 'files'))
      await this.#save(item)
    })
  }

  async #run(item: Item, task: Task): Promise<void> {
    if (task.kind === 'metadata') {
      if (task.metadata) item.metadata = task.metadata
      return
    }
    const key = task.row?.name ?? task.key ?? ''
    const before = item.files.find(({ name }) => name === key)
    // A task that was interrupted after moving its file has no spool left: its row is all that is missing.
    const spooled = task.spool !== undefined && (await stat(task.spool).catch(() => undefined)) !== undefined
    if (before && task.keepOld && (task.kind === 'delete' || spooled)) await this.#keepOld(item, before)
    item.files = item.files.filter(({ name }) => name !== key)
    const path = this.#fileAt(item.identifier, key)
    if (task.kind === 'delete') {
      await rm(path, { force: true })
      return
    }
    await mkdir(dirname(path), { recursive: true })
    if (spooled && task.spool !== undefined) await rename(task.spool, path)
    if (task.row) item.files.push(task.row)
  }

  async #keepOld(item: Item, row: FileRow): Promise<void> {
    let version = 1
    const nameOf = () => `history/files/${row.name}.~${version}~`
    while (item.files.some(({ name }) => name === nameOf())) version += 1
    const path = this.#fileAt(item.identifier, nameOf())
    await mkdir(dirname(path), { recursive: true })
    await rename(this.#fileAt(item.identifier, row.name), path)
    item.files.push({ ...row, name: nameOf(), old_version: 'true', format: formatOf(row.name) })
  }

  #fileAt(identifier: string, key: string): string {
    return join(this.#options.folder, identifier, 'files', ...key.split('/'))
  }

  /** What an earlier world had not finished receiving is of no use. */
  async #dropStraySpools(): Promise<void> {
    const folder = join(this.#options.folder, '.queue')
    const wanted = new Set([...this.#items.values()].flatMap(({ tasks }) => tasks.map(({ spool }) => spool)))
    for (const name of await readdir(folder).catch(() => [])) {
      if (!wanted.has(join(folder, name))) await rm(join(folder, name), { force: true })
    }
  }

  #save(item: Item): Promise<void> {
    return writeJson(join(this.#options.folder, item.identifier, 'item.json'), item)
  }
}

/** 3 to 100 of `A-Z a-z 0-9 . _ -`, the first a letter or digit. */
export function isIdentifier(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$/.test(text)
}

export function isSafeKey(key: string): boolean {
  return Buffer.byteLength(key) <= 1024 && key.split('/').every(isSafeSegment)
}
