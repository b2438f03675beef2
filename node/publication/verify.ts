/**
 * Checks a whole publication against a federation's root (`wikiseed manifest verify`): TUF metadata, every .torrent file and
 * its infohash, manifest.json and the minisign signatures. Everything that is wrong is named; nothing is taken on trust but
 * the root that the caller holds.
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseMinisignPublicKey, verifyMinisign } from '../../protocol/codec/minisign.ts'
import { type FederationId, shardKey } from '../../protocol/ids.ts'
import {
  MERGED_MANIFEST_BYTES_MAX,
  type MergedManifest,
  readMergedManifest,
  signedComment,
} from '../../protocol/manifest/merged-manifest.ts'
import { type FirstRoot, readRoot, readRootDocument } from '../../protocol/manifest/root.ts'
import { decodeMetainfo, METAINFO_BYTES_MAX } from '../../protocol/torrent/metainfo.ts'
import { verifyEd25519 } from '../net/signature.ts'
import {
  baseUrlOf,
  openTufRepository,
  TufError,
  type TufErrorCode,
  type TufRepository,
  type TufTarget,
} from './tuf-client.ts'

export type VerifyProblemCode = TufErrorCode | 'root' | 'torrent' | 'manifest' | 'signature' | 'too-large'

export interface VerifyProblem {
  readonly code: VerifyProblemCode
  /** The file or role that is wrong. */
  readonly path: string
  /** One sentence for people. */
  readonly detail: string
}

export interface VerifyReport {
  readonly ok: boolean
  readonly source: string
  readonly federation: FederationId | null
  readonly name: string | null
  readonly roles: readonly { readonly name: string; readonly version: number; readonly expiresAt: string }[]
  /** All targets, and of these the .torrent files that are right. */
  readonly targets: number
  readonly torrents: number
  readonly manifest: { readonly sequence: number; readonly issuedAt: string; readonly shards: number } | null
  readonly problems: readonly VerifyProblem[]
}

export interface VerifyOptions {
  /** An http(s) URL or a folder. */
  readonly source: string
  /** The bytes of the federation's `1.root.json`. */
  readonly root: Uint8Array
  /** Remembers what was seen, so that a rollback is noticed the next time; without it each check stands alone. */
  readonly cacheDir?: string
  readonly timeoutMs?: number
}

const PROBLEMS_MAX = 1_000
const TORRENTS_AT_ONCE = 4
const SIGNATURE_BYTES_MAX = 10_240

/** Never rejects for what the source says; rejects when this machine fails (no room for temporary files). */
export async function verifyPublication(options: VerifyOptions): Promise<VerifyReport> {
  const report = await verifyOnce(options)
  // A publisher writes manifest.json just before the pointer to it; who reads in between looks again.
  const between = report.problems.some((problem) => problem.path.startsWith('manifest.json'))
  return between ? verifyOnce(options) : report
}

