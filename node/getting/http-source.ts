/** Files over HTTP: items of the Internet Archive, and mirrors laid out like upstream. The origin's client does it, with its manners. */
import type { MergedManifestFile } from '../../protocol/manifest/merged-manifest.ts'
import { downloadPath } from '../../protocol/shard/archive-item.ts'
import { createOrigin, type OriginOptions } from '../origin/origin.ts'
import { type Origin, OriginError } from '../ports.ts'
import { isMetadata, mirrorPath } from '../publication/paths.ts'
import { type FileSource, GetError } from './file-source.ts'

export type HttpOptions = Pick<
  OriginOptions,
  'contact' | 'version' | 'nodeId' | 'clock' | 'random' | 'retriesMax' | 'backoffBaseMs'
>

/** `site` with `/` at its end: https://archive.org/ */
export function archiveSource(site: string, options: HttpOptions): FileSource {
  const gone = { isIt: false }
  const host = new URL(site).host
  // Downloads are redirected to the machine that holds the item.
  const redirectHosts = host === 'archive.org' ? ['archive.org', '*.archive.org'] : []
  const origin = createOrigin({ ...options, baseUrl: site, redirectHosts })
  return {
    kind: 'archive',
    name: host,
    offers: (shard) => !gone.isIt && shard.archive !== null && IDENTIFIER.test(shard.archive.item),
    fetch: (shard, file, path, { onBytes, signal }) =>
      download(origin, gone, downloadPath(shard.archive?.item ?? '', shard, file.path), file, path, {
        onBytes,
        ...(signal === undefined ? {} : { signal }),
      }),
    close: () => origin.close(),
  }
}

/** internetarchive utils.py */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$/

/** `baseUrl`: https://dumps.wikimedia.org/ or a mirror of its layout. It has no metadata files of ours. */
export function mirrorSource(baseUrl: string, options: HttpOptions): FileSource {
  const origin = createOrigin({ ...options, baseUrl })
  const gone = { isIt: false }
  return {
    kind: 'mirror',
    name: new URL(baseUrl).host,
    offers: (_shard, file) => !gone.isIt && !isMetadata(file),
    fetch: (shard, file, path, { onBytes, signal }) =>
      download(origin, gone, mirrorPath(shard, file), file, path, {
        onBytes,
        ...(signal === undefined ? {} : { signal }),
      }),
    close: () => origin.close(),
  }
}

/** `gone` is noted when the host cannot be reached after all retries: it is not waited for with every file. */
async function download(
  origin: Origin,
  gone: { isIt: boolean },
  remotePath: string,
  file: MergedManifestFile,
  path: string,
  options: { onBytes: (count: number) => void; signal?: AbortSignal },
): Promise<void> {
  try {
    await origin.download({ path: remotePath, sizeBytes: file.size }, path, options)
  } catch (error) {
    if (error instanceof OriginError && error.code === 'network') gone.isIt = true
    if (error instanceof OriginError) throw new GetError(error.message, { cause: error })
    throw error
  }
}
