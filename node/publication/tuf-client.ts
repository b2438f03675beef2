/**
 * Reads a TUF repository with `tuf-js`, from a URL or a folder: everything it returns was verified by the library. It also
 * lists the targets, which the library can only look up one by one: the role files that it verified and stored are read.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BaseFetcher, Updater } from 'tuf-js'
import { BadVersionError, DownloadError, DownloadHTTPError, ExpiredMetadataError } from 'tuf-js/dist/error.js'
import { integer, list, map, record, text } from '../../protocol/codec/shape.ts'

export type TufErrorCode = 'rollback' | 'expired' | 'unreachable' | 'metadata'

export class TufError extends Error {
  readonly code: TufErrorCode
  constructor(code: TufErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'TufError'
    this.code = code
  }
}

export interface TufRole {
  readonly name: string
  readonly version: number
  readonly expiresAtMs: number
}

export interface TufTarget {
  /** Without the hash that consistent snapshots put into the name. */
  readonly path: string
  readonly role: string
  readonly sizeBytes: number
  readonly sha256: string
  readonly custom: Readonly<Record<string, unknown>>
}

export interface TufRepository {
  /** The newest root of the chain that starts at the given one. */
  readonly root: Uint8Array
  /** root, timestamp, snapshot, targets, then the delegated ones. */
  readonly roles: readonly TufRole[]
  readonly targets: readonly TufTarget[]
  /** The bytes of a target, length and sha256 checked. TufError. */
  fetchTarget(target: TufTarget): Promise<Uint8Array>
  /** The bytes of a file beside the metadata, unchecked. TufError. */
  fetchPlain(path: string, bytesMax: number): Promise<Uint8Array>
}

export interface TufOptions {
  /** `http(s)://.../` or `file:///.../`, with `/` at its end. */
  readonly baseUrl: string
  /** The bytes of the root to start from. */
  readonly root: Uint8Array
  /** Remembers verified metadata, so that an older repository is noticed (TUF 5.1). One folder for one root. */
  readonly metadataDir: string
  readonly timeoutMs?: number
}

const TARGETS_MAX = 100_000
const ROLES_MAX = 1_000
const ATTEMPTS_MAX = 3
const HEX64 = /^[0-9a-f]{64}$/

/** Rejects with TufError. */
export async function openTufRepository(options: TufOptions): Promise<TufRepository> {
  const { baseUrl, metadataDir } = options
  const rootPath = join(metadataDir, 'root.json')
  const remembered = await stat(rootPath).catch(() => null)
  if (remembered === null) await writeFile(rootPath, options.root)
  const fetcher = new BoundedFetcher(baseUrl, options.timeoutMs ?? 60_000)
  try {
    const updater = new Updater({ metadataDir, metadataBaseUrl: `${baseUrl}metadata`, fetcher })
    await updater.refresh()
    const { roles, targets } = await listTargets(updater, metadataDir)
    return {
      root: await readFile(rootPath),
      roles,
      targets,
      fetchTarget: (target) => fetchTarget(fetcher, baseUrl, target),
      fetchPlain: (path, bytesMax) => asTufError(() => fetcher.downloadBytes(`${baseUrl}${path}`, bytesMax)),
    }
  } catch (error) {
    throw tufError(error)
  }
}

/** Where a publication lies, with `/` at its end: an http(s) URL, or a folder. Rejects with TufError. */
export async function baseUrlOf(source: string): Promise<string> {
  if (/^https?:\/\//.test(source)) return source.endsWith('/') ? source : `${source}/`
  const folder = resolve(source)
  const found = await stat(folder).catch(() => null)
  if (found === null || !found.isDirectory()) throw new TufError('unreachable', `${folder} is no folder`)
  return `${pathToFileURL(folder).href}/`
}

/** The bytes of one file of a publication, unchecked. Rejects with TufError. */
export function fetchPlainFile(
  baseUrl: string,
  path: string,
  bytesMax: number,
  timeoutMs: number,
): Promise<Uint8Array> {
  const fetcher = new BoundedFetcher(baseUrl, timeoutMs)
  return asTufError(() => fetcher.downloadBytes(new URL(`${baseUrl}${path}`).href, bytesMax))
}

/** Bounded by tuf-js in size, here in time and attempts; never leaves the repository's own address. */
class BoundedFetcher extends BaseFetcher {
  readonly #baseUrl: string
  readonly #timeoutMs: number
  constructor(baseUrl: string, timeoutMs: number) {
    super()
    this.#baseUrl = baseUrl
    this.#timeoutMs = timeoutMs
  }

  override async fetch(url: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    if (!url.startsWith(this.#baseUrl)) throw new DownloadError(`${url} lies outside of ${this.#baseUrl}`)
    return url.startsWith('file:') ? openFile(url) : this.#get(url)
  }

  async #get(url: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await fetch(url, {
          signal: AbortSignal.timeout(this.#timeoutMs),
          headers: { 'user-agent': 'wikiseed' },
        })
        if (response.ok && response.body !== null) return response.body
        await response.body?.cancel()
        const error = new DownloadHTTPError(`${url} answered ${response.status}`, response.status)
        if (response.status < 500 || attempt >= ATTEMPTS_MAX) throw error
      } catch (error) {
        if (error instanceof DownloadHTTPError) throw error
        if (attempt >= ATTEMPTS_MAX) throw new DownloadError(`cannot reach ${new URL(url).host}`)
      }
      await setTimeout(attempt * 500)
    }
  }
}

