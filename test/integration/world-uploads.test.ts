// Longer than 300 lines: the three services that take uploads, with what each of them refuses.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { afterEach, describe, expect, it } from 'vitest'
import { startWorld, testCredentials, type World, type WorldOptions } from '../world/world.ts'
import { getJson, makeDumps, noise, raw, temporaryFolder } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function aWorld(options: Partial<WorldOptions> = {}): Promise<World> {
  const dumps = await makeDumps({})
  const world = await startWorld({ dumps, ...options })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close)
  return world
}

const hex = (algorithm: string, bytes: Uint8Array | string) =>
  createHash(algorithm).update(bytes).digest('hex')
const sha256 = (bytes: Uint8Array | string) => hex('sha256', bytes)

describe('the world’s Internet Archive', () => {
  const { accessKey, secretKey } = testCredentials.archive
  const lagMs = 60_000

  /** A world whose clock the test moves. */
  async function clockedWorld(options: Partial<WorldOptions> = {}) {
    const clock = { ms: Date.UTC(2026, 0, 2) }
    const world = await aWorld({ archiveLagMs: lagMs, now: () => clock.ms, ...options })
    const put = (path: string, body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
      fetch(`${world.urls.archiveS3}/${path}`, {
        method: 'PUT',
        body,
        headers: {
          authorization: `LOW ${accessKey}:${secretKey}`,
          'x-archive-auto-make-bucket': '1',
          ...headers,
        },
      })
    const metadata = (path: string) => getJson(`${world.urls.archive}/metadata/${path}`)
    return { world, clock, put, metadata }
  }
  const bytes = Uint8Array.from(noise(5000))

  it('accepts an upload at once and shows it only when its task has run', async () => {
    const { world, clock, put, metadata } = await clockedWorld()
    const headers = {
      'x-archive-meta-mediatype': 'web',
      'x-archive-meta01-subject': 'dumps',
      'x-archive-meta00-subject': 'wiki',
      'x-archive-meta-license--url': 'https://example.org/cc',
      'x-archive-meta-title': 'uri(Pr%C3%BCfung%20a_b)',
      'content-md5': hex('md5', bytes),
    }
    expect((await put('an-item/sub/a%20file.bin', bytes, headers)).status).toBe(200)
    expect(await metadata('an-item')).toEqual({})
    clock.ms += lagMs + 1
    const item = (await metadata('an-item')) as {
      files: { name: string }[]
      item_size: number
      files_count: number
    }
    expect(item).toMatchObject({
      dir: '/0/items/an-item',
      files_count: 3,
      metadata: {
        identifier: 'an-item',
        mediatype: 'web',
        collection: 'opensource',
        subject: ['wiki', 'dumps'],
        license_url: 'https://example.org/cc',
        title: 'Prüfung a_b',
      },
    })
    expect(item.files[0]).toEqual({
      name: 'sub/a file.bin',
      source: 'original',
      format: 'Unknown',
      mtime: String(Date.UTC(2026, 0, 2) / 1000),
      size: '5000',
      md5: hex('md5', bytes),
      crc32: expect.stringMatching(/^[0-9a-f]{8}$/),
      sha1: hex('sha1', bytes),
    })
    expect(item.files.map(({ name }) => name).slice(1)).toEqual(['an-item_meta.xml', 'an-item_files.xml'])
    expect(item.files[2]).not.toHaveProperty('sha1')
    expect(await metadata('an-item/files?start=0&count=1')).toEqual({ result: [item.files[0]] })
    expect(await metadata('an-item/metadata/mediatype')).toEqual({ result: 'web' })
    const kept = readFileSync(join(world.state, 'archive/an-item/files/sub/a file.bin'))
    expect(sha256(kept)).toBe(sha256(bytes))
  })

  it('gives a file by way of a redirect to a node, with ranges', async () => {
    const { world, clock, put } = await clockedWorld()
    await put('an-item/f.bin', bytes)
    const address = `${world.urls.archive}/download/an-item/f.bin`
    expect((await fetch(address)).status).toBe(404)
    clock.ms += lagMs + 1
    const redirect = await fetch(address, { redirect: 'manual' })
    expect([redirect.status, redirect.headers.get('location')]).toEqual([
      302,
      `${world.urls.archive}/0/items/an-item/f.bin`,
    ])
    const part = await fetch(address, { headers: { range: 'bytes=10-19' } })
    expect(part.status).toBe(206)
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(bytes.slice(10, 20))
  })

  it('refuses wrong keys, a wrong MD5, a missing length, a missing item and a bad name', async () => {
    const { world, clock, put, metadata } = await clockedWorld()
    const refusal = async (path: string, headers: Record<string, string>) => {
      const res = await put(path, bytes, headers)
      return [res.status, /<Code>(\w+)</.exec(await res.text())?.[1]]
    }
    expect(await refusal('an-item/f', { authorization: `LOW nobody:${secretKey}` })).toEqual([
      403,
      'InvalidAccessKeyId',
    ])
    expect(await refusal('an-item/f', { authorization: `LOW ${accessKey}:x` })).toEqual([
      403,
      'SignatureDoesNotMatch',
    ])
    expect(await refusal('an-item/f', { authorization: 'Basic eA==' })).toEqual([403, 'AccessDenied'])
    expect(await refusal('an-item/f', { 'content-md5': hex('md5', 'x') })).toEqual([400, 'BadDigest'])
    expect(await refusal('an-item/f', { 'x-archive-auto-make-bucket': '0' })).toEqual([404, 'NoSuchBucket'])
    expect(await refusal('-item/f', {})).toEqual([400, 'InvalidBucketName'])
    expect(await refusal('an-item/f', { 'x-archive-meta-collection': 'wikimediadownloads' })).toEqual([
      403,
      'AccessDenied',
    ])
    const authorization = `LOW ${accessKey}:${secretKey}`
    const chunked = await raw(world.urls.archiveS3, {
      method: 'PUT',
      target: '/an-item/f',
      headers: { authorization, 'x-archive-auto-make-bucket': '1' },
      body: Buffer.from(bytes),
      chunked: true,
    })
    expect(chunked.status).toBe(411)
    const headers = { authorization, 'x-archive-auto-make-bucket': '1' }
    for (const target of [
      '/an-item/a/%2e%2e/f',
      '/an-item/../../f',
      '/an-item/a//f',
      '/an-item/an-item_meta.xml',
    ]) {
      const dotted = await raw(world.urls.archiveS3, {
        method: 'PUT',
        target,
        headers,
        body: Buffer.from(bytes),
      })
      expect([target, dotted.status]).toEqual([target, 400])
    }
    clock.ms += lagMs + 1
    expect(await metadata('an-item')).toEqual({})
  })

  it('keeps the metadata of the first upload, and an old file where that is asked for', async () => {
    const { clock, put, metadata } = await clockedWorld()
    await put('an-item/f', bytes, { 'x-archive-meta-title': 'first' })
    await put('an-item/f', bytes.slice(1), {
      'x-archive-meta-title': 'second',
      'x-archive-keep-old-version': '1',
    })
    clock.ms += lagMs + 1
    const item = (await metadata('an-item')) as { files: { name: string; size?: string }[] }
    expect(item).toMatchObject({ metadata: { title: 'first' } })
    expect(item.files.map(({ name, size }) => [name, size]).slice(0, 2)).toEqual([
      ['history/files/f.~1~', '5000'],
      ['f', '4999'],
    ])
    await put('an-item/g', bytes, {
      'x-archive-meta-title': 'third',
      'x-archive-ignore-preexisting-bucket': '1',
    })
    clock.ms += lagMs + 1
    expect(await metadata('an-item')).toMatchObject({ metadata: { title: 'third' } })
  })

  it('says SlowDown in its own words, and check_limit says so too', async () => {
    const { world, put } = await clockedWorld({ faults: { archive503Rate: 1, burstLength: 2 } })
    const limit = () => getJson(`${world.urls.archiveS3}/?check_limit=1&accesskey=k&bucket=an-item`)
    expect(await limit()).toMatchObject({
      over_limit: 0,
      bucket: 'an-item',
      detail: { bucket_tasks_queued: 0 },
    })
    const slow = await put('an-item/f', bytes)
    expect(slow.status).toBe(503)
    expect(await slow.text()).toContain(
      '<Code>SlowDown</Code><Message>Please reduce your request rate.</Message>',
    )
    expect(await limit()).toMatchObject({ over_limit: 1 })
    world.faults.archive503Rate = 0
    expect((await put('an-item/f', bytes)).status).toBe(200)
    expect(await limit()).toMatchObject({ over_limit: 0, detail: { bucket_tasks_queued: 2 } })
  })

  it('cuts an upload half way when told to, and keeps nothing of it', async () => {
    const { world, put } = await clockedWorld({ faults: { archiveCutRate: 1 } })
    await expect(put('an-item/f', Uint8Array.from(noise(3_000_000)))).rejects.toThrow()
    expect(world.log.at(-1)).toMatchObject({ status: 0, cut: true })
    world.faults.archiveCutRate = 0
    expect(
      await getJson(`${world.urls.archive}/services/check_identifier.php?output=json&identifier=an-item`),
    ).toMatchObject({ code: 'available' })
  })

  it('goes on with its queue after a restart on the same folder', async () => {
    const state = await temporaryFolder()
    cleanups.push(() => rm(state, { recursive: true }))
    const first = await clockedWorld({ state })
    await first.put('an-item/f', bytes)
    await first.world.close()
    const second = await clockedWorld({ state })
    expect(await second.metadata('an-item')).toEqual({})
    second.clock.ms += lagMs + 1
    expect(await second.metadata('an-item')).toMatchObject({ files_count: 3 })
  })
})

describe('the world’s R2', () => {
  const { accessKeyId, secretAccessKey } = testCredentials.r2
  const body = Uint8Array.from(noise(3000))
  const code = async (res: Response) => [res.status, /<Code>(\w+)</.exec(await res.text())?.[1]]

  /** A world whose clock moves a second for each write, and an independent signer. */
  async function clockedR2(options: Partial<WorldOptions> = {}) {
    const clock = { ms: Date.now() }
    const world = await aWorld({ now: () => clock.ms, ...options })
    const signer = new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'auto', retries: 0 })
    const address = (key: string) => `${world.urls.r2}/${world.bucket}/${key}`
    const put = (key: string, content: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) => {
      clock.ms += 1001
      return signer.fetch(address(key), {
        method: 'PUT',
        body: content,
        headers: { 'x-amz-content-sha256': sha256(content), ...headers },
      })
    }
    return { clock, world, signer, address, put }
  }

  it('keeps an object with its headers and gives it back, signed or by its public address', async () => {
    const { world, signer, address, put } = await clockedR2()
    const headers = {
      'content-type': 'application/json',
      'cache-control': 'max-age=60',
      'x-amz-meta-note': 'n',
    }
    const written = await put('a/b c.json', body, headers)
    const etag = `"${hex('md5', body)}"`
    expect([written.status, written.headers.get('etag')]).toEqual([200, etag])
    for (const res of [
      await signer.fetch(address('a/b c.json')),
      await fetch(`${world.urls.r2Public}/${world.bucket}/a/b%20c.json`),
    ]) {
      expect(new Uint8Array(await res.arrayBuffer())).toEqual(body)
      expect(Object.fromEntries(res.headers)).toMatchObject({ ...headers, etag })
    }
    const part = await signer.fetch(address('a/b c.json'), { headers: { range: 'bytes=0-1' } })
    expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 2])
    expect(sha256(readFileSync(join(world.state, 'r2', world.bucket, 'a/b c.json')))).toBe(sha256(body))
    expect((await signer.fetch(address('a/b c.json'), { method: 'DELETE' })).status).toBe(204)
    expect(await code(await signer.fetch(address('a/b c.json')))).toEqual([404, 'NoSuchKey'])
  })

  it('refuses a wrong secret, an unknown key, an old date, a foreign region and an unsigned request', async () => {
    const { clock, signer, address } = await clockedR2()
    const as = (change: object) =>
      new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'auto', retries: 0, ...change })
    const key = address('x')
    expect(await code(await as({ secretAccessKey: 'wrong' }).fetch(key))).toEqual([
      403,
      'SignatureDoesNotMatch',
    ])
    expect(await code(await as({ accessKeyId: 'nobody' }).fetch(key))).toEqual([403, 'InvalidAccessKeyId'])
    expect(await code(await as({ region: 'mars' }).fetch(key))).toEqual([400, 'InvalidRegionName'])
    expect(await code(await as({ region: 'us-east-1' }).fetch(key))).toEqual([404, 'NoSuchKey'])
    expect(await code(await fetch(key))).toEqual([400, 'InvalidArgument'])
    clock.ms += 16 * 60_000
    expect(await code(await signer.fetch(key))).toEqual([403, 'RequestTimeTooSkewed'])
  })

  it('refuses a request that is not the one that was signed', async () => {
    const { world, signer, address } = await clockedR2()
    const signed = await signer.sign(address('x'), {
      method: 'PUT',
      body,
      headers: { 'x-amz-content-sha256': sha256(body) },
    })
    const headers = Object.fromEntries(signed.headers)
    const target = `/${world.bucket}/x`
    const send = async (change: { target?: string; body?: Buffer; headers?: Record<string, string> }) => {
      const sent = { method: 'PUT', target, body: Buffer.from(body), headers, ...change }
      return (await raw(world.urls.r2, sent)).status
    }
    expect(await send({ target: `${target}y` })).toBe(403)
    expect(await send({ target: `${target}?partNumber=1` })).toBe(403)
    expect(await send({ headers: { ...headers, 'x-amz-meta-new': '1' } })).toBe(403)
    expect(await send({ body: Buffer.from(body).fill(0, 5, 6) })).toBe(400)
    expect((await signer.fetch(address('x'))).status).toBe(404)
    expect(await send({})).toBe(200)
  })

  it('wants a length, and holds the body against Content-MD5', async () => {
    const { world, signer, address, put } = await clockedR2()
    const headers = Object.fromEntries((await signer.sign(address('x'), { method: 'PUT' })).headers)
    const chunked = await raw(world.urls.r2, {
      method: 'PUT',
      target: `/${world.bucket}/x`,
      headers,
      body: Buffer.from(body),
      chunked: true,
    })
    expect(chunked.status).toBe(411)
    const md5 = (bytes: Uint8Array | string) => createHash('md5').update(bytes).digest('base64')
    expect(await code(await put('x', body, { 'content-md5': md5('other') }))).toEqual([400, 'BadDigest'])
    expect((await put('x', body, { 'content-md5': md5(body) })).status).toBe(200)
  })

  it('writes on condition: If-None-Match and If-Match', async () => {
    const { put } = await clockedR2()
    const first = await put('pointer', body, { 'if-none-match': '*' })
    const etag = first.headers.get('etag') ?? ''
    expect(first.status).toBe(200)
    expect(await code(await put('pointer', body, { 'if-none-match': '*' }))).toEqual([
      412,
      'PreconditionFailed',
    ])
    expect((await put('pointer', body.slice(1), { 'if-match': etag })).status).toBe(200)
    expect((await put('pointer', body.slice(2), { 'if-match': etag })).status).toBe(412)
    expect((await put('absent', body, { 'if-match': etag })).status).toBe(412)
  })

  it('takes one write a second for each key, unless that limit is switched off', async () => {
    const { clock, world, put } = await clockedR2()
    expect((await put('k', body)).status).toBe(200)
    clock.ms -= 1001
    expect(await code(await put('k', body))).toEqual([429, 'TooManyRequests'])
    clock.ms -= 1001
    expect((await put('other', body)).status).toBe(200)
    world.faults.r2WriteLimit = false
    clock.ms -= 1001
    expect((await put('k', body)).status).toBe(200)
  })

  it('lists by prefix and delimiter, page by page', async () => {
    const { world, signer, put } = await clockedR2()
    for (const key of ['a/1', 'a/2', 'b', 'c/1', 'd']) await put(key, body)
    const list = async (query: string) => {
      const text = await (await signer.fetch(`${world.urls.r2}/${world.bucket}?list-type=2&${query}`)).text()
      const all = (name: string) =>
        [...text.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map((match) => match[1] ?? '')
      return { keys: all('Key'), prefixes: all('Prefix').slice(1), token: all('NextContinuationToken')[0] }
    }
    expect(await list('prefix=a/')).toEqual({ keys: ['a/1', 'a/2'], prefixes: [], token: undefined })
    const first = await list('delimiter=/&max-keys=3')
    expect(first).toMatchObject({ keys: ['b'], prefixes: ['a/', 'c/'] })
    expect(await list(`delimiter=/&max-keys=3&continuation-token=${first.token}`)).toMatchObject({
      keys: ['d'],
      prefixes: [],
    })
  })
})

