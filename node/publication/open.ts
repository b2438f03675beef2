/**
 * Opens a publication to use it: the merged manifest, whose signatures were checked against the root, and the torrents that it
 * names, whose infohash it pins. `verify.ts` looks at everything; this reads only what is wanted.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseMinisignPublicKey, verifyMinisign } from '../../protocol/codec/minisign.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import {
  MERGED_MANIFEST_BYTES_MAX,
  type MergedManifest,
  type MergedManifestShard,
  readMergedManifest,
  signedComment,
} from '../../protocol/manifest/merged-manifest.ts'
import { type FirstRoot, readRoot } from '../../protocol/manifest/root.ts'
import { decodeMetainfo, METAINFO_BYTES_MAX } from '../../protocol/torrent/metainfo.ts'
import { verifyEd25519 } from '../net/signature.ts'
import { baseUrlOf, fetchPlainFile, openTufRepository, TufError, type TufErrorCode } from './tuf-client.ts'

export type PublicationErrorCode = TufErrorCode | 'root' | 'manifest' | 'signature'

/** `message` is one sentence for people. */
export class PublicationError extends Error {
  readonly code: PublicationErrorCode
  constructor(code: PublicationErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'PublicationError'
    this.code = code
  }
}

export interface Publication {
  readonly manifest: MergedManifest
  /** Name of the federation, as its root tells it. */
  readonly name: string
  /** Where it was read, with `/` at its end. */
  readonly baseUrl: string
  /** `minisign`: only the signature of manifest.json was checked, which does not expire; an older manifest is not noticed then. */
  readonly checkedBy: 'tuf' | 'minisign'
  /** The .torrent file of a shard or a bundle, its infohash checked; null when the publication does not hold it. */
  torrent(of: Pick<MergedManifestShard, 'torrent' | 'infohash'>): Promise<Uint8Array | null>
}

export interface OpenOptions {
  /** An http(s) URL or a folder. */
  readonly source: string
  /** The bytes of the federation's `1.root.json`. */
  readonly root: Uint8Array
  /** Remembers what was seen, so that an older publication is noticed (TUF 5.1). */
  readonly cacheDir: string
  /**
   * Take a manifest whose TUF metadata has expired or is not there, by its minisign signature alone: nobody renews signatures when
   * the publisher is gone.
   */
  readonly allowExpired?: boolean
  readonly timeoutMs?: number
}

const SIGNATURE_BYTES_MAX = 10_240

/** Rejects with PublicationError. */
export async function openPublication(options: OpenOptions): Promise<Publication> {
  try {
    return await open(options)
  } catch (error) {
    if (error instanceof TufError) throw new PublicationError(error.code, error.message, { cause: error })
    if (error instanceof ShapeError)
      throw new PublicationError('manifest', `${options.source}: ${error.message}`, { cause: error })
    throw error
  }
}

async function open(options: OpenOptions): Promise<Publication> {
  const root = rootOf(options.root)
  const baseUrl = await baseUrlOf(options.source)
  const timeoutMs = options.timeoutMs ?? 60_000
  const plain = (path: string, bytesMax: number) => fetchPlainFile(baseUrl, path, bytesMax, timeoutMs)
  let checkedBy: Publication['checkedBy'] = 'tuf'
  let manifest: MergedManifest
  try {
    manifest = await manifestByTuf(options, root, baseUrl, timeoutMs)
  } catch (error) {
    const isOld = error instanceof TufError && (error.code === 'expired' || error.code === 'unreachable')
    if (!isOld) throw error
    if (options.allowExpired !== true) throw explained(error)
    manifest = await manifestByMinisign(plain, root)
    checkedBy = 'minisign'
  }
  if (manifest.federation !== root.federationId)
    throw new PublicationError('manifest', `the manifest belongs to the federation ${manifest.federation}`)
  return {
    manifest,
    name: root.name,
    baseUrl,
    checkedBy,
    async torrent({ torrent, infohash }) {
      const bytes = await plain(torrent, METAINFO_BYTES_MAX).catch((error: unknown) => {
        if (error instanceof TufError && error.code === 'unreachable') return null
        throw error
      })
      return bytes !== null && decodeMetainfo(bytes)?.infohash === infohash ? bytes : null
    },
  }
}

function rootOf(bytes: Uint8Array): FirstRoot {
  try {
    return readRoot(bytes, verifyEd25519)
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw new PublicationError('root', `the root document is not one: ${error.message}`, { cause: error })
  }
}

async function manifestByTuf(
  options: OpenOptions,
  root: FirstRoot,
  baseUrl: string,
  timeoutMs: number,
): Promise<MergedManifest> {
  const metadataDir = join(options.cacheDir, root.federationId)
  await mkdir(metadataDir, { recursive: true })
  const repository = await openTufRepository({ baseUrl, root: options.root, metadataDir, timeoutMs })
  const target = repository.targets.find((one) => one.role === 'targets' && one.path === 'manifest.json')
  if (target === undefined || target.sizeBytes > MERGED_MANIFEST_BYTES_MAX)
    throw new PublicationError('manifest', 'the signed metadata names no manifest.json')
  return readMergedManifest(await repository.fetchTarget(target))
}

async function manifestByMinisign(
  plain: (path: string, bytesMax: number) => Promise<Uint8Array>,
  root: FirstRoot,
): Promise<MergedManifest> {
  const bytes = await plain('manifest.json', MERGED_MANIFEST_BYTES_MAX)
  const signature = await plain('manifest.json.minisig', SIGNATURE_BYTES_MAX)
  const key = parseMinisignPublicKey(root.minisignPublicKey)
  if (key === null) throw new TypeError('a root that was read has a minisign key')
  const verdict = verifyMinisign(bytes, signature, key, verifyEd25519)
  if (!verdict.ok)
    throw new PublicationError(
      'signature',
      `manifest.json is not signed with the key of the root (${verdict.code})`,
    )
  const manifest = readMergedManifest(bytes)
  if (verdict.trustedComment !== signedComment(root.federationId, 'manifest.json', manifest.sequence))
    throw new PublicationError('signature', 'manifest.json was signed with another meaning')
  return manifest
}

function explained(error: TufError): PublicationError {
  const why =
    error.code === 'expired'
      ? 'the signatures of this publication have expired: its publisher has not renewed them'
      : `the publication cannot be read (${error.message})`
  return new PublicationError(
    error.code,
    `${why}; --allow-expired takes a manifest.json that is signed, however old`,
    {
      cause: error,
    },
  )
}
