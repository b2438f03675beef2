/** The contract of the Store port, run on the adapter and on its twin. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../node/ports.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export async function rowsOf(store: Store, prefix: string): Promise<string[]> {
  const rows: string[] = []
  for await (const { key, value } of store.list(prefix))
    rows.push(`${key}=${new TextDecoder().decode(value)}`)
  return rows
}

export function storeSuite(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the contract of the store`, () => {
    let store: Store
    beforeEach(async () => {
      store = await open()
    })
    afterEach(() => store.close())

    it('gives back what was put, null for what was not, and an empty value as empty', async () => {
      const all = Uint8Array.from({ length: 256 }, (_, index) => index)
      await store.batch([
        { type: 'put', key: '01/a', value: all },
        { type: 'put', key: '01/empty', value: new Uint8Array(0) },
      ])
      expect(Buffer.from((await store.get('01/a')) ?? []).equals(all)).toBe(true)
      expect((await store.get('01/empty'))?.length).toBe(0)
      expect(await store.get('01/b')).toBeNull()
    })

    it('takes the last word on a key, also within one batch, and deletes', async () => {
      await store.batch([{ type: 'put', key: '01/a', value: bytes('1') }])
      await store.batch([
        { type: 'put', key: '01/a', value: bytes('2') },
        { type: 'del', key: '01/a' },
        { type: 'put', key: '01/a', value: bytes('3') },
        { type: 'del', key: '01/never-there' },
      ])
      expect(await rowsOf(store, '')).toEqual(['01/a=3'])
      await store.batch([{ type: 'del', key: '01/a' }])
      expect(await store.get('01/a')).toBeNull()
    })

    it('does all of a batch or nothing', async () => {
      const half = store.batch([
        { type: 'put', key: '01/a', value: bytes('1') },
        { type: 'put', key: 'not a key', value: bytes('1') },
      ])
      await expect(half).rejects.toThrow(TypeError)
      expect(await rowsOf(store, '')).toEqual([])
    })

    it('lists by prefix in key order, no more and no less', async () => {
      const keys = ['02/b', '01/b', '01/a', '01/a|x', '01/a0', '010/a', '01', '01/~', '03/a']
      await store.batch(keys.map((key) => ({ type: 'put', key, value: bytes(key) })))
      expect(await rowsOf(store, '01/')).toEqual([
        '01/a=01/a',
        '01/a0=01/a0',
        '01/a|x=01/a|x',
        '01/b=01/b',
        '01/~=01/~',
      ])
      expect(await rowsOf(store, '04/')).toEqual([])
      expect(await rowsOf(store, '')).toHaveLength(keys.length)
    })

    it('lists what was there when the listing began', async () => {
      await store.batch(['a', 'b', 'c'].map((key) => ({ type: 'put', key: `01/${key}`, value: bytes(key) })))
      const seen: string[] = []
      for await (const { key } of store.list('01/')) {
        seen.push(key)
        await store.batch([
          { type: 'del', key: '01/b' },
          { type: 'put', key: '01/d', value: bytes('d') },
        ])
      }
      expect(seen).toEqual(['01/a', '01/b', '01/c'])
    })

    it('keeps its own copy of what it is given', async () => {
      const value = bytes('abc')
      await store.batch([{ type: 'put', key: '01/a', value }])
      value.fill(0)
      const got = await store.get('01/a')
      expect(got).toEqual(bytes('abc'))
      got?.fill(0)
      expect(await store.get('01/a')).toEqual(bytes('abc'))
    })

    it.each(['', 'ä', 'a\n', 'a b', 'x'.repeat(513)])('refuses the key %j', async (key) => {
      await expect(store.get(key)).rejects.toThrow(TypeError)
      await expect(store.batch([{ type: 'del', key }])).rejects.toThrow(TypeError)
    })

    it('says that it is closed', async () => {
      await store.close()
      await expect(store.get('01/a')).rejects.toMatchObject({ code: 'closed' })
      await expect(store.batch([{ type: 'del', key: '01/a' }])).rejects.toMatchObject({ code: 'closed' })
      await expect(rowsOf(store, '01/')).rejects.toMatchObject({ code: 'closed' })
    })
  })
}
