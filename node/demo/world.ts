/** The miniature outside world as a process of its own: started from the clone's test folder, spoken to by HTTP only. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { access } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { record, text } from '../../protocol/codec/shape.ts'

/** Where the services are and how to log in: the world's first line. */
export interface WorldAddresses {
  readonly wikimedia: string
  readonly archive: string
  readonly s3Archive: string
  readonly archiveAccessKey: string
  readonly archiveSecretKey: string
  readonly r2: string
  readonly r2Bucket: string
  readonly r2AccessKeyId: string
  readonly r2SecretAccessKey: string
  readonly gist: string
  readonly gistToken: string
  readonly state: string
}

const KEYS = [
  'wikimedia',
  'archive',
  's3Archive',
  'archiveAccessKey',
  'archiveSecretKey',
  'r2',
  'r2Bucket',
  'r2AccessKeyId',
  'r2SecretAccessKey',
  'gist',
  'gistToken',
  'state',
] as const

export interface World {
  readonly addresses: WorldAddresses
  readonly pid: number
  stop(): Promise<void>
}

const MAIN = fileURLToPath(new URL('../../test/world/main.ts', import.meta.url))
const START_MS = 60_000

export async function startWorld(options: {
  dumps: string
  stateDir: string
  logFile: string
  errorLog: string
  args: readonly string[]
}): Promise<World> {
  await access(MAIN).catch(() => {
    throw new Error('the demo runs from a clone of the repository: test/world is not here')
  })
  const args = [
    MAIN,
    '--dumps',
    options.dumps,
    '--port',
    '0',
    '--state',
    options.stateDir,
    '--log',
    options.logFile,
  ]
  const child = spawn(process.execPath, [...args, '--json', ...options.args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const errors = createWriteStream(options.errorLog, { flags: 'a' })
  let lastLine = ''
  child.stderr.on('data', (data: Buffer) => {
    errors.write(data)
    lastLine = data.toString().trim().split('\n').at(-1) ?? lastLine
  })
  const first = await firstLine(child, () => lastLine)
  const fields = record(JSON.parse(first), 'world')
  const addresses = Object.fromEntries(KEYS.map((key) => [key, text(fields[key], `world.${key}`, 4_096)]))
  return {
    addresses: addresses as unknown as WorldAddresses,
    pid: child.pid ?? 0,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
      child.kill('SIGTERM')
      await ended
      errors.end()
    },
  }
}

function firstLine(
  child: ChildProcess & { stdout: NodeJS.ReadableStream },
  why: () => string,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const timer = setTimeout(() => reject(new Error('the miniature world did not start in time')), START_MS)
  createInterface({ input: child.stdout }).once('line', resolve)
  child.once('error', reject)
  child.once('close', () => reject(new Error(`the miniature world did not start: ${why()}`)))
  return promise.finally(() => clearTimeout(timer))
}
