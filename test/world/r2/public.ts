// Reading objects: by the S3 API and, without a signature, by a public bucket address (`/<bucket>/<key>`).
import { type Exchange, pathSegments, send } from '../exchange.ts'
import { readDisk, serveFile } from '../serve-file.ts'
import type { R2Store, StoredObject } from './store.ts'

export function serveObject(
  ex: Exchange,
  store: R2Store,
  bucket: string,
  object: StoredObject,
): Promise<void> {
  const { 'content-type': type = 'application/octet-stream', ...more } = object.headers
  const view = {
    sizeBytes: object.sizeBytes,
    mtimeMs: object.lastModifiedMs,
    contentType: type,
    etag: object.etag,
    read: (first: number, last: number) => readDisk(store.path(bucket, object.key), first, last),
  }
  return serveFile(ex, view, {}, { server: 'cloudflare', ...more })
}

/** A public bucket answers GET and HEAD and lists nothing. */
export class R2Public {
  readonly #store: R2Store

  constructor(store: R2Store) {
    this.#store = store
  }

  async handle(ex: Exchange): Promise<void> {
    const plain = { 'content-type': 'text/plain', server: 'cloudflare' }
    if (ex.method !== 'GET' && ex.method !== 'HEAD') return send(ex, 405, plain, 'Method not allowed\n')
    const [bucket = '', ...key] = pathSegments(ex.rawPath) ?? ['']
    const object = this.#store.get(bucket, key.join('/'))
    if (!object) return send(ex, 404, plain, 'Object not found\n')
    return serveObject(ex, this.#store, bucket, object)
  }
}
