// api.github.com/gists in small, and the raw addresses of gist.githubusercontent.com.
import { createHash } from 'node:crypto'
import {
  type Exchange,
  type Headers,
  header,
  noteFault,
  pathSegments,
  receiveBytes,
  send,
} from '../exchange.ts'
import type { Faults } from '../faults.ts'
import { type Fields, readFields } from './fields.ts'
import { type Addresses, gistJson, typeOf } from './shapes.ts'
import { blobSha, type Gist, type GistStore } from './store.ts'

export type GistOptions = {
  store: GistStore
  token: string
  login: string
  faults: Faults
  now: () => number
  hourlyLimit: number | undefined
}

const bodyMaxBytes = 64 * 2 ** 20
const hourMs = 3_600_000
const anonymousLimit = 60
const tokenLimit = 5000
const docs = 'https://docs.github.com/rest/gists/gists'

export class GistApi {
  readonly #options: GistOptions
  readonly #used = { token: 0, anonymous: 0 }
  #windowEndsMs: number

  constructor(options: GistOptions) {
    this.#options = options
    this.#windowEndsMs = options.now() + hourMs
  }

  async handle(ex: Exchange): Promise<void> {
    const segments = pathSegments(ex.rawPath) ?? []
    if (segments[2] === 'raw') return this.#raw(ex, segments)
    if (ex.userAgent === '') {
      return send(
        ex,
        403,
        { 'content-type': 'text/html' },
        'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.\n',
      )
    }
    const who = this.#who(ex)
    if (who === 'bad')
      return this.#json(
        ex,
        'anonymous',
        401,
        problem('Bad credentials', '401', 'https://docs.github.com/rest'),
      )
    if (this.#spend(who)) return this.#json(ex, who, 403, problem('API rate limit exceeded', '403', docs))
    if (ex.dice.hits('gistError', `${ex.method} ${ex.rawPath}`, this.#options.faults.gistErrorRate))
      return this.#fail(ex, who)
    const [door, id, version, ...more] = segments
    if (door !== 'gists' || more.length > 0) return this.#notFound(ex, who)
    if (id === undefined || id === '') return this.#collection(ex, who)
    const gist = this.#options.store.get(id)
    if (!gist) return this.#notFound(ex, who)
    if (ex.method === 'GET' || ex.method === 'HEAD') {
      const revision =
        version === undefined ? gist.revisions[0] : gist.revisions.find((row) => row.version === version)
      return revision
        ? this.#json(ex, who, 200, gistJson(gist, this.#addresses(ex), revision))
        : this.#notFound(ex, who)
    }
    // Without the right to write, GitHub does not tell whether the gist exists.
    if (who !== 'token' || version !== undefined) return this.#notFound(ex, who)
    if (ex.method === 'PATCH') return this.#change(ex, who, gist)
    if (ex.method !== 'DELETE') return this.#notFound(ex, who)
    await this.#options.store.delete(gist.id)
    return send(ex, 204, this.#headers(who))
  }

  async #collection(ex: Exchange, who: 'token' | 'anonymous'): Promise<void> {
    if (ex.method === 'GET') {
      const gists = this.#options.store.all().filter((gist) => who === 'token' || gist.public)
      const rows = gists.slice(0, 30).map((gist) => {
        const { history: _history, forks: _forks, ...row } = gistJson(gist, this.#addresses(ex))
        return row
      })
      return this.#json(ex, who, 200, rows)
    }
    if (ex.method !== 'POST') return this.#notFound(ex, who)
    if (who !== 'token') return this.#json(ex, who, 401, problem('Requires authentication', '401', docs))
    const fields = await this.#fields(ex, who)
    if (!fields) return
    const files: Record<string, string> = {}
    for (const [name, change] of Object.entries(fields.files ?? {})) {
      if (change?.content) files[change.filename ?? name] = change.content
    }
    if (Object.keys(files).length === 0) return this.#invalid(ex, who, 'files', 'missing_field')
    const at = this.#at()
    const gist = await this.#options.store.create(
      fields.description ?? null,
      fields.public === true,
      files,
      at,
    )
    const addresses = this.#addresses(ex)
    return this.#json(ex, who, 201, gistJson(gist, addresses), {
      location: `${addresses.api}/gists/${gist.id}`,
    })
  }

