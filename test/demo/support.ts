/** Runs the demo as a user does, and looks at it from outside. Imports nothing of the product. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WIKISEED = join(ROOT, 'node/wikiseed.js')

export interface Member {
  name: string
  operator: string
  peerId: string
  dataDir: string
  httpUrl: string
  bittorrentPort: number
  pid: number | null
  restarts: number
}

export interface DemoFile {
  pid: number
  world: { wikimedia: string; archive: string; stateDir: string; logFile: string; dumps: string; pid: number }
  coordinator: Member
  nodes: Member[]
  published: { localDir: string }
  root: string
}

export interface DemoSummary {
  shards: {
    id: string
    infohash: string
    bytes: number
    replicas: number
    archived: boolean
    published: boolean
  }[]
  originBytes: number
  archivedBytes: number
  originRequests: number
  seconds: number
  safe: boolean
  uniqueBytes: number
  nodes: { name: string; led: number; fromOriginBytes: number; fromSwarmBytes: number }[]
  missing: string[]
}

export interface Demo {
  readonly dir: string
  readonly child: ChildProcess
  /** What stands on stderr so far. */
  errors(): string
  file(): Promise<DemoFile>
  /** Resolves with exit code and the last line of stdout. */
  readonly ended: Promise<{ code: number | null; lastLine: string }>
  /** SIGINT as a user would, then waits. */
  stop(): Promise<void>
}

/** Starts `wikiseed demo` in a folder of its own. */
export async function startDemo(args: readonly string[], dir?: string): Promise<Demo> {
  const folder = dir ?? (await mkdtemp(join(tmpdir(), 'wikiseed-demo-')))
  const child = spawn(process.execPath, [WIKISEED, 'demo', '--dir', folder, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let errors = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data
  })
  child.stderr.on('data', (data: Buffer) => {
    errors += data
  })
  const ended = new Promise<{ code: number | null; lastLine: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, lastLine: out.trim().split('\n').at(-1) ?? '' }))
  })
  return {
    dir: folder,
    child,
    errors: () => errors,
    ended,
    file: async () => JSON.parse(await readFile(join(folder, 'demo.json'), 'utf8')) as DemoFile,
    stop: async () => {
      if (child.exitCode === null) child.kill('SIGINT')
      await ended
    },
  }
}

export async function removeDemo(demo: Demo | null): Promise<void> {
  if (demo === null) return
  await demo.stop()
  await rm(demo.dir, { recursive: true, force: true })
}

/** JSON of an API, or null while nobody answers. */
export async function ask<T>(url: string): Promise<T | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
    return response.ok ? ((await response.json()) as T) : null
  } catch {
    return null
  }
}

export interface Status {
  fetches: { shard: string; from: string; doneBytes: number; sizeBytes: number }[]
  problems: {
    shard: string | null
    code: string
    detail: string
    files: string[]
    resolvedAtMs: number | null
  }[]
  counts: { safe: number; shards: number; held: number }
}

export interface Row {
  id: string
  key: string
  wiki: string
  date: string
  infohash: string | null
  bytes: number
  replicas: number
  safe: boolean
  archived: boolean
  published: boolean
  own: string | null
  led: boolean
  fromOriginBytes: number
  fromSwarmBytes: number
  holders: { node: string; audited: boolean }[]
}

export const statusOf = (member: Member): Promise<Status | null> => ask(`${member.httpUrl}/api/v1/status`)
export const shardsOf = async (member: Member): Promise<Row[]> =>
  (await ask<{ shards: Row[] }>(`${member.httpUrl}/api/v1/shards`))?.shards ?? []

/** Looks again and again until `look` gives something; throws with `what` at the deadline. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | null | false>,
): Promise<T> {
  const endsAtMs = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== null && found !== false) return found
    if (performance.now() > endsAtMs) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** Debian's programs that tests need: absent in CI is a failure, elsewhere a reason to skip. */
export function missingProgram(...names: string[]): string | null {
  for (const name of names) {
    if (spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0) {
      if (process.env.CI === 'true') throw new Error(`${name} must be installed in CI`)
      return name
    }
  }
  return null
}
