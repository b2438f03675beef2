/**
 * An S3 bucket, made for Cloudflare R2: SigV4 by aws4fetch, region `auto`, path-style. R2 takes one write a second for each
 * key and answers 429 to more; immutable names are written with If-None-Match, so that nothing is ever replaced.
 */
import { createHash } from 'node:crypto'
import { AwsV4Signer } from 'aws4fetch'
import type { Clock } from '../../node/ports.ts'
import { type Answer, type Exchange, ExchangeError, exchange } from '../http/exchange.ts'
import type { Sleep } from '../http/sleep.ts'
import { PublishError } from './publish-error.ts'
import { type PublishFile, sha256Hex } from './publish-file.ts'
import type { PublishRecord } from './publish-record.ts'
import type { PublishTarget } from './target.ts'

export interface S3Options {
  readonly name?: string
  /** `https://<account>.r2.cloudflarestorage.com` */
  readonly endpoint: string
  readonly bucket: string
  /** Put before every path, without slashes at its ends; empty for none. */
  readonly prefix?: string
  readonly region?: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** R2 honours If-None-Match; a few S3 servers (OpenStack Swift) do not know it. */
  readonly conditionalWrites?: boolean
  readonly record: PublishRecord
  readonly clock: Clock
  readonly sleep: Sleep
}

const WRITE_EVERY_MS = 1_000
const ANSWER_BYTES_MAX = 64 * 1024
/** Larger single PUTs are refused by R2 (about 4.995 GiB); ours are small files. */
const OBJECT_BYTES_MAX = 256 * 1024 * 1024

export function createS3Target(options: S3Options): PublishTarget {
  const { name = 's3', record, clock, sleep } = options
  const writtenAtMs = new Map<string, number>()

  async function put(file: PublishFile, signal: AbortSignal | undefined): Promise<void> {
    if (file.bytes.length > OBJECT_BYTES_MAX)
      throw new PublishError('too-large', `${file.path} is too large for ${name}`)
    const last = writtenAtMs.get(file.path)
    if (last !== undefined) await sleep(Math.max(0, last + WRITE_EVERY_MS - clock.monotonicMs()), signal)
    const md5 = createHash('md5').update(file.bytes).digest()
    const conditional = !file.mutable && options.conditionalWrites !== false
    const headers = {
      'content-type': file.contentType,
      'content-md5': md5.toString('base64'),
      'cache-control': file.mutable ? 'public, max-age=60' : 'public, max-age=31536000, immutable',
      'x-amz-content-sha256': sha256Hex(file.bytes),
      ...(conditional ? { 'if-none-match': '*' } : {}),
    }
    const answer = await send(() => sign('PUT', file.path, headers, file.bytes), signal)
    writtenAtMs.set(file.path, clock.monotonicMs())
    if (answer.status >= 200 && answer.status < 300) return
    // In a race R2 answers 412 to some and 429 to others: look at what is there in both cases.
    if (conditional && (answer.status === 412 || answer.status === 429) && (await holds(file, md5, signal)))
      return
    throw failure(answer, file.path)
  }

  async function holds(file: PublishFile, md5: Buffer, signal: AbortSignal | undefined): Promise<boolean> {
    const answer = await send(
      () => sign('HEAD', file.path, { 'x-amz-content-sha256': sha256Hex(new Uint8Array()) }),
      signal,
    )
    // The ETag of a single PUT is its MD5 (R2, S3).
    return answer.status === 200 && answer.headers.get('etag')?.replaceAll('"', '') === md5.toString('hex')
  }

  async function sign(
    method: 'PUT' | 'HEAD',
    path: string,
    headers: Record<string, string>,
    body?: Uint8Array,
  ): Promise<Exchange> {
    const key = [options.bucket, options.prefix ?? '', path].filter((part) => part !== '').join('/')
    const signer = new AwsV4Signer({
      method,
      url: new URL(`/${key.split('/').map(encodeURIComponent).join('/')}`, options.endpoint).href,
      headers,
      accessKeyId: options.accessKeyId,
      secretAccessKey: options.secretAccessKey,
      service: 's3',
      region: options.region ?? 'auto',
      datetime: new Date(clock.wallMs()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    })
    const signed = await signer.sign()
    return {
      method,
      url: signed.url.href,
      headers: Object.fromEntries(signed.headers),
      ...(body === undefined ? {} : { body }),
    }
  }

  async function send(make: () => Promise<Exchange>, signal: AbortSignal | undefined): Promise<Answer> {
    try {
      return await exchange(make, {
        sleep,
        answerBytesMax: ANSWER_BYTES_MAX,
        pauseMs: WRITE_EVERY_MS,
        signal,
      })
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error
      throw new PublishError(
        error.code === 'too-large' ? 'server' : error.code,
        `${name}: ${error.message}`,
        { cause: error },
      )
    }
  }

  function failure(answer: Answer, path: string): PublishError {
    const said = s3Code(answer)
    const what = `${name} answered ${answer.status}${said === '' ? '' : ` ${said}`} to ${path}`
    if (answer.status === 401) return new PublishError('unauthorized', what)
    if (answer.status === 403)
      return new PublishError('forbidden', `${what}: wrong keys, or no right to write here`)
    if (answer.status === 404)
      return new PublishError('not-found', `${what}: is the bucket ${options.bucket} there?`)
    if (answer.status === 412)
      return new PublishError('conflict', `${what}: other bytes lie under this immutable name`)
    if (answer.status === 413) return new PublishError('too-large', what)
    if (answer.status === 429 || answer.status === 503) return new PublishError('busy', what)
    return new PublishError(answer.status >= 500 ? 'server' : 'rejected', what)
  }

  return {
    name,
    async publish(files, signal) {
      let written = 0
      let skipped = 0
      try {
        for (const file of files.values()) {
          if (signal?.aborted === true) throw new PublishError('aborted', `publishing to ${name} was stopped`)
          const sha256 = sha256Hex(file.bytes)
          if (record.sha256Of(file.path) === sha256) skipped++
          else {
            await put(file, signal)
            record.remember(file.path, sha256)
            written++
          }
        }
      } finally {
        await record.save()
      }
      return { written, skipped }
    },
  }
}

/** `<Code>AccessDenied</Code>` of an S3 error document: a word, safe to show. */
function s3Code(answer: Answer): string {
  return /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(Buffer.from(answer.body).toString('utf8'))?.[1] ?? ''
}
