// Longer than 300 lines: three clients that others wrote, each with the same round of uploads.
// The miniature world against clients that others wrote: Debian's `ia`, `rclone` and `curl`.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { afterEach, describe, expect, it, type TestContext } from 'vitest'
import {
  aawiki,
  contact,
  dumpFiles,
  makeDumps,
  noise,
  temporaryFolder,
} from '../integration/world-support.ts'
import { startWorld, testCredentials, type World, type WorldOptions } from '../world/world.ts'

const clientTimeoutMs = 60_000
const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

/** Skips the test, saying so, when the client is not installed. In CI that counts as a failure. */
function need(context: TestContext, program: string): void {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (found) return
  const reason = `${program} is not installed (on Debian: apt install ${program === 'ia' ? 'internetarchive' : program})`
  if (process.env.CI === 'true') throw new Error(reason)
  context.skip(reason)
}

type Ran = { code: number; out: string; err: string }

async function setUp(options: Partial<WorldOptions> = {}) {
  const dumps = await makeDumps()
  const folder = await temporaryFolder()
  const world = await startWorld({ dumps, archiveLagMs: 50, ...options })
  cleanups.push(
    () => rm(dumps, { recursive: true }),
    () => rm(folder, { recursive: true }),
    world.close,
  )
  /** Runs a client in the temporary folder, with nothing of our environment but the path. */
  const run = (program: string, args: string[], env: Record<string, string> = {}): Promise<Ran> =>
    new Promise((resolve) => {
      const full = { PATH: process.env.PATH ?? '', HOME: folder, LANG: 'C.UTF-8', ...env }
      execFile(program, args, { cwd: folder, env: full, timeout: clientTimeoutMs }, (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, out, err })
      })
    })
  return { world, folder, run }
}

