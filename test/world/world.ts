// The miniature outside world: Wikimedia, the Internet Archive, R2 and Gist on loopback ports. It imports nothing of
// the product, so that it cannot be fitted to it.
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AccessLog, type AccessRecord, type Summary } from './access-log.ts'
import { ArchiveS3 } from './archive/s3.ts'
import { ArchiveSite } from './archive/site.ts'
import { ArchiveStore } from './archive/store.ts'
import { type Exchange, hangUp, send } from './exchange.ts'
import { Dice, type Faults, noFaults, type ServiceName, serviceNames } from './faults.ts'
import { GistApi } from './gist/server.ts'
import { GistStore } from './gist/store.ts'
import { R2Public } from './r2/public.ts'
import { R2Server } from './r2/server.ts'
import { R2Store } from './r2/store.ts'
import { type Target, targetOf } from './router.ts'
import { Wikimedia } from './wikimedia/server.ts'

export type WorldOptions = {
  /** Folder laid out `<wiki>/<date>/<file>`. */
  dumps: string
  /** Where uploads are kept. Without it a temporary folder, removed on close. */
  state?: string
  host?: string
  /** First of six ports in a row; 0 (the default) lets the system choose each. */
  port?: number
  /** File that gets one JSON line for each request. */
  log?: string
  seed?: string
  faults?: Partial<Faults>
  /** How long after an upload its file shows in the Archive's metadata. */
  archiveLagMs?: number
  /** Pace of each dump download. */
  bytesPerSecond?: number
  /** Wikimedia's requests at once for each address and User-Agent. */
  connectionLimit?: number
  /** The R2 bucket that exists from the start. */
  bucket?: string
  /** Requests an hour with the Gist token. */
  gistHourlyLimit?: number
  now?: () => number
}

export const testCredentials = {
  archive: { accessKey: 'world-archive-access', secretKey: 'world-archive-secret' },
  r2: { accessKeyId: 'world0r2access0key', secretAccessKey: 'world0r2secret0key', region: 'auto' },
  gist: { token: 'ghp_world0test0token', login: 'wikiseed-world' },
} as const

export type World = {
  /** Wikimedia's address; also the door to `/_world/`. */
  url: string
  port: number
  urls: Record<ServiceName, string>
  credentials: typeof testCredentials
  bucket: string
  state: string
  /** May be changed while the world runs. */
  faults: Faults
  log: readonly AccessRecord[]
  summary(): Summary
  close(): Promise<void>
}

type Handler = { handle(ex: Exchange): Promise<void>; control?(ex: Exchange): Promise<void> }

const defaultArchiveLagMs = 3000