  /** `files[name]: null` deletes, `filename` renames; what is not named stays. */
  async #change(ex: Exchange, who: 'token', gist: Gist): Promise<void> {
    const fields = await this.#fields(ex, who)
    if (!fields) return
    if (fields.files === undefined && fields.description === undefined)
      return this.#invalid(ex, who, 'files', 'missing_field')
    const files = { ...gist.revisions[0]?.files }
    for (const [name, change] of Object.entries(fields.files ?? {})) {
      const before = files[name]
      delete files[name]
      if (change === null || change.filename === null) continue
      const content = change.content ?? before
      if (content === undefined || content === '') return this.#invalid(ex, who, 'files', 'missing_field')
      files[change.filename ?? name] = content
    }
    if (Object.keys(files).length === 0) return this.#invalid(ex, who, 'files', 'missing_field')
    await this.#options.store.change(gist, fields.description ?? gist.description, files, this.#at())
    return this.#json(ex, who, 200, gistJson(gist, this.#addresses(ex)))
  }

  /** `/<login>/<id>/raw/<blob or commit>/<file>` for good, `/<login>/<id>/raw/<file>` for the newest. */
  async #raw(ex: Exchange, [login, id = '', , ...rest]: string[]): Promise<void> {
    const gist = this.#options.store.get(id)
    const [sha, ...nameAfterSha] = rest
    const fixed = rest.length > 1 && /^[0-9a-f]{40}$/.test(sha ?? '')
    const name = (fixed ? nameAfterSha : rest).join('/')
    const revisions = fixed ? (gist?.revisions ?? []) : (gist?.revisions.slice(0, 1) ?? [])
    const found = revisions
      .filter((row) => Object.hasOwn(row.files, name))
      .find((row) => !fixed || row.version === sha || blobSha(row.files[name] ?? '') === sha)
    const content = found?.files[name]
    if (
      login !== this.#options.login ||
      content === undefined ||
      (ex.method !== 'GET' && ex.method !== 'HEAD')
    ) {
      return send(ex, 404, { 'content-type': 'text/plain' }, '404: Not Found')
    }
    const type = typeOf(name) === 'text/plain' ? 'text/plain; charset=utf-8' : typeOf(name)
    return send(
      ex,
      200,
      { 'content-type': type, etag: etagOf(content), 'cache-control': 'max-age=300' },
      content,
    )
  }

  async #fields(ex: Exchange, who: 'token'): Promise<Fields | undefined> {
    const body = await receiveBytes(ex, bodyMaxBytes)
    let value: unknown
    try {
      value = JSON.parse(body?.toString('utf8') ?? '')
    } catch {
      await this.#json(ex, who, 400, problem('Problems parsing JSON', '400', docs))
      return undefined
    }
    const fields = readFields(value)
    if (!fields) await this.#invalid(ex, who, 'files', 'invalid')
    return fields
  }

  #invalid(ex: Exchange, who: 'token', field: string, code: string): Promise<void> {
    const errors = [{ resource: 'Gist', code, field }]
    return this.#json(ex, who, 422, {
      message: 'Validation Failed',
      errors,
      documentation_url: docs,
      status: '422',
    })
  }

  #notFound(ex: Exchange, who: 'token' | 'anonymous'): Promise<void> {
    return this.#json(ex, who, 404, problem('Not Found', '404', docs))
  }

  #fail(ex: Exchange, who: 'token' | 'anonymous'): Promise<void> {
    noteFault(ex, 'error')
    if (ex.dice.draw('gistErrorKind', ex.rawPath) < 0.5)
      return this.#json(ex, who, 502, { message: 'Server Error' })
    const text = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.'
    const more = { 'retry-after': this.#options.faults.retryAfterSeconds }
    return this.#json(ex, who, 403, problem(text, '403', docs), more)
  }

  /** Sends JSON with an ETag. A 304 to a token's holder costs nothing of the limit. */
  #json(
    ex: Exchange,
    who: 'token' | 'anonymous',
    status: number,
    value: unknown,
    more: Headers = {},
  ): Promise<void> {
    const text = JSON.stringify(value)
    const etag = etagOf(text)
    const known = (header(ex, 'if-none-match') ?? '')
      .split(',')
      .some((tag) => tag.trim().replace(/^W\//, '') === etag)
    if (known && status === 200 && ex.method === 'GET') {
      if (who === 'token') this.#used.token -= 1
      return send(ex, 304, { ...this.#headers(who), etag })
    }
    const type = { 'content-type': 'application/json; charset=utf-8' }
    return send(
      ex,
      status,
      { ...this.#headers(who), ...type, ...(status < 300 ? { etag } : {}), ...more },
      text,
    )
  }

  #headers(who: 'token' | 'anonymous'): Headers {
    const limit = this.#limit(who)
    return {
      server: 'github.com',
      'x-github-media-type': 'github.v3; format=json',
      'x-ratelimit-limit': limit,
      'x-ratelimit-remaining': Math.max(0, limit - this.#used[who]),
      'x-ratelimit-used': this.#used[who],
      'x-ratelimit-reset': Math.ceil(this.#windowEndsMs / 1000),
      'x-ratelimit-resource': 'core',
      ...(who === 'token' ? { 'x-oauth-scopes': 'gist' } : {}),
    }
  }

  /** True when the limit is used up. */
  #spend(who: 'token' | 'anonymous'): boolean {
    const nowMs = this.#options.now()
    if (nowMs >= this.#windowEndsMs) {
      this.#used.token = 0
      this.#used.anonymous = 0
      this.#windowEndsMs = nowMs + hourMs
    }
    if (this.#used[who] >= this.#limit(who)) return true
    this.#used[who] += 1
    return false
  }

  #limit(who: 'token' | 'anonymous'): number {
    return who === 'token' ? (this.#options.hourlyLimit ?? tokenLimit) : anonymousLimit
  }

  #who(ex: Exchange): 'token' | 'anonymous' | 'bad' {
    const authorization = header(ex, 'authorization')
    if (authorization === undefined) return 'anonymous'
    return /^(?:bearer|token) (.+)$/i.exec(authorization)?.[1] === this.#options.token ? 'token' : 'bad'
  }

  #addresses(ex: Exchange): Addresses {
    const { login } = this.#options
    if (!ex.proxied) return { api: ex.origin, raw: ex.origin, login }
    return { api: 'http://api.github.com', raw: 'http://gist.githubusercontent.com', login }
  }

  #at(): string {
    return `${new Date(this.#options.now()).toISOString().slice(0, 19)}Z`
  }
}

function problem(message: string, status: string, url: string): Record<string, string> {
  return { message, documentation_url: url, status }
}

function etagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('hex')}"`
}