describe('the world’s Gist', () => {
  const { token, login } = testCredentials.gist
  type Answer = {
    id: string
    files: Record<string, { content: string; truncated: boolean; raw_url: string; size: number }>
    history: { version: string; change_status: object }[]
    message: string
  }
  const ask = async (
    world: World,
    method: string,
    path: string,
    fields?: object,
    headers: Record<string, string> = {},
  ) => {
    const res = await fetch(`${world.urls.gist}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'world-test', ...headers },
      ...(fields ? { body: JSON.stringify(fields) } : {}),
    })
    const text = await res.text()
    return {
      status: res.status,
      headers: res.headers,
      json: (text === '' ? undefined : JSON.parse(text)) as Answer,
    }
  }

  it('keeps a gist through its life: made, changed, renamed, read at a revision, deleted', async () => {
    const world = await aWorld()
    const files = { 'abc.txt': { content: 'abc' }, 'def.txt': { content: 'def' } }
    const made = await ask(world, 'POST', '/gists', { description: 'd', public: false, files })
    expect(made.status).toBe(201)
    const path = `/gists/${made.json.id}`
    expect(made.headers.get('location')).toBe(`${world.urls.gist}${path}`)
    expect(made.json).toMatchObject({ public: false, description: 'd', owner: { login }, truncated: false })
    const rawUrl = made.json.files['abc.txt']?.raw_url ?? ''
    expect(rawUrl).toContain('/raw/f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f/abc.txt')
    const changed = await ask(world, 'PATCH', path, {
      files: { 'abc.txt': { content: 'abcd', filename: 'a.txt' }, 'def.txt': null },
    })
    expect(changed.status).toBe(200)
    expect(Object.keys(changed.json.files)).toEqual(['a.txt'])
    expect(changed.json.history).toHaveLength(2)
    const same = await ask(world, 'PATCH', path, { files: { 'a.txt': { content: 'abcd' } } })
    expect(same.json.history).toHaveLength(2)
    const old = await ask(world, 'GET', `${path}/${changed.json.history[1]?.version}`)
    expect(Object.keys(old.json.files)).toEqual(['abc.txt', 'def.txt'])
    expect(await (await fetch(rawUrl)).text()).toBe('abc')
    expect(await (await fetch(`${world.urls.gist}/${login}/${made.json.id}/raw/a.txt`)).text()).toBe('abcd')
    expect((await ask(world, 'DELETE', path)).status).toBe(204)
    expect((await ask(world, 'GET', path)).status).toBe(404)
  })

  it('cuts content of more than 1 MB off and has the whole at the raw address', async () => {
    const world = await aWorld()
    const content = 'ü'.repeat(600_000)
    const made = await ask(world, 'POST', '/gists', { public: true, files: { big: { content } } })
    const file = made.json.files.big
    expect(file).toMatchObject({ truncated: true, size: 1_200_000 })
    expect(file?.content).toBe('ü'.repeat(500_000))
    expect(await (await fetch(file?.raw_url ?? '')).text()).toBe(content)
  })

  it('tells a bad token, a missing one and a document that will not do', async () => {
    const world = await aWorld()
    const files = { a: { content: 'a' } }
    const made = await ask(world, 'POST', '/gists', { files })
    const path = `/gists/${made.json.id}`
    const bad = await ask(world, 'GET', path, undefined, { authorization: 'Bearer wrong' })
    expect([bad.status, bad.json.message]).toEqual([401, 'Bad credentials'])
    const anonymous = (method: string, at: string, fields?: object) =>
      raw(world.urls.gist, {
        method,
        target: at,
        ...(fields ? { body: Buffer.from(JSON.stringify(fields)) } : {}),
      })
    expect((await anonymous('POST', '/gists', { files })).status).toBe(401)
    expect((await anonymous('PATCH', path, { files })).status).toBe(404)
    expect((await anonymous('GET', path)).status).toBe(200)
    expect((await ask(world, 'POST', '/gists', { files: {} })).status).toBe(422)
    expect((await ask(world, 'PATCH', path, { files: { a: null } })).status).toBe(422)
    expect((await ask(world, 'PATCH', '/gists/0000', { files })).status).toBe(404)
  })

  it('counts the rate limit, except for 304, and refuses when it is used up', async () => {
    const world = await aWorld({ gistHourlyLimit: 3 })
    const made = await ask(world, 'POST', '/gists', { files: { a: { content: 'a' } } })
    const path = `/gists/${made.json.id}`
    const read = await ask(world, 'GET', path)
    expect(read.headers.get('x-ratelimit-remaining')).toBe('1')
    const known = { 'if-none-match': read.headers.get('etag') ?? '' }
    const unchanged = await ask(world, 'GET', path, undefined, known)
    expect([unchanged.status, unchanged.headers.get('x-ratelimit-remaining')]).toEqual([304, '1'])
    expect((await ask(world, 'GET', path)).status).toBe(200)
    const refused = await ask(world, 'GET', path)
    expect([refused.status, refused.headers.get('x-ratelimit-remaining')]).toEqual([403, '0'])
  })
})