async function verifyOnce(options: VerifyOptions): Promise<VerifyReport> {
  const problems: VerifyProblem[] = []
  const found = {
    roles: [] as VerifyReport['roles'],
    targets: 0,
    torrents: 0,
    manifest: null as VerifyReport['manifest'],
  }
  const first = readFirstRoot(options.root, problems)
  if (first !== null) {
    const temporary = await mkdtemp(join(tmpdir(), 'wikiseed-verify-'))
    try {
      const metadataDir =
        options.cacheDir === undefined ? temporary : join(options.cacheDir, first.federationId)
      await mkdir(metadataDir, { recursive: true })
      const repository = await openTufRepository({
        baseUrl: await baseUrlOf(options.source),
        root: options.root,
        metadataDir,
        ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      })
      found.roles = repository.roles.map((role) => ({
        name: role.name,
        version: role.version,
        expiresAt: new Date(role.expiresAtMs).toISOString(),
      }))
      found.targets = repository.targets.length
      found.torrents = await checkTorrents(repository, problems)
      found.manifest = await checkManifest(repository, first.federationId, problems)
    } catch (error) {
      if (!(error instanceof TufError)) throw error
      problems.push({ code: error.code, path: 'metadata', detail: error.message })
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }
  return {
    ok: problems.length === 0,
    source: options.source,
    federation: first?.federationId ?? null,
    name: first?.name ?? null,
    ...found,
    problems: problems.slice(0, PROBLEMS_MAX),
  }
}

function readFirstRoot(bytes: Uint8Array, problems: VerifyProblem[]): FirstRoot | null {
  try {
    return readRoot(bytes, verifyEd25519)
  } catch (error) {
    problems.push({
      code: 'root',
      path: '1.root.json',
      detail: error instanceof Error ? error.message : 'unreadable',
    })
    return null
  }
}

/** How many .torrent files have the signed length, sha256 and infohash. */
async function checkTorrents(repository: TufRepository, problems: VerifyProblem[]): Promise<number> {
  const waiting = repository.targets.filter((target) => target.path.endsWith('.torrent'))
  let good = 0
  const worker = async () => {
    for (let target = waiting.pop(); target !== undefined; target = waiting.pop()) {
      const problem = await torrentProblem(repository, target)
      if (problem === null) good++
      else problems.push(problem)
    }
  }
  await Promise.all(Array.from({ length: TORRENTS_AT_ONCE }, worker))
  return good
}

async function torrentProblem(repository: TufRepository, target: TufTarget): Promise<VerifyProblem | null> {
  const { path } = target
  if (target.sizeBytes > METAINFO_BYTES_MAX)
    return { code: 'too-large', path, detail: `${target.sizeBytes} bytes` }
  try {
    const metainfo = decodeMetainfo(await repository.fetchTarget(target))
    if (metainfo === null) return { code: 'torrent', path, detail: 'it is no .torrent file' }
    if (metainfo.infohash === target.custom.infohash) return null
    return {
      code: 'torrent',
      path,
      detail: `its infohash is ${metainfo.infohash}, not the one that was signed`,
    }
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    return { code: error.code === 'unreachable' ? 'unreachable' : 'torrent', path, detail: error.message }
  }
}

async function checkManifest(
  repository: TufRepository,
  federation: FederationId,
  problems: VerifyProblem[],
): Promise<VerifyReport['manifest']> {
  const path = 'manifest.json'
  const add = (code: VerifyProblemCode, detail: string) => void problems.push({ code, path, detail })
  const bytes = await fetchPlain(repository, path, MERGED_MANIFEST_BYTES_MAX, problems)
  const target = repository.targets.find(
    (candidate) => candidate.role === 'targets' && candidate.path === path,
  )
  if (target === undefined) add('metadata', 'it is no target of the signed metadata')
  if (bytes === null) return null
  if (target !== undefined && createHash('sha256').update(bytes).digest('hex') !== target.sha256) {
    add('manifest', 'it is not the one that the signed metadata names')
  }
  const comment = await checkSignature(repository, path, bytes, problems)
  let manifest: MergedManifest
  try {
    manifest = readMergedManifest(bytes)
  } catch (error) {
    add('manifest', error instanceof Error ? error.message : 'unreadable')
    return null
  }
  if (manifest.federation !== federation)
    add('manifest', `it belongs to the federation ${manifest.federation}`)
  if (comment !== null && comment !== signedComment(federation, path, manifest.sequence)) {
    add('signature', `it was signed with another meaning: ${comment}`)
  }
  const torrents = new Map(repository.targets.map((each) => [each.custom.shard, each]))
  for (const shard of manifest.shards) {
    if (torrents.get(shardKey(shard.id, shard.digest))?.custom.infohash !== shard.infohash) {
      add('manifest', `${shard.id} has another infohash here than in the signed metadata`)
    }
  }
  const keys = new Set(manifest.shards.map((shard) => shardKey(shard.id, shard.digest)))
  const ofBundles = new Map(repository.targets.map((each) => [each.custom.bundle, each]))
  for (const { name, infohash, shards } of manifest.bundles ?? []) {
    if (ofBundles.get(name)?.custom.infohash !== infohash)
      add('manifest', `${name} has another infohash here than in the signed metadata`)
    if (shards.some((key) => !keys.has(key))) add('manifest', `${name} names shards that are not in it`)
  }
  const sums = await fetchPlain(repository, 'sha256sums.txt', MERGED_MANIFEST_BYTES_MAX, problems)
  if (sums !== null) await checkSignature(repository, 'sha256sums.txt', sums, problems)
  return { sequence: manifest.sequence, issuedAt: manifest.issuedAt, shards: manifest.shards.length }
}

/** The trusted comment, or null with a problem noted. */
async function checkSignature(
  repository: TufRepository,
  path: string,
  bytes: Uint8Array,
  problems: VerifyProblem[],
): Promise<string | null> {
  const signature = await fetchPlain(repository, `${path}.minisig`, SIGNATURE_BYTES_MAX, problems)
  if (signature === null) return null
  const key = parseMinisignPublicKey(readRootDocument(repository.root, verifyEd25519).minisignPublicKey)
  if (key === null) throw new TypeError('a root that was read has a minisign key')
  const verdict = verifyMinisign(bytes, signature, key, verifyEd25519)
  if (verdict.ok) return verdict.trustedComment
  problems.push({
    code: 'signature',
    path: `${path}.minisig`,
    detail: `it does not sign ${path} with the key of the root (${verdict.code})`,
  })
  return null
}

async function fetchPlain(
  repository: TufRepository,
  path: string,
  bytesMax: number,
  problems: VerifyProblem[],
): Promise<Uint8Array | null> {
  try {
    return await repository.fetchPlain(path, bytesMax)
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    problems.push({ code: error.code, path, detail: error.message })
    return null
  }
}