async function openFile(url: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const path = fileURLToPath(url)
  const found = await stat(path).catch(() => null)
  if (found === null || !found.isFile()) throw new DownloadHTTPError(`there is no ${path}`, 404)
  return Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array<ArrayBuffer>>
}

async function listTargets(updater: Updater, metadataDir: string) {
  const read = async (role: string) => {
    const bytes = await readFile(join(metadataDir, `${encodeURIComponent(role)}.json`))
    const signed = record(record(JSON.parse(bytes.toString('utf8')), role).signed, role)
    return { bytes, signed, role: roleOf(role, signed) }
  }
  const snapshot = await read('snapshot')
  const top = await read('targets')
  const roles = [(await read('root')).role, (await read('timestamp')).role, snapshot.role, top.role]
  const targets = targetsOf('targets', top.signed)

  const meta = record(snapshot.signed.meta, 'snapshot.meta')
  for (const { name, probe } of delegationsOf(top.signed)) {
    // Looking up any path of a role makes the library fetch, verify and store it.
    await updater.getTargetInfo(probe)
    const delegated = await read(name)
    const pinned = record(record(meta[`${name}.json`], name).hashes, name).sha256
    if (sha256(delegated.bytes) !== pinned)
      throw new TufError('metadata', `the role ${name} could not be loaded`)
    roles.push(delegated.role)
    targets.push(...targetsOf(name, delegated.signed))
    if (targets.length > TARGETS_MAX) throw new TufError('metadata', `more than ${TARGETS_MAX} targets`)
  }
  return { roles, targets }
}

function roleOf(name: string, signed: Readonly<Record<string, unknown>>): TufRole {
  return {
    name,
    version: integer(signed.version, `${name}.version`, 1),
    expiresAtMs: Date.parse(text(signed.expires, `${name}.expires`, 32)),
  }
}

/** Each delegated role with a path that only it is asked for. */
function delegationsOf(signed: Readonly<Record<string, unknown>>): { name: string; probe: string }[] {
  if (signed.delegations === undefined) return []
  const delegations = record(signed.delegations, 'targets.delegations')
  return list(delegations.roles, 'targets.delegations.roles', ROLES_MAX, (value, path) => {
    const fields = record(value, path)
    const patterns = list(fields.paths, `${path}.paths`, 100, (item, at) => text(item, at, 1_024))
    return { name: text(fields.name, `${path}.name`, 256), probe: (patterns[0] ?? '').replaceAll('*', 'x') }
  })
}

function targetsOf(role: string, signed: Readonly<Record<string, unknown>>): TufTarget[] {
  const entries = map(signed.targets, `${role}.targets`, TARGETS_MAX, (value, path) => {
    const fields = record(value, path)
    const hash = text(record(fields.hashes, `${path}.hashes`).sha256, `${path}.sha256`, 64)
    if (!HEX64.test(hash)) throw new TypeError(`${path} has no sha256`)
    return {
      sizeBytes: integer(fields.length, `${path}.length`),
      sha256: hash,
      custom: fields.custom === undefined ? {} : record(fields.custom, `${path}.custom`),
    }
  })
  return [...entries].map(([path, entry]) => ({ path, role, ...entry }))
}

async function fetchTarget(fetcher: BoundedFetcher, baseUrl: string, target: TufTarget): Promise<Uint8Array> {
  const slash = target.path.lastIndexOf('/') + 1
  const name = `${target.path.slice(0, slash)}${target.sha256}.${target.path.slice(slash)}`
  const url = new URL(`${baseUrl}targets/${name}`).href
  const bytes = await asTufError(() => fetcher.downloadBytes(url, target.sizeBytes))
  if (bytes.length !== target.sizeBytes || sha256(bytes) !== target.sha256) {
    throw new TufError('metadata', `${target.path} does not have the length and sha256 that were signed`)
  }
  return bytes
}

async function asTufError<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw tufError(error)
  }
}

/** tuf-js wraps some errors into the text of another, so the text counts as well as the class. */
function tufError(error: unknown): TufError {
  if (error instanceof TufError) return error
  const detail = error instanceof Error ? error.message : 'unknown error'
  return new TufError(codeOf(error, detail), detail, { cause: error })
}

function codeOf(error: unknown, detail: string): TufErrorCode {
  if (error instanceof BadVersionError || / is less than current version /.test(detail)) return 'rollback'
  if (error instanceof ExpiredMetadataError || / is expired/.test(detail)) return 'expired'
  return error instanceof DownloadError ? 'unreachable' : 'metadata'
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
