/**
 * A BitTorrent program that is told what to do by lines on its standard input and says by lines when it is done:
 * `{"id", "do": "seed" | "leech", ...}` -> `{"id", "added": true}`, then `{"id", "done": true}` or `{"id", "error"}`. First it says
 * `{"port"}`.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TorrentPeer } from '../../../node/ports.ts'
import type { TorrentClient } from './client.ts'
import { makeFolder, startProgram } from './program.ts'

interface Said {
  readonly port?: number
  readonly id?: number
  readonly added?: boolean
  readonly done?: boolean
  readonly error?: string
}

interface Wait {
  readonly onAdded: (() => void) | undefined
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface LineProgram {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly host: string
  readonly env?: Readonly<Record<string, string>>
}

export async function startLineClient({
  name,
  command,
  args,
  host,
  env,
}: LineProgram): Promise<TorrentClient> {
  const program = startProgram(command, args, await makeFolder(), 'pipe', env)
  const { child, folder } = program
  const waits = new Map<number, Wait>()
  const listening = Promise.withResolvers<number>()
  const hear = ({ port, id, added, done, error }: Said) => {
    if (port !== undefined) listening.resolve(port)
    const wait = id === undefined ? undefined : waits.get(id)
    if (added === true) wait?.onAdded?.()
    if (done !== true && error === undefined) return
    if (id !== undefined) waits.delete(id)
    if (error === undefined) wait?.resolve()
    else wait?.reject(new Error(`${name}: ${error}`))
  }
  if (child.stdout === null || child.stdin === null) throw new Error(`${name} has no pipes`)
  createInterface({ input: child.stdout }).on('line', (line) => hear(JSON.parse(line) as Said))
  const { stdin } = child
  stdin.on('error', () => {})
  child.once('close', () => {
    let why = new Error(`${name} has ended`)
    try {
      program.check()
    } catch (error) {
      if (error instanceof Error) why = error
    }
    listening.reject(why)
    for (const wait of waits.values()) wait.reject(why)
  })
  let count = 0
  const tell = (order: object, onAdded?: () => void) =>
    new Promise<void>((resolve, reject) => {
      const id = ++count
      waits.set(id, { onAdded, resolve, reject })
      stdin.write(`${JSON.stringify({ id, ...order })}\n`)
    })
  const fileOf = async (torrent: Uint8Array): Promise<string> => {
    const path = join(folder, `${++count}.torrent`)
    await writeFile(path, torrent)
    return path
  }
  const port = await listening.promise.catch(async (error: unknown) => {
    await program.stop()
    throw error
  })
  return {
    name,
    pid: program.pid,
    peer: { host, port },
    dials: true,
    makesEmptyFiles: true,
    seed: async (torrent, root) => tell({ do: 'seed', torrent: await fileOf(torrent), root }),
    leech: async (what, root, peers: readonly TorrentPeer[], onAdded) => {
      const source = typeof what === 'string' ? { magnet: what } : { torrent: await fileOf(what) }
      return tell({ do: 'leech', ...source, root, peers }, onAdded)
    },
    stop: () => program.stop(),
  }
}
