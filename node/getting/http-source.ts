/**
 * Files over HTTP: items of the Internet Archive, and mirrors laid out like upstream. The origin's client does it, with its manners. What
 * the swarm began is gone on with piece by piece.
 */
import { rm } from 'node:fs/promises'
import type { MergedManifestFile, MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { downloadPath } from '../../protocol/shard/archive-item.ts'
import type { Info } from '../../protocol/torrent/info.ts'
import { sizeOf } from '../files/disk.ts'
import { createOrigin, type OriginOptions } from '../origin/origin.ts'
import { metaPath } from '../origin/partial-file.ts'
import { type Origin, OriginError } from '../ports.ts'
import { isMetadata, mirrorPath } from '../publication/paths.ts'
import { fetchPieces } from '../sources/web-pieces.ts'
import { PieceFiles } from '../transfer/piece-files.ts'
import { type FileOptions, type FileSource, GetError } from './file-source.ts'

export interface HttpOptions
  extends Pick<
    OriginOptions,
    'contact' | 'version' | 'nodeId' | 'clock' | 'random' | 'retriesMax' | 'backoffBaseMs'
  > {
  /** The info dictionary of a shard's torrent, which its infohash vouches for; null: files are fetched whole. */
  readonly info: (shard: MergedManifestShard) => Promise<Info | null>
}

/** `site` with `/` at its end: https://archive.org/ */
export function archiveSource(site: string, options: HttpOptions): FileSource {
  const host = new URL(site).host
  // Downloads are redirected to the machine that holds the item.
  const redirectHosts = host === 'archive.org' ? ['archive.org', '*.archive.org'] : []
  return httpSource('archive', site, redirectHosts, options, {
    offers: (shard) => shard.archive !== null && IDENTIFIER.test(shard.archive.item),
    pathOf: (shard, file) => downloadPath(shard.archive?.item ?? '', shard, file.path),
  })
}

/** internetarchive utils.py */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$/

/** `baseUrl`: https://dumps.wikimedia.org/ or a mirror of its layout. It has no metadata files of ours. */
export function mirrorSource(baseUrl: string, options: HttpOptions): FileSource {
  return httpSource('mirror', baseUrl, [], options, {
    offers: (_shard, file) => !isMetadata(file),
    pathOf: mirrorPath,
  })
}

function httpSource(
  kind: FileSource['kind'],
  baseUrl: string,
  redirectHosts: readonly string[],
  options: HttpOptions,
  layout: {
    readonly offers: FileSource['offers']
    /** Below the base. */
    readonly pathOf: (shard: MergedManifestShard, file: MergedManifestFile) => string
  },
): FileSource {
  const name = new URL(baseUrl).host
  const origin = createOrigin({ ...options, baseUrl, redirectHosts })
  /** It could not be reached after all retries: it is not waited for with every file. */
  let isGone = false
  return {
    kind,
    name,
    offers: (shard, file) => !isGone && layout.offers(shard, file),
    async fetch(shard, file, path, how) {
      const remote = { path: layout.pathOf(shard, file), sizeBytes: file.size }
      try {
        const info = how.before === 'replace' ? null : await options.info(shard)
        const index = info?.files.findIndex((one) => one.path === file.path) ?? -1
        if (info !== null && index >= 0 && (how.before === 'doubt' || (await isInPieces(path))))
          await fetchMissing(origin, remote, info, index, path, how)
        else {
          if (how.before === 'doubt') await dropPart(path)
          const { onBytes, signal } = how
          const anew = how.before === 'replace'
          await origin.download(remote, path, { anew, onBytes, ...(signal === undefined ? {} : { signal }) })
        }
      } catch (error) {
        if (!(error instanceof OriginError)) throw error
        if (error.code === 'network') isGone = true
        throw new GetError(error.message, { cause: error, isWholeOnly: error.code === 'no-ranges' })
      }
    },
    close: () => origin.close(),
  }
}

/** What a download of the whole began has a side file; the swarm writes pieces. */
async function isInPieces(path: string): Promise<boolean> {
  return (await sizeOf(path)) > 0 && (await sizeOf(metaPath(path))) === 0
}

async function dropPart(path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(metaPath(path), { force: true })
}

/** What is missing of one file. Of its first and last piece, which it may share with files that are not here, its digest judges. */
async function fetchMissing(
  origin: Origin,
  remote: { readonly path: string; readonly sizeBytes: number },
  info: Info,
  index: number,
  path: string,
  { before, onBytes, signal }: FileOptions,
): Promise<void> {
  const files = new PieceFiles(
    info,
    info.files.map((_, at) => (at === index ? path : null)),
  )
  try {
    const doubt = before === 'doubt'
    const { ranges } = await files.missing(files.rangeOf(index), { doubt, signal })
    await rm(metaPath(path), { force: true })
    const options = { onBytes, ...(signal === undefined ? {} : { signal }) }
    const { lacking } = await fetchPieces(ranges, {
      files,
      placesOf: () => [{ from: null, label: origin.label, path: remote.path }],
      range: (_place, _file, range, use) => origin.range(remote, range, use, options),
      // There is one place: what it does not give is told below.
      onRefused: () => {},
      onWrong: () => {},
    })
    const refusal = lacking.get(index)
    if (refusal !== undefined) throw refusal
    await files.seal(index)
  } finally {
    await files.close()
  }
}
