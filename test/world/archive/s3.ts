// s3.us.archive.org in small: uploads that are checked, queued and shown later.
import { rm } from 'node:fs/promises'
import { type Exchange, type Headers, hangUp, header, noteFault, pathSegments, send } from '../exchange.ts'
import type { Dice, Faults } from '../faults.ts'
import { receiveFile } from '../receive-file.ts'
import { readDisk, serveFile } from '../serve-file.ts'
import { s3Error } from '../xml.ts'
import { formatOf } from './item-xml.ts'
import { type PutHeaders, readPutHeaders } from './put-headers.ts'
import { type ArchiveStore, type FileRow, isIdentifier, isSafeKey, type Metadata } from './store.ts'

export type ArchiveS3Options = {
  store: ArchiveStore
  keys: { accessKey: string; secretKey: string }
  faults: Faults
  dice: Dice
  now: () => number
}

/** 1 TiB, over which the Archive refuses. */
const itemMaxBytes = 2 ** 40
const openCollections = ['opensource', 'opensource_media', 'test_collection', 'community']
const queueMax = 11_999
const xml: Headers = { 'content-type': 'application/xml', server: 'nginx' }

export class ArchiveS3 {
  readonly #options: ArchiveS3Options

  constructor(options: ArchiveS3Options) {
    this.#options = options
  }

