import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  ask,
  bytesOf,
  dumpNames,
  hex,
  inDemo,
  logLine,
  metadata,
  metadataFolder,
  put,
  runFolder,
  runScript,
  withHandMadeDemo,
  writeDemo,
} from '../oracle/hand-made-demo.ts'

withHandMadeDemo()

describe('the safe oracle on the disks alone', () => {
  it('calls three full copies of three operators safe, and a node without the run no problem', async () => {
    const { code, summary } = await ask('--offline')
    expect(summary.shards).toMatchObject([
      {
        id: 'dumps/htwiki/20260101',
        replicas: 3,
        holders: ['node-1', 'node-2', 'node-3'],
        safe: true,
        problems: [],
      },
    ])
    expect(summary.shards[0]?.infohash).toMatch(/^[0-9a-f]{40}$/)
    expect([code, summary.agrees]).toEqual([0, null])
  })

  it('names the file of which one byte was overwritten, and calls the shard not safe', async () => {
    const path = `node-2/mirror/${runFolder}/${dumpNames[1]}`
    const data = readFileSync(inDemo(path))
    data[20_000] = (data[20_000] ?? 0) ^ 1
    put(path, data)
    const { code, summary } = await ask('--offline')
    expect(code).toBe(1)
    expect(summary.shards[0]).toMatchObject({ replicas: 2, safe: false })
    expect(summary.shards[0]?.problems).toContainEqual(
      `node-2: 20260101/${dumpNames[1]}: md5, sha1, sha256 differ`,
    )
  })

  it('counts two nodes of one operator once', async () => {
    writeDemo({ operators: ['ann', 'ann', 'cem'] })
    const { code, summary } = await ask('--offline')
    expect([code, summary.shards[0]?.replicas, summary.safe]).toEqual([1, 2, false])
  })

  it('counts no copy whose HASH.json disagrees with its bytes', async () => {
    const text = metadata()['HASH.json'] ?? ''
    const sha256 = hex('sha256', bytesOf(dumpNames[0] ?? ''))
    for (const node of ['node-1', 'node-2', 'node-3']) {
      put(`${node}/mirror/${metadataFolder}/HASH.json`, text.replace(sha256, '0'.repeat(64)))
    }
    const { code, summary } = await ask('--offline')
    expect([code, summary.shards[0]?.replicas]).toEqual([1, 0])
    expect(summary.shards[0]?.problems[0]).toMatch(/HASH\.json on .*page\.sql\.gz: sha256 differ/)
  })

  it('refuses copies whose torrents differ, though their dump files are right', async () => {
    put(`node-3/mirror/${metadataFolder}/README.txt`, 'Other words.\n')
    const { code, summary } = await ask('--offline')
    expect([code, summary.shards[0]?.infohash]).toEqual([1, null])
    expect(summary.shards[0]?.problems.join()).toContain('infohashes differ')
  })

  it('counts no copy whose folder is not named by the shard digest', async () => {
    put(`node-3/mirror/${metadataFolder}/STATUS.json`, '{"jobs":{"x":{}}}\n')
    const { code, summary } = await ask('--offline')
    expect([code, summary.shards[0]?.holders]).toEqual([1, ['node-1', 'node-2']])
    expect(summary.shards[0]?.problems.join()).toContain('the shard digest is')
  })

  it('counts no copy that lacks a file', async () => {
    rmSync(inDemo(`node-1/mirror/${runFolder}/${dumpNames[0]}`))
    rmSync(inDemo(`node-2/mirror/${metadataFolder}/README.txt`))
    const { summary } = await ask('--offline')
    expect(summary.shards[0]?.holders).toEqual(['node-3'])
    expect(summary.shards[0]?.problems.join()).toMatch(/page\.sql\.gz: missing.*README\.txt: missing/)
  })

  it("adds up what Wikimedia sent of dump files by the world's log, and nothing else", async () => {
    const path = `/${runFolder}/${dumpNames[0]}`
    appendFileSync(
      inDemo('world/access.log'),
      logLine({ path, bytes: 40_000 }) +
        logLine({ path, status: 206, bytes: 10_000, userAgent: 'b' }) +
        logLine({ path: `/${runFolder}/${dumpNames[1]}?x=1`, bytes: 30_000 }) +
        logLine({ path, status: 429, bytes: 169 }) +
        logLine({ path: '/index.json', bytes: 7_000 }) +
        logLine({ service: 'archive', path, bytes: 40_000 }) +
        '{"service":"wikimedia","pa',
    )
    const { summary } = await ask('--offline')
    expect(summary).toMatchObject({
      originBytes: 80_000,
      originRequests: 3,
      uniqueBytes: 80_000,
      originRatio: 1,
    })
    expect(summary.userAgents).toEqual([
      { userAgent: 'a', bytes: 70_000, share: 0.875 },
      { userAgent: 'b', bytes: 10_000, share: 0.125 },
    ])
  })

  it('says in words what it found', async () => {
    rmSync(inDemo(`node-1/mirror/${runFolder}/${dumpNames[0]}`))
    const { code, stdout } = await runScript('--offline')
    expect(code).toBe(1)
    expect(stdout).toContain('UNSAFE  dumps/htwiki/20260101  held by 2 of 4 nodes, 2 operators')
    expect(stdout).toContain('1 shards, 1 not safe; the product was not asked')
  })

  it('ends with 3, not with a verdict, when there is nothing to look at', async () => {
    rmSync(inDemo('demo.json'))
    expect((await runScript('--offline')).code).toBe(3)
  })
})