/** @throws Error when the dumps folder is not there, with code EADDRINUSE and the like when a port cannot be had. */
export async function startWorld(options: WorldOptions): Promise<World> {
  if (!statSync(options.dumps, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`the dumps folder ${options.dumps} is not there`)
  }
  const host = options.host ?? '127.0.0.1'
  const now = options.now ?? Date.now
  const faults: Faults = { ...noFaults(), ...options.faults }
  const dice = new Dice(options.seed ?? 'world')
  const state = options.state ?? mkdtempSync(join(tmpdir(), 'wikiseed-world-'))
  mkdirSync(state, { recursive: true })
  const log = new AccessLog(options.log)
  const bucket = options.bucket ?? 'wikiseed'

  const wikimedia = new Wikimedia({
    dumps: options.dumps,
    faults,
    log,
    now,
    connectionLimit: options.connectionLimit ?? 3,
    bytesPerSecond: options.bytesPerSecond,
  })
  const lagMs = options.archiveLagMs ?? defaultArchiveLagMs
  const archiveStore = await ArchiveStore.open({ folder: join(state, 'archive'), lagMs, now })
  const r2Store = await R2Store.open(join(state, 'r2'), bucket)
  const gistStore = await GistStore.open(join(state, 'gist'))
  const handlers: Record<ServiceName, Handler> = {
    wikimedia,
    archive: new ArchiveSite(archiveStore),
    archiveS3: new ArchiveS3({ store: archiveStore, keys: testCredentials.archive, faults, dice, now }),
    r2: new R2Server({ store: r2Store, keys: testCredentials.r2, faults, now }),
    r2Public: new R2Public(r2Store),
    gist: new GistApi({
      store: gistStore,
      ...testCredentials.gist,
      faults,
      now,
      hourlyLimit: options.gistHourlyLimit,
    }),
  }

  const answer = async (req: IncomingMessage, res: ServerResponse, portService: ServiceName) => {
    const target = targetOf(req, portService)
    const ex = exchangeOf(req, res, target, portService, { faults, dice, now })
    if (target?.service === 'wikimedia' && target.rawPath.startsWith('/_world/')) return wikimedia.control(ex)
    recordOnce(ex, log)
    if (!target) return send(ex, 502, { 'content-type': 'text/plain' }, 'this world holds no such host\n')
    if (faults.down.includes(target.service)) return hangUp(ex)
    await handlers[target.service].handle(ex)
  }

  const servers: Server[] = []
  const urls: Partial<Record<ServiceName, string>> = {}
  const close = async () => {
    await Promise.all(servers.map(closeServer))
    await archiveStore.close()
    log.close()
    if (options.state === undefined) rmSync(state, { recursive: true, force: true })
  }
  try {
    for (const [index, service] of serviceNames.entries()) {
      const server = createServer({ keepAliveTimeout: 65_000 }, (req, res) => {
        answer(req, res, service).catch((error: unknown) => fail(req, res, error))
      })
      servers.push(server)
      await listen(server, options.port ? options.port + index : 0, host)
      urls[service] = `http://${host.includes(':') ? `[${host}]` : host}:${portOf(server)}`
    }
  } catch (error) {
    await close()
    throw error
  }
  const { wikimedia: url = '' } = urls
  return {
    url,
    port: Number(new URL(url).port),
    urls: urls as Record<ServiceName, string>, // the loop above filled every name
    credentials: testCredentials,
    bucket,
    state,
    faults,
    log: log.records,
    summary: () => log.summary(),
    close,
  }
}

function exchangeOf(
  req: IncomingMessage,
  res: ServerResponse,
  target: Target | undefined,
  portService: ServiceName,
  shared: { faults: Faults; dice: Dice; now: () => number },
): Exchange {
  const { rawPath = req.url ?? '/', rawQuery = '', origin = '', proxied = false } = target ?? {}
  const range = req.headers.range
  const userAgent = req.headers['user-agent'] ?? ''
  const service = target?.service ?? portService
  const record: AccessRecord = {
    at: new Date(shared.now()).toISOString(),
    service,
    method: req.method ?? '',
    path: rawQuery === '' ? rawPath : `${rawPath}?${rawQuery}`,
    status: 0,
    ...(range === undefined ? {} : { range }),
    bytes: 0,
    bytesReceived: 0,
    userAgent,
    remoteAddress: req.socket.remoteAddress ?? '',
    remotePort: req.socket.remotePort ?? 0,
    concurrent: 1,
    durationMs: 0,
  }
  return {
    service,
    req,
    res,
    socket: req.socket,
    method: req.method ?? '',
    rawPath,
    rawQuery,
    query: new URLSearchParams(rawQuery),
    origin,
    proxied,
    userAgent,
    record,
    faults: shared.faults,
    dice: shared.dice,
  }
}

/** Logs the request when its answer has ended, or when the connection has. */
function recordOnce(ex: Exchange, log: AccessLog): void {
  const startedMs = performance.now()
  let done = false
  const add = () => {
    if (done) return
    done = true
    ex.record.status = ex.res.headersSent ? ex.res.statusCode : 0
    if (!ex.res.writableFinished) ex.record.cut = true
    ex.record.durationMs = Math.round(performance.now() - startedMs)
    log.add(ex.record)
  }
  ex.res.once('finish', add)
  ex.res.once('close', add)
}

function fail(req: IncomingMessage, res: ServerResponse, error: unknown): void {
  console.error(`world: ${req.method} ${req.url}: ${error instanceof Error ? error.stack : String(error)}`)
  if (res.headersSent) res.destroy()
  else res.writeHead(500, { 'content-type': 'text/plain' }).end('the world has a fault of its own\n')
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port // a TCP server that listens has such an address
}

function closeServer(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve()
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
