/** The DHT's table between two runs: our id and addresses of nodes that answered, in one small file of the data folder. */
import { open } from 'node:fs/promises'
import { isIP } from 'node:net'
import { writeFileAtomic } from '../files/durable.ts'
import { endpointText } from '../net/addresses.ts'
import type { Log, TorrentPeer } from '../ports.ts'
import { isMissing } from '../system-error.ts'

export interface SavedNodes {
  /** 40 hex digits. */
  readonly id: string
  readonly nodes: readonly TorrentPeer[]
}

const NODES_MAX = 200
const FILE_BYTES_MAX = 16 * 1024

/** The file of one table; what is wrong with it is only told. */
export class NodesFile {
  readonly #path: string | null
  readonly #log: Log | undefined
  #saving = Promise.resolve()

  /** null: nothing is kept. */
  constructor(path: string | null, log: Log | undefined) {
    this.#path = path
    this.#log = log
  }

  async load(): Promise<SavedNodes | null> {
    const path = this.#path
    if (path === null) return null
    const saved = await loadNodes(path).catch((error: unknown) => {
      this.#log?.warn({ path, error: String(error) }, 'the nodes of the DHT could not be read')
      return null
    })
    if (saved === null) this.#log?.debug({ path }, 'no nodes of the DHT are known from before')
    return saved
  }

  /** Resolves when it is done, and all before it. What was known is worth more than nothing. */
  save(saved: SavedNodes): Promise<void> {
    const path = this.#path
    if (path === null || saved.nodes.length === 0) return this.#saving
    this.#saving = this.#saving
      .then(() => saveNodes(path, saved))
      .catch((error: unknown) =>
        this.#log?.warn({ path, error: String(error) }, 'the nodes of the DHT could not be kept'),
      )
    return this.#saving
  }
}

/** Null when there is no file, or what is there was not written by `saveNodes`. Rejects with the file system's error. */
export async function loadNodes(path: string): Promise<SavedNodes | null> {
  const bytes = await readBounded(path)
  return bytes === null ? null : parse(bytes)
}

/** Rejects with the file system's error. */
export async function saveNodes(path: string, { id, nodes }: SavedNodes): Promise<void> {
  const texts = nodes.slice(0, NODES_MAX).map(endpointText)
  await writeFileAtomic(path, Buffer.from(JSON.stringify({ id, nodes: texts })))
}

async function readBounded(path: string): Promise<Buffer | null> {
  const file = await open(path).catch((error: unknown) => {
    if (isMissing(error)) return null
    throw error
  })
  if (file === null) return null
  try {
    const buffer = Buffer.alloc(FILE_BYTES_MAX + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function parse(bytes: Buffer): SavedNodes | null {
  if (bytes.length > FILE_BYTES_MAX) return null
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
  const { id, nodes } = Object(value) as { id?: unknown; nodes?: unknown }
  if (typeof id !== 'string' || !/^[0-9a-f]{40}$/.test(id) || !Array.isArray(nodes)) return null
  const good = nodes.slice(0, NODES_MAX).map(parseNode)
  return good.includes(null) ? null : { id, nodes: good.filter((one) => one !== null) }
}

function parseNode(text: unknown): TorrentPeer | null {
  const [, v4, v6, digits = ''] =
    /^(?:([0-9.]{7,15})|\[([0-9a-f:]{2,39})\]):([0-9]{1,5})$/.exec(String(text)) ?? []
  const host = v4 ?? v6 ?? ''
  const port = Number(digits)
  return isIP(host) !== 0 && port > 0 && port <= 65_535 ? { host, port } : null
}
