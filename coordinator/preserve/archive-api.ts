/** The Internet Archive's doors, one call each: metadata, check_limit, PUT. What an answer means is decided here, once. */
import { record } from '../../protocol/codec/shape.ts'
import { type Answer, ExchangeError, exchange } from '../http/exchange.ts'
import type { Sleep } from '../http/sleep.ts'
import { ArchiveError } from './archive-error.ts'
import { type ItemState, readItemState } from './item-state.ts'
import { putFile } from './put-file.ts'

export interface ArchiveAccess {
  /** `https://s3.us.archive.org` */
  readonly s3Url: string
  /** `https://archive.org` */
  readonly siteUrl: string
  readonly accessKey: string
  readonly secretKey: string
  /** With a way to reach us. */
  readonly userAgent: string
  readonly sleep: Sleep
  readonly idleMs?: number
  readonly continueMs?: number
}

export interface Upload {
  readonly item: string
  readonly key: string
  readonly path: string
  readonly sizeBytes: number
  /** Hex, as this door wants it; S3 proper wants base64. */
  readonly md5: string
  readonly headers: Readonly<Record<string, string>>
  readonly onBytes?: ((count: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** `accepted` means queued, not yet visible. `slow-down` and `broken` may be tried again. */
export type UploadOutcome =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'slow-down' | 'broken' | 'bad-digest'; readonly detail: string }

const METADATA_BYTES_MAX = 64 * 1024 * 1024
const LIMIT_BYTES_MAX = 64 * 1024

export class ArchiveApi {
  readonly #access: ArchiveAccess
  constructor(access: ArchiveAccess) {
    this.#access = access
  }

  /** ArchiveError `network`, `bad-answer`, `aborted`. */
  async state(item: string, signal?: AbortSignal): Promise<ItemState> {
    const answer = await this.#get(`${this.#access.siteUrl}/metadata/${item}`, METADATA_BYTES_MAX, signal)
    if (answer.status !== 200)
      throw new ArchiveError('bad-answer', `the metadata of ${item} answered ${answer.status}`)
    return readItemState(item, answer.body)
  }

  /** True when uploads would be refused now. It does not notice a full item. */
  async isOverLimit(item: string, signal?: AbortSignal): Promise<boolean> {
    const query = new URLSearchParams({ check_limit: '1', accesskey: this.#access.accessKey, bucket: item })
    const answer = await this.#get(`${this.#access.s3Url}/?${query}`, LIMIT_BYTES_MAX, signal)
    // A door that cannot even say this is not one to push through.
    if (answer.status !== 200) return true
    try {
      return record(JSON.parse(Buffer.from(answer.body).toString('utf8')), 'check_limit').over_limit !== 0
    } catch (error) {
      throw new ArchiveError('bad-answer', 'check_limit cannot be read', { cause: error })
    }
  }

  /** ArchiveError `unauthorized`, `forbidden`, `too-large`, `refused`, `disk`, `aborted`. */
  async upload(upload: Upload): Promise<UploadOutcome> {
    const { accessKey, secretKey, userAgent, idleMs = 120_000, continueMs = 10_000 } = this.#access
    const key = upload.key.split('/').map(encodeURIComponent).join('/')
    try {
      const { status, body } = await putFile({
        url: `${this.#access.s3Url}/${upload.item}/${key}`,
        headers: {
          ...upload.headers,
          authorization: `LOW ${accessKey}:${secretKey}`,
          'content-md5': upload.md5,
          'user-agent': userAgent,
          // Dumps need no derived files.
          'x-archive-queue-derive': '0',
        },
        path: upload.path,
        sizeBytes: upload.sizeBytes,
        idleMs,
        continueMs,
        onBytes: upload.onBytes,
        signal: upload.signal,
      })
      if (status >= 200 && status < 300) return { kind: 'accepted' }
      return this.#meaning(status, body, upload.key)
    } catch (error) {
      if (error instanceof ArchiveError && error.code === 'network')
        return { kind: 'broken', detail: error.message }
      throw error
    }
  }

  #meaning(status: number, body: string, key: string): UploadOutcome {
    const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(body)?.[1] ?? ''
    const message = this.#withoutSecrets(/<Message>([^<]{0,300})/.exec(body)?.[1] ?? '')
    const detail = `the archive answered ${status} ${code} to ${key}${message === '' ? '' : `: ${message}`}`
    if (/appears to be spam/i.test(body)) throw new ArchiveError('refused', detail)
    if (status === 503 || status === 429) return { kind: 'slow-down', detail }
    if (status >= 500) return { kind: 'broken', detail }
    if (code === 'BadDigest') return { kind: 'bad-digest', detail }
    if (status === 401 || code === 'InvalidAccessKeyId' || code === 'SignatureDoesNotMatch') {
      throw new ArchiveError('unauthorized', `${detail}; the keys are wrong`)
    }
    if (/over the per item size limit/.test(body)) throw new ArchiveError('too-large', detail)
    throw new ArchiveError(status === 403 ? 'forbidden' : 'refused', detail)
  }

  #withoutSecrets(text: string): string {
    return text.replaceAll(this.#access.secretKey, '***').replaceAll(this.#access.accessKey, '***')
  }

  async #get(url: string, answerBytesMax: number, signal: AbortSignal | undefined): Promise<Answer> {
    const headers = { 'user-agent': this.#access.userAgent, accept: 'application/json' }
    try {
      const options = { sleep: this.#access.sleep, answerBytesMax, signal }
      return await exchange(() => ({ method: 'GET', url, headers }), options)
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error
      throw new ArchiveError(error.code === 'too-large' ? 'bad-answer' : error.code, error.message, {
        cause: error,
      })
    }
  }
}
