// R2's S3 API in small: path-style, signed, one write a second for each key.
import { copyFile, readFile, rm } from 'node:fs/promises'
import { type Exchange, header, noteFault, pathSegments, send } from '../exchange.ts'
import type { Faults } from '../faults.ts'
import { escapeXml } from '../xml.ts'
import { writeConditionFails } from './conditions.ts'
import { listObjects } from './list.ts'
import { partNumberMax, readPartList, type Upload, Uploads } from './multipart.ts'
import { serveObject } from './public.ts'
import { headersToKeep, receiveChecked, sendError, xml } from './receive.ts'
import { type Keys, verifySignature } from './sigv4.ts'
import { isBucketName, isStorableKey, type R2Store, type StoredObject } from './store.ts'

export type R2Options = { store: R2Store; keys: Keys; faults: Faults; now: () => number }

const singlePutMaxBytes = 4.995 * 2 ** 30
const documentMaxBytes = 4 * 2 ** 20
const writesRememberedMax = 10_000
const refusedQueries = [
  'acl',
  'tagging',
  'versioning',
  'versions',
  'policy',
  'object-lock',
  'retention',
  'legal-hold',
  'delete',
]

export class R2Server {
  readonly #options: R2Options
  readonly #uploads = new Uploads()
  readonly #lastWrites = new Map<string, number>()

  constructor(options: R2Options) {
    this.#options = options
  }

  async handle(ex: Exchange): Promise<void> {
    const { store, keys, faults, now } = this.#options
    if (ex.method === 'PUT' || ex.method === 'POST') {
      const unsized = header(ex, 'content-length') === undefined
      if (unsized)
        return sendError(ex, 411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
    }
    const verdict = verifySignature(ex, keys, now())
    if (!verdict.ok) return sendError(ex, verdict.status, verdict.code, verdict.message)
    if (ex.dice.hits('r2Error', `${ex.method} ${ex.rawPath}`, faults.r2ErrorRate)) {
      noteFault(ex, 'error')
      const busy = ex.dice.draw('r2ErrorKind', ex.rawPath) < 0.5
      if (busy) return sendError(ex, 503, 'ServiceUnavailable', 'Please try again.')
      return sendError(ex, 500, 'InternalError', 'We encountered an internal error. Please try again.')
    }
    const refused = refusedQueries.find((name) => ex.query.has(name))
    if (refused !== undefined) return sendError(ex, 501, 'NotImplemented', `${refused} is not implemented`)
    const [bucket = '', ...rest] = pathSegments(ex.rawPath) ?? ['']
    const key = rest.join('/')
    if (bucket === '') return this.#listBuckets(ex)
    if (key === '') return this.#bucket(ex, bucket)
    if (!store.hasBucket(bucket)) return this.#noBucket(ex)
    if (!isStorableKey(key))
      return sendError(ex, 400, 'InvalidObjectName', 'The specified object name is not valid.')
    const uploadId = ex.query.get('uploadId')
    if (ex.method === 'PUT' && uploadId !== null)
      return this.#putPart(ex, bucket, key, uploadId, verdict.payloadHash)
    if (ex.method === 'PUT') return this.#put(ex, bucket, key, verdict.payloadHash)
    if (ex.method === 'GET' || ex.method === 'HEAD') return this.#get(ex, bucket, key)
    if (ex.method === 'DELETE' && uploadId !== null) return this.#abort(ex, bucket, key, uploadId)
    if (ex.method === 'DELETE') {
      await store.alone(bucket, key, () => store.delete(bucket, key))
      return send(ex, 204, xml)
    }
    if (ex.method === 'POST' && ex.query.has('uploads')) return this.#createUpload(ex, bucket, key)
    if (ex.method === 'POST' && uploadId !== null)
      return this.#complete(ex, bucket, key, uploadId, verdict.payloadHash)
    return sendError(
      ex,
      405,
      'MethodNotAllowed',
      'The specified method is not allowed against this resource.',
    )
  }

  #listBuckets(ex: Exchange): Promise<void> {
    const names = this.#options.store.bucketNames().map((name) => `<Bucket><Name>${name}</Name></Bucket>`)
    return send(
      ex,
      200,
      xml,
      `<?xml version="1.0"?><ListAllMyBucketsResult><Buckets>${names.join('')}</Buckets></ListAllMyBucketsResult>`,
    )
  }

