import { mkdirSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  archiveRows,
  ask,
  claim,
  inDemo,
  infohash,
  listen,
  put,
  runScript,
  torrentFile,
  withHandMadeDemo,
  writeDemo,
} from '../oracle/hand-made-demo.ts'

withHandMadeDemo()

describe('the safe oracle beside the product', () => {
  it('agrees when every claim is what it found', async () => {
    const found = await infohash()
    const url = await listen({
      '/metadata/wikiseed-htwiki': { files: archiveRows() },
      '/api/v1/shards': claim({ infohash: found, archived: true, published: true }),
    })
    mkdirSync(inDemo('world/archive/wikiseed-htwiki'), { recursive: true })
    put('published/torrents/htwiki.torrent', Buffer.from(await torrentFile()))
    writeDemo({ operators: ['ann', 'ben', 'cem', 'dee'], url })
    const { code, summary } = await ask()
    expect(summary.disagreements).toEqual([])
    expect([code, summary.shards[0]?.archived]).toEqual([0, true])
  })

  it('calls one copy beside a verified archive copy safe', async () => {
    const found = await infohash()
    for (const node of ['node-1', 'node-3']) rmSync(inDemo(node), { recursive: true })
    const url = await listen({
      '/metadata/wikiseed-htwiki': { files: archiveRows() },
      '/api/v1/shards': claim({ infohash: found, archived: true, replicas: 1 }),
    })
    mkdirSync(inDemo('world/archive/wikiseed-htwiki'), { recursive: true })
    writeDemo({ operators: ['ann', 'ben', 'cem'], url })
    const { code, summary } = await ask()
    expect([code, summary.safe, summary.shards[0]?.replicas]).toEqual([0, true, 1])
  })

  it('disagrees with a claimed archive copy of which one sha1 is wrong', async () => {
    const found = await infohash()
    const [first, ...others] = archiveRows()
    const url = await listen({
      '/metadata/wikiseed-htwiki': { files: [{ ...first, sha1: '0'.repeat(40) }, ...others] },
      '/api/v1/shards': claim({ infohash: found, archived: true }),
    })
    mkdirSync(inDemo('world/archive/wikiseed-htwiki'), { recursive: true })
    writeDemo({ operators: ['ann', 'ben', 'cem'], url })
    const { code, summary } = await ask()
    expect([code, summary.disagreements]).toEqual([
      2,
      ['dumps/htwiki/20260101: archived True claimed, False found'],
    ])
    expect(summary.shards[0]?.problems.join()).toContain('page.sql.gz differs')
  })

  it('disagrees with too many replicas, a wrong infohash, a torrent that is not there, and an unknown shard', async () => {
    const { shards } = claim({ infohash: '0'.repeat(40), archived: false, replicas: 4, published: true })
    const url = await listen({ '/api/v1/shards': { shards: [...shards, { id: 'dumps/xxwiki/20260101' }] } })
    writeDemo({ operators: ['ann', 'ben', 'cem'], url })
    const { code, summary } = await ask()
    expect(code).toBe(2)
    expect(summary.disagreements).toHaveLength(4)
    expect(summary.disagreements.join()).toMatch(
      /not upstream.*infohash.*4 replicas claimed, 3 found.*published/,
    )
  })

  it('ends with 3 when the coordinator does not answer', async () => {
    const url = await listen({})
    writeDemo({ operators: ['ann', 'ben', 'cem'], url })
    expect((await runScript()).code).toBe(3)
  })
})
