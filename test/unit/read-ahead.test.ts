import { describe, expect, it } from 'vitest'
import { ReadAhead } from '../../node/transfer/read-ahead.ts'

const WINDOW = { start: 100, length: 40 }

/** Every byte of the file is `version`. */
function reader() {
  const state = { version: 1, reads: 0, fails: false }
  const ahead = new ReadAhead(async (_path, buffer) => {
    state.reads++
    if (state.fails) throw new Error('gone')
    buffer.fill(state.version)
  })
  return { state, ahead, block: (position: number) => ahead.get('a', WINDOW, position, 10) }
}

describe('reading ahead', () => {
  it('reads a window once for all of its blocks, also when they are asked for at once', async () => {
    const { state, block } = reader()
    const blocks = await Promise.all([100, 110, 120].map(block))
    blocks.push(await block(130))
    expect(blocks.map((bytes) => [...bytes])).toEqual(Array(4).fill(Array(10).fill(1)))
    expect(state.reads).toBe(1)
  })

  it('reads again what was handed out already: a file may have changed', async () => {
    const { state, block } = reader()
    for (const position of [100, 110, 120, 130]) await block(position)
    state.version = 2
    expect([...(await block(100))]).toEqual(Array(10).fill(2))
    expect(state.reads).toBe(2)
  })

  it('forgets what it read of a file that is written', async () => {
    const { state, ahead, block } = reader()
    await block(100)
    state.version = 2
    ahead.forget('b')
    expect([...(await block(110))]).toEqual(Array(10).fill(1))
    ahead.forget('a')
    expect([...(await block(120))]).toEqual(Array(10).fill(2))
  })

  it('tells whoever asked that a read failed, and tries anew for the next', async () => {
    const { state, block } = reader()
    state.fails = true
    await expect(block(100)).rejects.toThrow('gone')
    state.fails = false
    expect([...(await block(110))]).toEqual(Array(10).fill(1))
  })

  it('uses the memory of a window again once all that was handed out of it is sent, and not before', async () => {
    const { state, ahead, block } = reader()
    const first = await Promise.all([100, 110, 120, 130].map(block))
    for (const bytes of first.slice(1)) ahead.sent(bytes)
    state.version = 2
    const second = await Promise.all([100, 110, 120, 130].map(block))
    expect(first.map((bytes) => bytes[0])).toEqual([1, 1, 1, 1])
    expect(second[0]?.buffer).not.toBe(first[0]?.buffer)
    for (const bytes of [first[0], ...second]) if (bytes !== undefined) ahead.sent(bytes)
    const memory = new Set([first[0]?.buffer, second[0]?.buffer])
    expect(memory).toContain((await block(100)).buffer)
  })
})