  async handle(ex: Exchange): Promise<void> {
    if (ex.query.get('check_limit') !== null) return this.#checkLimit(ex)
    const [bucket = '', ...rest] = pathSegments(ex.rawPath) ?? ['']
    const key = rest.join('/')
    if (bucket === '')
      return this.#error(ex, 403, 'AccessDenied', 'Access Denied', 'There are no buckets to list')
    if (ex.method === 'PUT') return this.#put(ex, bucket, key)
    if (ex.method === 'DELETE') return this.#delete(ex, bucket, key)
    if (ex.method === 'GET' || ex.method === 'HEAD') return this.#get(ex, bucket, key)
    return this.#error(
      ex,
      405,
      'MethodNotAllowed',
      'The specified method is not allowed against this resource.',
      bucket,
    )
  }

  async #put(ex: Exchange, bucket: string, key: string): Promise<void> {
    const { store, faults, dice } = this.#options
    const lengthText = header(ex, 'content-length')
    if (lengthText === undefined || header(ex, 'transfer-encoding') !== undefined) {
      return this.#error(
        ex,
        411,
        'MissingContentLength',
        'You must provide the Content-Length HTTP header.',
        bucket,
      )
    }
    if (await this.#refusedAuth(ex)) return
    if (!isIdentifier(bucket))
      return this.#error(ex, 400, 'InvalidBucketName', 'The specified bucket is not valid.', bucket)
    const reserved = key === `${bucket}_meta.xml` || key === `${bucket}_files.xml`
    if (key !== '' && (!isSafeKey(key) || reserved || store.keyConflicts(bucket, key))) {
      return this.#error(ex, 400, 'InvalidURI', 'Could not parse the specified URI.', key)
    }
    const headers = readPutHeaders(ex.req.headers)
    const subject = `PUT ${ex.rawPath}`
    if (headers.simulateError === 'SlowDown' || this.#slowsDown(ex, subject)) return this.#slowDown(ex)
    if (ex.query.get('node') === null && dice.hits('archiveRedirect', subject, faults.archiveRedirectRate)) {
      noteFault(ex, 'redirect')
      const location = `${ex.origin}${ex.rawPath}?node=1`
      return send(ex, 307, { ...xml, location }, s3Error('TemporaryRedirect', 'Please re-send this request.'))
    }
    const isNew = !store.exists(bucket)
    if (isNew && key !== '' && !headers.autoMakeBucket) {
      return this.#error(ex, 404, 'NoSuchBucket', 'The specified bucket does not exist.', bucket)
    }
    const metadata = isNew || headers.ignorePreexistingBucket ? this.#metadata(bucket, headers) : undefined
    if (metadata && !mayWriteTo(metadata)) {
      const message = 'Access Denied - You lack sufficient privileges to write to those collections'
      return this.#error(ex, 403, 'AccessDenied', message, bucket)
    }
    if (store.sizeBytes(bucket) + Number(lengthText) > itemMaxBytes) {
      return this.#error(
        ex,
        403,
        'AccessDenied',
        'Access Denied - item is over the per item size limit',
        bucket,
      )
    }
    if (key === '') {
      if (isNew && metadata) await store.create(bucket, metadata)
      return send(ex, 200, xml)
    }
    return this.#receive(ex, bucket, key, headers, metadata)
  }

  async #receive(
    ex: Exchange,
    bucket: string,
    key: string,
    headers: PutHeaders,
    metadata: Metadata | undefined,
  ): Promise<void> {
    const { store, faults, dice, now } = this.#options
    const length = Number(header(ex, 'content-length'))
    const cut = length > 1 && dice.hits('archiveCut', `PUT ${ex.rawPath}`, faults.archiveCutRate)
    const spool = await store.spoolPath()
    const received = await receiveFile(ex, spool, (bytes) => !cut || bytes < length / 2)
    if (!received) {
      if (cut) noteFault(ex, 'cut')
      return hangUp(ex)
    }
    const expected = header(ex, 'content-md5')?.toLowerCase()
    if (expected !== undefined && expected !== received.md5.toString('hex')) {
      await rm(spool, { force: true })
      return this.#error(
        ex,
        400,
        'BadDigest',
        'The Content-MD5 you specified did not match what we received.',
        key,
      )
    }
    const row: FileRow = {
      ...headers.fileMetadata,
      name: key,
      source: 'original',
      format: formatOf(key),
      mtime: String(Math.floor(now() / 1000)),
      size: String(received.sizeBytes),
      md5: received.md5.toString('hex'),
      crc32: received.crc32,
      sha1: received.sha1.toString('hex'),
    }
    if (metadata && !store.exists(bucket)) await store.create(bucket, metadata)
    else if (metadata) await store.replaceMetadata(bucket, metadata)
    await store.put(bucket, spool, row, headers.keepOldVersion)
    return send(ex, 200, xml)
  }

  async #delete(ex: Exchange, bucket: string, key: string): Promise<void> {
    if (await this.#refusedAuth(ex)) return
    const item = await this.#options.store.read(bucket)
    if (!item) return this.#error(ex, 404, 'NoSuchBucket', 'The specified bucket does not exist.', bucket)
    if (key === '')
      return this.#error(ex, 403, 'AccessDenied', 'Access Denied - items cannot be deleted', bucket)
    if (this.#slowsDown(ex, `DELETE ${ex.rawPath}`)) return this.#slowDown(ex)
    if (key === `${bucket}_meta.xml` || key === `${bucket}_files.xml`) {
      return this.#error(ex, 403, 'AccessDenied', 'Access Denied - this file is kept by the Archive', key)
    }
    if (!item.files.some(({ name }) => name === key)) {
      return this.#error(ex, 404, 'NoSuchKey', 'The specified key does not exist.', key)
    }
    await this.#options.store.delete(bucket, key, header(ex, 'x-archive-keep-old-version') === '1')
    return send(ex, 204, xml)
  }

  /** Reading by the S3 door ignores ranges; the proper way is `/download/`. */
  async #get(ex: Exchange, bucket: string, key: string): Promise<void> {
    const { store } = this.#options
    const item = await store.read(bucket)
    if (!item?.visible)
      return this.#error(ex, 404, 'NoSuchBucket', 'The specified bucket does not exist.', bucket)
    if (key === '') {
      const rows = item.files.map(
        ({ name, size, md5 }) =>
          `<Contents><Key>${name.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</Key><Size>${size ?? 0}</Size><ETag>${md5}</ETag></Contents>`,
      )
      const body = `<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>${bucket}</Name>${rows.join('')}</ListBucketResult>`
      return send(ex, 200, xml, body)
    }
    const found = await store.filePath(bucket, key)
    if (!found) return this.#error(ex, 404, 'NoSuchKey', 'The specified key does not exist.', key)
    delete ex.req.headers.range
    return serveFile(ex, {
      sizeBytes: Number(found.row.size ?? 0),
      mtimeMs: Number(found.row.mtime ?? 0) * 1000,
      contentType: 'application/octet-stream',
      etag: `"${found.row.md5}"`,
      read: (first, last) => readDisk(found.path, first, last),
    })
  }

  async #checkLimit(ex: Exchange): Promise<void> {
    const { store, faults, dice } = this.#options
    const bucket = ex.query.get('bucket') ?? ''
    const queued = store.tasksQueued()
    const over = faults.archiveOverLimit || dice.inBurst('archive503')
    const body = {
      accesskey: ex.query.get('accesskey') ?? '',
      bucket,
      detail: {
        accesskey_ration: 74,
        accesskey_tasks_queued: queued,
        bucket_ration: 24,
        bucket_tasks_queued: bucket === '' ? 0 : store.tasksQueued(bucket),
        limit_reason: over ? 'Your upload of this item exceeds the queue limit' : '',
        rationing_engaged: over ? 1 : 0,
        rationing_level: Math.floor(queueMax * 0.75),
        total_global_limit: queueMax,
        total_tasks_queued: over ? queueMax : queued,
      },
      over_limit: over ? 1 : 0,
    }
    return send(ex, 200, { 'content-type': 'application/json' }, JSON.stringify(body))
  }

  /** True when the request was refused for its keys. `Authorization: LOW <access>:<secret>`. */
  async #refusedAuth(ex: Exchange): Promise<boolean> {
    const { keys } = this.#options
    const given = /^LOW ([^:]+):(.+)$/.exec(header(ex, 'authorization') ?? '')
    if (!given) {
      await this.#error(
        ex,
        403,
        'AccessDenied',
        'Access Denied',
        'Authorization: LOW accesskey:secret is needed',
      )
      return true
    }
    if (given[1] !== keys.accessKey) {
      const message = 'The AWS Access Key Id you provided does not exist in our records.'
      await this.#error(ex, 403, 'InvalidAccessKeyId', message, '')
      return true
    }
    if (given[2] !== keys.secretKey) {
      const message = 'The request signature we calculated does not match the signature you provided.'
      await this.#error(ex, 403, 'SignatureDoesNotMatch', message, '')
      return true
    }
    return false
  }

  #metadata(identifier: string, { metadata }: PutHeaders): Metadata {
    const stamp = new Date(this.#options.now()).toISOString().slice(0, 19).replace('T', ' ')
    return {
      identifier,
      mediatype: 'data',
      collection: 'opensource',
      ...metadata,
      uploader: 'volunteer@example.org',
      publicdate: stamp,
      addeddate: stamp,
    }
  }

  #slowsDown(ex: Exchange, subject: string): boolean {
    const { faults, dice } = this.#options
    return (
      dice.hitsBurst('archive503', subject, faults.archive503Rate, faults.burstLength) && ex.method !== 'GET'
    )
  }

  #slowDown(ex: Exchange): Promise<void> {
    noteFault(ex, 'SlowDown')
    return this.#error(
      ex,
      503,
      'SlowDown',
      'Please reduce your request rate.',
      'Your total number of queued tasks is over the limit',
    )
  }

  #error(ex: Exchange, status: number, code: string, message: string, resource: string): Promise<void> {
    const id = `${ex.record.remotePort}-${Math.floor(this.#options.now())}`
    return send(ex, status, xml, s3Error(code, message, { Resource: resource, RequestId: id }))
  }
}

function mayWriteTo(metadata: Metadata): boolean {
  const collections = [metadata.collection ?? []].flat()
  return collections.every((collection) => openCollections.includes(collection))
}
