/** Sources of missing pieces that lack files, give no ranges or lie, and torrents that lie (PROTOCOL 6): what is right stays. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { decodeInfo, encodeInfo } from '../../protocol/torrent/info.ts'
import { bytesOf, missingPieces, stage } from '../support/begun-in-swarm.ts'
import {
  aMirror,
  aRig,
  aServer,
  asked,
  aWorld,
  BIG,
  bytesGiven,
  FILES,
  fromWeb,
  isHeld,
  PAGE,
  PIECE,
  SOME,
  staging,
  TABLE,
  useRigs,
} from '../support/pieces-rig.ts'

useRigs()

describe('a shard of which pieces are missing', () => {
  it('takes each file from who has it: what one source lacks comes from the next, and the rest from it', async () => {
    const mirror = await aMirror((path, _, response) => {
      if (path !== PAGE && path !== TABLE) return false
      response.writeHead(404).end()
      return true
    })
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    await stage(rig.whole, rig.client.files, (piece) => piece > 9 && SOME(piece))
    const missing = bytesOf(await missingPieces(rig.whole, staging(rig)))
    const { fromOriginBytes } = await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(fromOriginBytes).toBe(130_000)
    expect(rig.client.origin.bytesElsewhere).toBeLessThanOrEqual(missing - 130_000 + PIECE)
    // It said once that it lacks a file.
    expect([asked(mirror, TABLE).length, asked(mirror, PAGE).length]).toEqual([1, 1])
    expect(rig.client.web.bad).toEqual([])
  })

  it('leaves a source that ignores Range, and takes nothing of what it sends', async () => {
    const mirror = await aMirror((path, _, response) => {
      response.writeHead(200, { 'content-length': FILES[path]?.length ?? 0 }).end(FILES[path])
      return true
    })
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    await stage(rig.whole, rig.client.files, SOME)
    const missing = bytesOf(await missingPieces(rig.whole, staging(rig)))
    const { fromOriginBytes } = await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(fromOriginBytes).toBeLessThanOrEqual(missing + PIECE)
    // One for each of the two ranges that were under way.
    expect(mirror.requests.length).toBeLessThanOrEqual(2)
    expect(rig.client.web.bad).toEqual([])
  })

  it('fetches a file whole when all who have it give no ranges; files of which nothing is missing stay', async () => {
    const origin = await aWorld()
    const rangeless = await aServer(async (request, response) => {
      const answer = await fetch(`${origin.url}${request.url}`, {
        headers: { 'user-agent': 'a@example.org' },
      })
      const headers = { 'content-type': answer.headers.get('content-type') ?? '' }
      response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()))
    })
    const rig = await aRig({ originUrl: rangeless.baseUrl }, origin)
    // All of the first two files; of the third the half.
    await stage(rig.whole, rig.client.files, (piece) => piece < 100)
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect([asked(rangeless, TABLE), asked(rangeless, PAGE)]).toEqual([[], []])
    expect(asked(rangeless, BIG).at(-1)).toBeUndefined()
  })

  it('keeps every piece when nobody has the rest', async () => {
    const origin = await aWorld()
    let isGone = false
    const server = await aServer(async (request, response) => {
      if (isGone && request.url?.endsWith('.bz2')) return void response.writeHead(404).end()
      const { range } = request.headers
      const answer = await fetch(`${origin.url}${request.url}`, {
        headers: { 'user-agent': 'a@example.org', ...(range === undefined ? {} : { range }) },
      })
      const headers = Object.fromEntries(
        ['content-type', 'content-range'].flatMap((name) => {
          const value = answer.headers.get(name)
          return value === null ? [] : [[name, value]]
        }),
      )
      response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()))
    })
    const rig = await aRig({ originUrl: server.baseUrl }, origin)
    await stage(rig.whole, rig.client.files, SOME)
    const before = await missingPieces(rig.whole, staging(rig))
    isGone = true
    await expect(fromWeb(rig)).rejects.toMatchObject({
      code: 'origin-unavailable',
      message: expect.stringContaining('not-found'),
    })
    const after = await missingPieces(rig.whole, staging(rig))
    expect(bytesOf(after)).toBeLessThanOrEqual(bytesOf(before))
    isGone = false
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
  })

  it('finds a wrong piece at once, names who gave it, and takes the rest of that file from others', async () => {
    const wrong = { ...FILES, [BIG]: Buffer.from(FILES[BIG] as Buffer) }
    for (let at = 0; at < 3_000_000; at += 50_000) wrong[BIG]?.fill(0, at, at + 100)
    const [bad, good] = [await aMirror(undefined, wrong), await aMirror()]
    const rig = await aRig({ mirrors: [bad.baseUrl, good.baseUrl] })
    await stage(rig.whole, rig.client.files, SOME)
    const missing = bytesOf(await missingPieces(rig.whole, staging(rig)))
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    const named = rig.client.web.bad.map(({ source, path }) => `${source} aawiki/${path}`)
    expect(new Set(named)).toEqual(new Set([`${bad.host} ${BIG}`]))
    // At most the two ranges under way were begun in vain.
    expect(asked(bad, BIG).length).toBeLessThanOrEqual(2)
    const wasted = rig.client.origin.bytesElsewhere - missing
    expect(wasted).toBeLessThan(2 * (10 * PIECE + 256 * 1024))
    expect(bytesGiven(rig.world)).toBe(0)
  })

  it('judges by digests what no piece proves, and asks others for that alone', async () => {
    const wrong = { ...FILES, [BIG]: Buffer.from(FILES[BIG] as Buffer) }
    wrong[BIG]?.fill(0, 2_999_990)
    const mirror = await aMirror(undefined, wrong)
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    await stage(rig.whole, rig.client.files, SOME)
    const { fromOriginBytes } = await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(rig.client.web.bad.map(({ source, path }) => [source, `aawiki/${path}`])).toEqual([
      [mirror.host, BIG],
    ])
    expect(fromOriginBytes).toBeLessThanOrEqual(PIECE)
  })

  it('does not let a torrent that lies about its pieces stand against upstream', async () => {
    const [one, two] = [await aMirror(), await aMirror()]
    const rig = await aRig({ mirrors: [one.baseUrl, two.baseUrl] })
    const info = decodeInfo(rig.whole.built.info)
    if (info === null) throw new Error('no info')
    // The pieces that the liar gave pass; those that it did not give never can.
    const pieces = Uint8Array.from(info.pieces, (byte, at) => (SOME(Math.floor(at / 20)) ? byte : byte ^ 1))
    await stage(rig.whole, rig.client.files, SOME, encodeInfo({ ...info, pieces }))
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    // Two that say the same are not named for it, and nobody else had to be asked.
    expect(rig.client.web.bad).toEqual([])
    expect(bytesGiven(rig.world)).toBe(0)
  })

  it('fetches anew what a lying torrent called right', async () => {
    const rig = await aRig()
    const { whole, client } = rig
    const bent = Buffer.from(whole.bytes)
    bent.fill(7, 60 * PIECE + 5, 60 * PIECE + 50)
    const info = decodeInfo(whole.built.info)
    if (info === null) throw new Error('no info')
    const pieces = Uint8Array.from(info.pieces)
    pieces.set(
      createHash('sha1')
        .update(bent.subarray(60 * PIECE, 61 * PIECE))
        .digest(),
      60 * 20,
    )
    await stage({ ...whole, bytes: bent }, client.files, SOME, encodeInfo({ ...info, pieces }))
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(client.web.bad).toEqual([])
  })
})