/** Waits, for ten seconds at most, until the Archive shows so many files of the item. */
async function untilShown(world: World, item: string, count: number): Promise<void> {
  const untilMs = Date.now() + 10_000
  for (;;) {
    const res = await fetch(`${world.urls.archive}/metadata/${item}`)
    const { files_count: shown = 0 } = (await res.json()) as { files_count?: number }
    if (shown === count) return
    if (Date.now() > untilMs) throw new Error(`${item} shows ${shown} files, not ${count}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('Debian’s ia', () => {
  async function withIa(context: TestContext) {
    need(context, 'ia')
    const { world, folder, run } = await setUp()
    const { accessKey, secretKey } = testCredentials.archive
    const config = (secret: string) =>
      `[s3]\naccess = ${accessKey}\nsecret = ${secret}\n[cookies]\n[general]\nscreenname = volunteer\nsecure = false\n`
    await writeFile(join(folder, 'ia.ini'), config(secretKey))
    await writeFile(join(folder, 'wrong.ini'), config('wrong'))
    await writeFile(join(folder, 'data.bin'), noise(300_000))
    await writeFile(join(folder, 'note.txt'), 'a note\n')
    // ia knows the real host names alone, so it uses the world as its proxy.
    const ia = (...args: string[]) =>
      run('ia', ['--config-file', 'ia.ini', ...args], { http_proxy: world.url })
    const iaWrong = (...args: string[]) =>
      run('ia', ['--config-file', 'wrong.ini', ...args], { http_proxy: world.url })
    return { world, folder, ia, iaWrong }
  }

  it('uploads, lists, reads metadata, downloads and deletes', async (context) => {
    const { world, folder, ia } = await withIa(context)
    const about = [
      '--metadata=mediatype:web',
      '--metadata=collection:opensource',
      '--metadata=title:Prüfung  zwei',
    ]
    const first = await ia('upload', 'wikiseed-test', 'note.txt', '--verify', '--no-derive', ...about)
    expect([first.code, first.err]).toEqual([0, expect.stringContaining('uploading note.txt')])
    const second = await ia('upload', 'wikiseed-test', 'data.bin', '--remote-name=sub/data.bin', '--verify')
    expect(second.code).toBe(0)
    await untilShown(world, 'wikiseed-test', 4)
    expect((await ia('list', 'wikiseed-test')).out.split('\n')).toEqual(
      expect.arrayContaining([
        'note.txt',
        'sub/data.bin',
        'wikiseed-test_meta.xml',
        'wikiseed-test_files.xml',
      ]),
    )
    const metadata = JSON.parse((await ia('metadata', 'wikiseed-test')).out)
    expect(metadata.metadata).toMatchObject({ title: 'Prüfung  zwei', mediatype: 'web' })
    expect((await ia('download', 'wikiseed-test')).code).toBe(0)
    expect(await readFile(join(folder, 'wikiseed-test/sub/data.bin'))).toEqual(noise(300_000))
    const again = await ia('upload', 'wikiseed-test', 'note.txt', '--checksum')
    expect(again.err).toContain('note.txt already exists, skipping')
    expect((await ia('delete', 'wikiseed-test', 'note.txt', '--no-backup')).code).toBe(0)
    await untilShown(world, 'wikiseed-test', 3)
    expect((await ia('list', 'wikiseed-test')).out.trim().split('\n')[0]).toBe('sub/data.bin')
  }, 60_000)

  it('is refused with a wrong secret, in words it can read, and finds nothing of the item', async (context) => {
    const { ia, iaWrong } = await withIa(context)
    const refused = await iaWrong('upload', 'wikiseed-test', 'note.txt')
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('does not match the signature')])
    expect((await ia('metadata', 'wikiseed-test')).out.trim()).toBe('{}')
  }, 60_000)
})

describe('rclone', () => {
  async function withRclone(context: TestContext) {
    need(context, 'rclone')
    const { world, folder, run } = await setUp()
    const { accessKeyId, secretAccessKey } = testCredentials.r2
    await writeFile(join(folder, 'rclone.conf'), '')
    const env = {
      RCLONE_CONFIG: join(folder, 'rclone.conf'),
      RCLONE_CONFIG_R2_TYPE: 's3',
      RCLONE_CONFIG_R2_PROVIDER: 'Cloudflare',
      RCLONE_CONFIG_R2_ENDPOINT: world.urls.r2,
      RCLONE_CONFIG_R2_REGION: 'auto',
      RCLONE_CONFIG_R2_ACCESS_KEY_ID: accessKeyId,
      RCLONE_CONFIG_R2_SECRET_ACCESS_KEY: secretAccessKey,
    }
    const rclone = (args: string[], more: Record<string, string> = {}) =>
      run('rclone', args, { ...env, ...more })
    return { world, folder, rclone, bucket: `r2:${world.bucket}` }
  }

  it('copies a folder with difficult names and finds every byte of it again', async (context) => {
    const { folder, rclone, bucket } = await withRclone(context)
    await mkdir(join(folder, 'tree/a b/ü'), { recursive: true })
    await writeFile(join(folder, "tree/a b/x+y (1)*'!~.txt"), 'odd')
    await writeFile(join(folder, 'tree/a b/ü/data.bin'), noise(300_000))
    expect((await rclone(['copy', 'tree', `${bucket}/t`])).code).toBe(0)
    const checked = await rclone(['check', '--download', 'tree', `${bucket}/t`])
    expect([checked.code, checked.err]).toEqual([0, expect.stringContaining('2 matching files')])
    expect((await rclone(['lsf', '-R', `${bucket}/t`])).out).toContain("a b/x+y (1)*'!~.txt")
    expect((await rclone(['deletefile', `${bucket}/t/a b/ü/data.bin`])).code).toBe(0)
    expect((await rclone(['lsf', '-R', '--files-only', `${bucket}/t`])).out.trim()).toBe(
      "a b/x+y (1)*'!~.txt",
    )
  }, 60_000)

  it('uploads a big file in parts and copies it on the server', async (context) => {
    const { world, folder, rclone, bucket } = await withRclone(context)
    await writeFile(join(folder, 'big.bin'), noise(12_000_000))
    const parts = ['--s3-upload-cutoff', '5M', '--s3-chunk-size', '5M']
    expect((await rclone(['copyto', 'big.bin', `${bucket}/big.bin`, ...parts])).code).toBe(0)
    expect(world.log.filter(({ path }) => path.includes('partNumber='))).toHaveLength(3)
    expect((await rclone(['copyto', `${bucket}/big.bin`, `${bucket}/copy.bin`])).code).toBe(0)
    for (const name of ['big.bin', 'copy.bin']) {
      const stored = await readFile(join(world.state, 'r2', world.bucket, name))
      expect(createHash('md5').update(stored).digest()).toEqual(
        createHash('md5').update(noise(12_000_000)).digest(),
      )
    }
  }, 60_000)

  it('is refused with a wrong secret', async (context) => {
    const { rclone, bucket } = await withRclone(context)
    const wrong = { RCLONE_CONFIG_R2_SECRET_ACCESS_KEY: 'wrong' }
    const refused = await rclone(['--retries', '1', '--low-level-retries', '1', 'lsf', bucket], wrong)
    expect(refused.code).not.toBe(0)
    expect(refused.err).toContain('SignatureDoesNotMatch')
  }, 60_000)
})

describe('curl', () => {
  it('resumes a download that was cut, and md5sum agrees with the list of checksums', async (context) => {
    need(context, 'curl')
    need(context, 'md5sum')
    const { world, folder, run } = await setUp({ faults: { cutRate: 1 } })
    const name = aawiki.history.split('/').at(-1) ?? ''
    const fetchRest = () =>
      run('curl', ['-sS', '-A', contact, '-C', '-', '-O', `${world.url}/${aawiki.history}`])
    expect((await fetchRest()).code).toBe(18)
    expect((await readFile(join(folder, name))).length).toBeLessThan(dumpFiles[aawiki.history]?.length ?? 0)
    world.faults.cutRate = 0
    expect((await fetchRest()).code).toBe(0)
    expect(world.log.at(-1)).toMatchObject({ status: 206 })
    const sums = await run('curl', [
      '-sSf',
      '-A',
      contact,
      `${world.url}/aawiki/20260101/aawiki-20260101-md5sums.txt`,
    ])
    await writeFile(
      join(folder, 'sums'),
      sums.out
        .split('\n')
        .filter((line) => line.endsWith(name))
        .join('\n')
        .concat('\n'),
    )
    expect((await run('md5sum', ['-c', 'sums'])).out).toBe(`${name}: OK\n`)
  }, 30_000)

  it('is turned away by Wikimedia with its own User-Agent', async (context) => {
    need(context, 'curl')
    const { world, run } = await setUp()
    const refused = await run('curl', [
      '-sS',
      '-w',
      '%{http_code}',
      '-o',
      '/dev/null',
      `${world.url}/index.json`,
    ])
    expect(refused.out).toBe('403')
  })

  it('uploads to the Archive as its documentation says, and not without a length', async (context) => {
    need(context, 'curl')
    const { world, folder, run } = await setUp()
    const { accessKey, secretKey } = testCredentials.archive
    await writeFile(join(folder, 'note.txt'), 'a note\n')
    const headers = [
      '-H',
      `authorization: LOW ${accessKey}:${secretKey}`,
      '-H',
      'x-archive-auto-make-bucket: 1',
    ]
    const put = (...more: string[]) =>
      run('curl', [
        '-sS',
        '--location-trusted',
        '-w',
        '%{http_code}',
        '-o',
        'answer',
        ...headers,
        ...more,
        '--upload-file',
        'note.txt',
        `${world.urls.archiveS3}/curl-item/note.txt`,
      ])
    expect((await put('-H', 'Transfer-Encoding: chunked')).out).toBe('411')
    world.faults.archiveRedirectRate = 1
    expect((await put('-H', 'x-archive-meta-title: by curl')).out).toBe('200')
    expect(world.log.filter(({ service }) => service === 'archiveS3').map(({ status }) => status)).toEqual([
      411, 307, 200,
    ])
    await untilShown(world, 'curl-item', 3)
    const read = await run('curl', ['-sSL', `${world.urls.archive}/download/curl-item/note.txt`])
    expect(read.out).toBe('a note\n')
  }, 30_000)

  it('signs for R2 by its own SigV4', async (context) => {
    need(context, 'curl')
    const { world, run } = await setUp()
    const { accessKeyId, secretAccessKey } = testCredentials.r2
    const sha256 = createHash('sha256').update('from curl').digest('hex')
    const put = (secret: string) =>
      run('curl', [
        '-sS',
        '-w',
        '%{http_code}',
        '-o',
        'answer',
        '--aws-sigv4',
        'aws:amz:auto:s3',
        '--user',
        `${accessKeyId}:${secret}`,
        '-X',
        'PUT',
        '-H',
        `x-amz-content-sha256: ${sha256}`,
        '-H',
        'content-type: text/plain',
        '--data-binary',
        'from curl',
        `${world.urls.r2}/${world.bucket}/curl.txt`,
      ])
    expect((await put('wrong')).out).toBe('403')
    expect((await put(secretAccessKey)).out).toBe('200')
    const read = await run('curl', ['-sSf', `${world.urls.r2Public}/${world.bucket}/curl.txt`])
    expect(read.out).toBe('from curl')
  })

  it('makes a gist', async (context) => {
    need(context, 'curl')
    const { world, run } = await setUp()
    const fields = JSON.stringify({ public: true, files: { 'a.txt': { content: 'by curl' } } })
    const bearer = ['-H', `Authorization: Bearer ${testCredentials.gist.token}`]
    const made = await run('curl', ['-sSf', ...bearer, '-d', fields, `${world.urls.gist}/gists`])
    const { files } = JSON.parse(made.out) as { files: Record<string, { raw_url: string }> }
    expect((await run('curl', ['-sSf', files['a.txt']?.raw_url ?? ''])).out).toBe('by curl')
  })
})
