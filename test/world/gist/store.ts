// Gists on disk, one JSON document each: `<state>/gist/<id>.json`, with every revision.
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Turns, writeJson } from '../store-files.ts'

export type Revision = {
  version: string
  committedAt: string
  files: Record<string, string>
  additions: number
  deletions: number
}

export type Gist = {
  id: string
  description: string | null
  public: boolean
  createdAt: string
  updatedAt: string
  /** Newest first. */
  revisions: Revision[]
}

const revisionsMax = 1000

export class GistStore {
  readonly #folder: string
  readonly #gists = new Map<string, Gist>()
  readonly #turns = new Turns()

  constructor(folder: string) {
    this.#folder = folder
  }

  static async open(folder: string): Promise<GistStore> {
    await mkdir(folder, { recursive: true })
    const store = new GistStore(folder)
    for (const name of await readdir(folder)) {
      if (!/^[0-9a-f]{32}\.json$/.test(name)) continue
      const gist = JSON.parse(await readFile(join(folder, name), 'utf8')) as Gist // written by this class
      store.#gists.set(gist.id, gist)
    }
    return store
  }

  get(id: string): Gist | undefined {
    return this.#gists.get(id)
  }

  all(): Gist[] {
    return [...this.#gists.values()].sort((a, b) => (a.updatedAt < b.updatedAt ? 1 : -1))
  }

  async create(
    description: string | null,
    isPublic: boolean,
    files: Record<string, string>,
    at: string,
  ): Promise<Gist> {
    const id = randomBytes(16).toString('hex')
    const gist: Gist = { id, description, public: isPublic, createdAt: at, updatedAt: at, revisions: [] }
    gist.revisions.unshift(revisionOf(id, {}, files, at))
    this.#gists.set(id, gist)
    await this.#save(gist)
    return gist
  }

  /** A change that leaves every file as it was makes no revision. */
  async change(
    gist: Gist,
    description: string | null,
    files: Record<string, string>,
    at: string,
  ): Promise<void> {
    const before = gist.revisions[0]?.files ?? {}
    gist.description = description
    if (JSON.stringify(sorted(before)) !== JSON.stringify(sorted(files))) {
      gist.revisions.unshift(revisionOf(gist.id, before, files, at))
      gist.revisions.splice(revisionsMax)
    }
    gist.updatedAt = at
    await this.#save(gist)
  }

  async delete(id: string): Promise<void> {
    this.#gists.delete(id)
    await this.#turns.take(id, () => rm(join(this.#folder, `${id}.json`), { force: true }))
  }

  async #save(gist: Gist): Promise<void> {
    await this.#turns.take(gist.id, () => writeJson(join(this.#folder, `${gist.id}.json`), gist))
  }
}

function sorted(files: Record<string, string>): [string, string][] {
  return Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1))
}

function revisionOf(
  id: string,
  before: Record<string, string>,
  files: Record<string, string>,
  at: string,
): Revision {
  let additions = 0
  let deletions = 0
  for (const name of new Set([...Object.keys(before), ...Object.keys(files)])) {
    if (before[name] === files[name]) continue
    additions += lineCount(files[name])
    deletions += lineCount(before[name])
  }
  const version = createHash('sha1')
    .update(JSON.stringify([id, at, sorted(before), sorted(files)]))
    .digest('hex')
  return { version, committedAt: at, files, additions, deletions }
}

function lineCount(text: string | undefined): number {
  return text === undefined || text === '' ? 0 : text.replace(/\n$/, '').split('\n').length
}

/** Git's name of the content, as it stands in raw addresses. */
export function blobSha(content: string): string {
  const bytes = Buffer.from(content)
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
}
