/**
 * One GitHub Gist as a second, small place: manifest.json while it is under the API's 1 MB a file, else a signed pointer to it,
 * and the feed. Created once, then patched; every patch is a commit, so unchanged files are not sent.
 */

import { record as shapeOf } from '../../protocol/codec/shape.ts'
import { type Answer, type Exchange, ExchangeError, exchange } from '../http/exchange.ts'
import type { Sleep } from '../http/sleep.ts'
import { PublishError } from './publish-error.ts'
import { type Publication, sha256Hex } from './publish-file.ts'
import type { PublishRecord } from './publish-record.ts'
import type { PublishTarget } from './target.ts'

export interface GistOptions {
  readonly name?: string
  /** `https://api.github.com` */
  readonly apiUrl?: string
  /** Needs the scope `gist`. Never logged. */
  readonly token: string
  readonly description: string
  readonly isPublic?: boolean
  /** Where manifest.json lies when it is too large for a gist, with `/` at its end. */
  readonly publicUrl: string | null
  readonly record: PublishRecord
  readonly sleep: Sleep
}

/** Above it the API truncates what it shows. */
const FILE_BYTES_MAX = 1_000_000
const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const ID_NOTE = 'gist-id'
const POINTER = 'manifest-pointer.json'

export function createGistTarget(options: GistOptions): PublishTarget {
  const { name = 'gist', record, sleep } = options
  const apiUrl = (options.apiUrl ?? 'https://api.github.com').replace(/\/+$/, '')
  const headers = {
    accept: 'application/vnd.github+json',
    'content-type': 'application/json',
    'x-github-api-version': '2022-11-28',
    'user-agent': 'wikiseed',
    authorization: `Bearer ${options.token}`,
  }

  async function send(
    method: 'POST' | 'PATCH',
    path: string,
    body: object,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const out: Exchange = {
      method,
      url: `${apiUrl}${path}`,
      headers,
      body: Buffer.from(JSON.stringify(body)),
    }
    try {
      return await exchange(() => out, {
        sleep,
        answerBytesMax: ANSWER_BYTES_MAX,
        pauseMs: 2_000,
        // A created gist cannot be told from a lost answer, so creating is tried again only when it was refused.
        idempotent: method === 'PATCH',
        isBusy: isLimited,
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

  return {
    name,
    async publish(files, signal) {
      const wanted = gistFiles(files, options.publicUrl)
      const id = record.note(ID_NOTE)
      const changed = [...wanted].filter(
        ([path, content]) => id === null || record.sha256Of(path) !== sha(content),
      )
      const gone = [POINTER, 'manifest.json', 'manifest.json.minisig'].filter(
        (path) => id !== null && !wanted.has(path) && (record.sha256Of(path) ?? '') !== '',
      )
      if (changed.length === 0 && gone.length === 0) return { written: 0, skipped: wanted.size }
      const contents = {
        ...Object.fromEntries(changed.map(([path, content]) => [path, { content }])),
        ...Object.fromEntries(gone.map((path) => [path, null])),
      }
      const { description } = options
      const answer =
        id === null
          ? await send(
              'POST',
              '/gists',
              { description, public: options.isPublic ?? true, files: contents },
              signal,
            )
          : await send('PATCH', `/gists/${id}`, { description, files: contents }, signal)
      if (answer.status !== 200 && answer.status !== 201) throw failure(name, answer, id)
      if (id === null) record.setNote(ID_NOTE, createdId(name, answer))
      for (const [path, content] of changed) record.remember(path, sha(content))
      for (const path of gone) record.remember(path, '')
      await record.save()
      return { written: changed.length, skipped: wanted.size - changed.length }
    },
  }
}

/** The files that go into the gist, as text. */
function gistFiles(files: Publication, publicUrl: string | null): Map<string, string> {
  const bytesOf = (path: string): Uint8Array => {
    const file = files.get(path)
    if (file === undefined) throw new TypeError(`the publication has no ${path}`)
    return file.bytes
  }
  const text = (path: string) => Buffer.from(bytesOf(path)).toString('utf8')
  const manifest = bytesOf('manifest.json')
  const signature = ['manifest.json.minisig', text('manifest.json.minisig')] as const
  const feed = ['feed.xml', text('feed.xml')] as const
  if (manifest.length < FILE_BYTES_MAX)
    return new Map([['manifest.json', text('manifest.json')], signature, feed])
  const pointer = {
    url: publicUrl === null ? null : `${publicUrl}manifest.json`,
    sizeBytes: manifest.length,
    sha256: sha256Hex(manifest),
  }
  return new Map([[POINTER, `${JSON.stringify(pointer, null, 1)}\n`], signature, feed])
}

/** GitHub's rate limits answer 403 as well as 429. */
function isLimited(answer: Answer): boolean {
  const exhausted = answer.headers.get('x-ratelimit-remaining') === '0'
  return answer.status === 403 && (exhausted || answer.headers.has('retry-after'))
}

function createdId(name: string, answer: Answer): string {
  let id: unknown
  try {
    id = shapeOf(JSON.parse(Buffer.from(answer.body).toString('utf8')), 'gist').id
  } catch {
    id = undefined
  }
  if (typeof id !== 'string' || !/^[0-9a-zA-Z]{1,64}$/.test(id)) {
    throw new PublishError('server', `${name} created a gist without an id`)
  }
  return id
}

function failure(name: string, answer: Answer, id: string | null): PublishError {
  const what = `${name} answered ${answer.status}`
  switch (answer.status) {
    case 401:
      return new PublishError('unauthorized', `${what}: the token is wrong or has expired`)
    case 403:
    case 429:
      return answer.status === 429 || isLimited(answer)
        ? new PublishError('busy', `${what}: the rate limit is used up`)
        : new PublishError('forbidden', what)
    case 404:
      // GitHub hides a missing scope behind 404 (facts: never 403).
      return new PublishError(
        'not-found',
        id === null
          ? `${what}: the token lacks the scope "gist"`
          : `${what}: the gist ${id} is gone or another's, or the token lacks the scope "gist"`,
      )
    case 422:
      return new PublishError('rejected', `${what}: the files were refused`)
    default:
      return new PublishError(answer.status >= 500 ? 'server' : 'rejected', what)
  }
}

function sha(content: string): string {
  return sha256Hex(Buffer.from(content))
}