  async #bucket(ex: Exchange, bucket: string): Promise<void> {
    const { store } = this.#options
    if (ex.method === 'PUT') {
      if (!isBucketName(bucket))
        return sendError(ex, 400, 'InvalidBucketName', 'The specified bucket name is not valid.')
      if (store.hasBucket(bucket))
        return sendError(
          ex,
          409,
          'BucketAlreadyOwnedByYou',
          'Your previous request to create the named bucket succeeded and you already own it.',
        )
      await store.createBucket(bucket)
      return send(ex, 200, { ...xml, location: `/${bucket}` })
    }
    if (!store.hasBucket(bucket)) return this.#noBucket(ex)
    if (ex.method === 'HEAD') return send(ex, 200, xml)
    if (ex.method !== 'GET')
      return sendError(ex, 501, 'NotImplemented', `${ex.method} of a bucket is not implemented`)
    if (ex.query.has('location')) return send(ex, 200, xml, '<LocationConstraint>auto</LocationConstraint>')
    return send(ex, 200, xml, listObjects(ex, store, bucket))
  }

  #get(ex: Exchange, bucket: string, key: string): Promise<void> {
    const { store } = this.#options
    const object = store.get(bucket, key)
    if (!object) return sendError(ex, 404, 'NoSuchKey', 'The specified key does not exist.')
    return serveObject(ex, store, bucket, object)
  }

  async #put(ex: Exchange, bucket: string, key: string, payloadHash: string): Promise<void> {
    const { store } = this.#options
    if (Number(header(ex, 'content-length')) > singlePutMaxBytes) {
      return sendError(
        ex,
        400,
        'EntityTooLarge',
        'Your proposed upload exceeds the maximum allowed object size.',
      )
    }
    const source = header(ex, 'x-amz-copy-source')
    if (source !== undefined) return this.#copy(ex, bucket, key, source)
    const spool = store.spoolPath()
    const received = await receiveChecked(ex, spool, payloadHash)
    if (!received) return
    const object: StoredObject = {
      key,
      sizeBytes: received.sizeBytes,
      etag: `"${received.md5.toString('hex')}"`,
      lastModifiedMs: this.#options.now(),
      headers: headersToKeep(ex),
    }
    if (await this.#store(ex, bucket, spool, object))
      return send(ex, 200, { server: 'cloudflare', etag: object.etag })
  }

  async #copy(ex: Exchange, bucket: string, key: string, source: string): Promise<void> {
    const { store } = this.#options
    const [fromBucket = '', ...fromKey] = pathSegments(source) ?? ['']
    const from = store.get(fromBucket, fromKey.join('/'))
    if (!from) return sendError(ex, 404, 'NoSuchKey', 'The specified key does not exist.')
    const replace = header(ex, 'x-amz-metadata-directive') === 'REPLACE'
    const spool = store.spoolPath()
    await copyFile(store.path(fromBucket, from.key), spool)
    const headers = replace ? headersToKeep(ex) : from.headers
    const object: StoredObject = { ...from, key, headers, lastModifiedMs: this.#options.now() }
    if (!(await this.#store(ex, bucket, spool, object))) return
    const modified = new Date(object.lastModifiedMs).toISOString()
    const body = `<CopyObjectResult><ETag>${escapeXml(object.etag)}</ETag><LastModified>${modified}</LastModified></CopyObjectResult>`
    return send(ex, 200, xml, body)
  }

  /** False when the write was refused and answered: too soon after another, a condition, a key that cannot be kept. */
  #store(ex: Exchange, bucket: string, spool: string, object: StoredObject): Promise<boolean> {
    const { store, faults, now } = this.#options
    const { key } = object
    return store.alone(bucket, key, async () => {
      const name = `${bucket}/${key}`
      const sinceMs = now() - (this.#lastWrites.get(name) ?? Number.NEGATIVE_INFINITY)
      let refusal: [number, string, string] | undefined
      if (faults.r2WriteLimit && sinceMs < 1000) {
        refusal = [429, 'TooManyRequests', 'Reduce your concurrent request rate for the same object.']
      } else if (writeConditionFails(ex, store.get(bucket, key))) {
        refusal = [
          412,
          'PreconditionFailed',
          'At least one of the pre-conditions you specified did not hold.',
        ]
      } else if (store.keyConflicts(bucket, key)) {
        refusal = [
          501,
          'NotImplemented',
          'This world keeps keys as paths: a key cannot lie below another key.',
        ]
      }
      if (refusal) {
        await rm(spool, { force: true })
        await sendError(ex, ...refusal)
        return false
      }
      await store.put(bucket, spool, object)
      if (this.#lastWrites.size >= writesRememberedMax) this.#lastWrites.clear()
      this.#lastWrites.set(name, now())
      return true
    })
  }

  #createUpload(ex: Exchange, bucket: string, key: string): Promise<void> {
    const upload = this.#uploads.create(bucket, key, headersToKeep(ex))
    if (!upload) return sendError(ex, 503, 'ServiceUnavailable', 'Too many open uploads.')
    const body = `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${escapeXml(key)}</Key><UploadId>${upload.id}</UploadId></InitiateMultipartUploadResult>`
    return send(ex, 200, xml, body)
  }

  async #putPart(ex: Exchange, bucket: string, key: string, id: string, payloadHash: string): Promise<void> {
    const upload = this.#uploads.find(id, bucket, key)
    if (!upload) return this.#noUpload(ex)
    const number = Number(ex.query.get('partNumber'))
    if (!Number.isInteger(number) || number < 1 || number > partNumberMax) {
      return sendError(
        ex,
        400,
        'InvalidArgument',
        'Part number must be an integer between 1 and 10000, inclusive',
      )
    }
    const path = this.#options.store.spoolPath()
    const received = await receiveChecked(ex, path, payloadHash)
    if (!received) return
    await this.#uploads.setPart(upload, { number, path, sizeBytes: received.sizeBytes, md5: received.md5 })
    return send(ex, 200, { server: 'cloudflare', etag: `"${received.md5.toString('hex')}"` })
  }

  async #complete(ex: Exchange, bucket: string, key: string, id: string, payloadHash: string): Promise<void> {
    const { store, now } = this.#options
    const upload = this.#uploads.find(id, bucket, key)
    if (!upload) return this.#noUpload(ex)
    const wanted = await this.#readDocument(ex, payloadHash)
    if (wanted === undefined) return
    const spool = store.spoolPath()
    const joined = await this.#uploads.join(upload, readPartList(wanted), spool)
    if (!joined.ok) return sendError(ex, 400, joined.code, joined.message)
    const { sizeBytes, etag } = joined
    const object: StoredObject = { key, sizeBytes, etag, lastModifiedMs: now(), headers: upload.headers }
    if (!(await this.#store(ex, bucket, spool, object))) return
    await this.#uploads.drop(upload)
    const body = `<CompleteMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${escapeXml(key)}</Key><ETag>${escapeXml(etag)}</ETag></CompleteMultipartUploadResult>`
    return send(ex, 200, xml, body)
  }

  async #readDocument(ex: Exchange, payloadHash: string): Promise<string | undefined> {
    if (Number(header(ex, 'content-length')) > documentMaxBytes) {
      await sendError(ex, 400, 'MalformedXML', 'The XML you provided is too long.')
      return undefined
    }
    const spool = this.#options.store.spoolPath()
    if (!(await receiveChecked(ex, spool, payloadHash))) return undefined
    const text = await readFile(spool, 'utf8')
    await rm(spool, { force: true })
    return text
  }

  async #abort(ex: Exchange, bucket: string, key: string, id: string): Promise<void> {
    const upload: Upload | undefined = this.#uploads.find(id, bucket, key)
    if (!upload) return this.#noUpload(ex)
    await this.#uploads.drop(upload)
    return send(ex, 204, xml)
  }

  #noBucket(ex: Exchange): Promise<void> {
    return sendError(ex, 404, 'NoSuchBucket', 'The specified bucket does not exist.')
  }

  #noUpload(ex: Exchange): Promise<void> {
    return sendError(ex, 404, 'NoSuchUpload', 'The specified multipart upload does not exist.')
  }
}
