/** The DHT's table between two runs: our id and addresses of nodes that answered, in one small file of the data folder. */
import { open } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { writeFileAtomic } from '../files/durable.ts'
import type { Log, TorrentPeer } from '../ports.ts'

export interface SavedNodes {
  /** 40 hex digits. */
  readonly id: string
  readonly nodes: readonly TorrentPeer[]
}

const NODES_MAX = 200
const FILE_BYTES_MAX = 16 * 1024

/** Null when there is no file, or what is there was not written by `saveNodes`. Rejects with the file system's error. */
export async function loadNodes(path: string): Promise<SavedNodes | null> {
  const bytes = await readBounded(path)
  return bytes === null ? null : parse(bytes)
}

/** As `loadNodes`, but whatever is wrong is only told: then the table begins anew. */
export async function loadOrBegin(path: string, log: Log | undefined): Promise<SavedNodes | null> {
  const saved = await loadNodes(path).catch((error: unknown) => {
    log?.warn({ path, error: String(error) }, 'the nodes of the DHT could not be read')
    return null
  })
  if (saved === null) log?.debug({ path }, 'no nodes of the DHT are known from before')
  return saved
}

/** Rejects with the file system's error. */
export async function saveNodes(path: string, { id, nodes }: SavedNodes): Promise<void> {
  const texts = nodes.slice(0, NODES_MAX).map(({ host, port }) => `${host}:${port}`)
  await writeFileAtomic(path, Buffer.from(JSON.stringify({ id, nodes: texts })))
}

async function readBounded(path: string): Promise<Buffer | null> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
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
  const [, host = '', digits = ''] = /^([0-9.]{7,15}):([0-9]{1,5})$/.exec(String(text)) ?? []
  const port = Number(digits)
  return isIPv4(host) && port > 0 && port <= 65_535 ? { host, port } : null
}
