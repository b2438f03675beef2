/** Metalinks as others read them: aria2c, and Python's XML parser. */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { parseMinisignPublicKey, verifyMinisign } from '../../protocol/codec/minisign.ts'
import { readRoot } from '../../protocol/manifest/root.ts'
import { missingProgram } from '../demo/support.ts'
import { type Published, publishRuns } from '../support/published.ts'

let server: Server
let url: string
let published: Published | null = null
const asked: string[] = []

/** The publication below `/w/`, a mirror below `/mirror/`, the Archive's item below `/download/`; with ranges, as aria2c likes it. */
beforeAll(async () => {
  server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '/')
    asked.push(path)
    const file = path
      .replace(/^\/w\//, `${published?.dir}/`)
      .replace(/^\/mirror\//, `${published?.mirror}/`)
      .replace(/^\/download\/wikiseed-fatwiki-20240920\//, `${published?.mirror}/`)
    const facts = path.includes('..') ? undefined : statSync(file, { throwIfNoEntry: false })
    if (facts?.isFile() !== true) return void response.writeHead(404).end()
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const start = Number(from ?? 0)
    const end = to === undefined || to === '' ? facts.size - 1 : Number(to)
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': facts.size === 0 ? 0 : end - start + 1,
      ...(from === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${facts.size}` }),
    })
    createReadStream(file, { start, end: Math.max(start, end) }).pipe(response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  published = await publishRuns({
    runs: ['fatwiki/20240920', 'aawiki/20260101'],
    seeds: 0,
    items: { 'dumps/fatwiki/20240920': 'wikiseed-fatwiki-20240920' },
    publicUrl: `${url}w/`,
    places: { archiveSite: url, mirrors: [`${url}gone/`, `${url}mirror/`] },
  })
})
afterAll(async () => {
  await published?.close()
  await new Promise((done) => server.close(done))
})
const held = () => {
  if (published === null) throw new Error('not published')
  return published
}

describe('a Metalink of a run', () => {
  it('is well-formed RFC 5854: each file with size, three digests, torrent and addresses', () => {
    const script = `
import json, sys, xml.etree.ElementTree as E
n = '{urn:ietf:params:xml:ns:metalink}'
root = E.parse(sys.argv[1]).getroot()
assert root.tag == n + 'metalink'
print(json.dumps([{'name': f.get('name'), 'size': int(f.find(n+'size').text),
  'hashes': {h.get('type'): h.text for h in f.findall(n+'hash')},
  'torrent': [[m.get('mediatype'), m.get('name'), m.text] for m in f.findall(n+'metaurl')],
  'urls': [u.text for u in sorted(f.findall(n+'url'), key=lambda u: int(u.get('priority')))]} for f in root.findall(n+'file')]))`
    const { dir, held: shards } = held()
    const path = join(dir, 'metalink', 'fatwiki-20240920.meta4')
    const parsed = spawnSync('python3', ['-c', script, path])
    expect(parsed.stderr.toString()).toBe('')
    const files = JSON.parse(parsed.stdout.toString())
    const merged = shards.find((one) => one.merged.name === 'fatwiki')?.merged
    expect(files).toHaveLength(merged?.files.length ?? 0)
    for (const [index, file] of (merged?.files ?? []).entries()) {
      const name = `fatwiki/${file.path}`
      const { md5, sha1, sha256 } = file.digests
      expect(files[index]).toMatchObject({
        name,
        size: file.sizeBytes,
        hashes: { md5, 'sha-1': sha1, 'sha-256': sha256 },
      })
      expect(files[index].torrent).toEqual([
        [
          'torrent',
          name,
          expect.stringMatching(
            /\/w\/targets\/2024-09\/[0-9a-f]{64}\.fatwiki-20240920-[0-9a-f]{8}\.torrent$/,
          ),
        ],
      ])
      const ours = file.path.includes('/wikiseed-')
      expect(files[index].urls).toEqual([
        `${url}download/wikiseed-fatwiki-20240920/${name}`,
        ...(ours ? [] : [`${url}gone/${name}`, `${url}mirror/${name}`]),
      ])
    }
  })

  it('stands in a list of sums that the federation signed', () => {
    const { dir, root } = held()
    const list = readFileSync(join(dir, 'metalink', 'sha256sums.txt'))
    const key = parseMinisignPublicKey(readRoot(root, verifyEd25519).minisignPublicKey)
    if (key === null) throw new Error('no key')
    const verdict = verifyMinisign(
      list,
      readFileSync(join(dir, 'metalink', 'sha256sums.txt.minisig')),
      key,
      verifyEd25519,
    )
    expect(verdict).toMatchObject({
      ok: true,
      trustedComment: expect.stringContaining('file:metalink/sha256sums.txt'),
    })
    const lines = ['aawiki-20260101.meta4', 'fatwiki-20240920.meta4'].map((name) => {
      const hex = createHash('sha256')
        .update(readFileSync(join(dir, 'metalink', name)))
        .digest('hex')
      return `${hex}  ${name}\n`
    })
    expect(list.toString()).toBe([...lines].sort().join(''))
  })

  it('gives aria2c every file by the torrent, with the Archive as its web seed', async (context) => {
    const { mirror } = held()
    await byAria2(context, `${url}w/metalink/fatwiki-20240920.meta4`, async (to, code) => {
      expect(code).toBe(0)
      for (const path of pathsOf('fatwiki', () => true))
        expect(readFileSync(join(to, path)).equals(readFileSync(join(mirror, path))), path).toBe(true)
      expect(asked.some((path) => path.startsWith('/w/targets/') && path.endsWith('.torrent'))).toBe(true)
      expect(asked.some((path) => path.startsWith('/download/'))).toBe(true)
    })
  })

  it('gives aria2c every dump file from a mirror, although the first one has none and there is no torrent', async (context) => {
    const places = { archiveSite: url, mirrors: [`${url}gone/`, `${url}mirror/`] }
    const plain = await publishRuns({ runs: ['aawiki/20260101'], seeds: 0, places })
    try {
      await byAria2(context, join(plain.dir, 'metalink', 'aawiki-20260101.meta4'), async (to) => {
        for (const path of pathsOf('aawiki', (file) => !file.includes('/wikiseed-')))
          expect(readFileSync(join(to, path)).equals(readFileSync(join(held().mirror, path))), path).toBe(
            true,
          )
        expect(asked.some((path) => path.startsWith('/gone/aawiki/'))).toBe(true)
      })
    } finally {
      await plain.close()
    }
  })
})

function pathsOf(name: string, wanted: (path: string) => boolean): string[] {
  const merged = held().held.find((one) => one.merged.name === name)?.merged
  return (merged?.files ?? []).filter(({ path }) => wanted(path)).map(({ path }) => `${name}/${path}`)
}

async function byAria2(
  context: TestContext,
  metalink: string,
  look: (to: string, code: number | null) => Promise<void>,
): Promise<void> {
  const missing = missingProgram('aria2c')
  if (missing !== null) context.skip(`${missing} is not installed`)
  const to = mkdtempSync(join(tmpdir(), 'wikiseed-aria2-'))
  try {
    const args = [
      '--no-conf',
      '--enable-dht=false',
      '--seed-time=0',
      '--quiet',
      '--check-integrity=true',
      '--dir',
      to,
    ]
    await look(to, await run('aria2c', [...args, metalink]))
  } finally {
    rmSync(to, { recursive: true, force: true })
  }
}

/** Beside this process, which answers what it asks for. */
function run(program: string, args: readonly string[]): Promise<number | null> {
  const child = spawn(program, args, { stdio: 'ignore', timeout: 25_000 })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
