import { describe, expect, it } from 'vitest'
import { itemHeaders, itemIdentifiers } from '../../coordinator/preserve/item.ts'
import { compareFile, readItemState } from '../../coordinator/preserve/item-state.ts'
import { type Dataset, isInfohash, isShardDigest, shardId } from '../../protocol/ids.ts'

const digest = '0123456789abcdef'.repeat(4)
const infohash = 'b'.repeat(40)
if (!isShardDigest(digest) || !isInfohash(infohash)) throw new Error('not ids')
const subject = (wiki: string, part = 0, dataset: Dataset = 'dumps') => ({
  id: shardId({ dataset, wiki, date: '20260101', part }),
  digest,
  infohash,
  name: wiki,
})

describe('item identifiers', () => {
  it('name the shard, and its revision as the second choice', () => {
    expect(itemIdentifiers(subject('tenwiki'))).toEqual([
      'wikiseed-tenwiki-20260101',
      'wikiseed-tenwiki-20260101-01234567',
    ])
    expect(itemIdentifiers(subject('enwiki', 2))[0]).toBe('wikiseed-enwiki-20260101-part2')
    expect(itemIdentifiers(subject('zh_min_nanwiki', 0, 'content_history'))[0]).toBe(
      'wikiseed-content_history-zh_min_nanwiki-20260101',
    )
  })

  it('are refused when too long for the archive', () => {
    expect(() => itemIdentifiers(subject('w'.repeat(64), 99_999, 'content_history'))).toThrow(
      /cannot name an item/,
    )
  })
})

describe('item headers', () => {
  it('encode spaces, number repeated fields and keep plain values plain', () => {
    const headers = itemHeaders(subject('tenwiki'), 'opensource')
    expect(headers['x-archive-meta00-title']).toBe(
      'uri(Wikimedia%20database%20dump%20of%20tenwiki%20on%2020260101)',
    )
    expect(headers['x-archive-meta00-mediatype']).toBe('data')
    expect(headers['x-archive-meta03-subject']).toBe('tenwiki')
    expect(headers['x-archive-meta00-wikiseed-infohash']).toBe(infohash)
    for (const value of Object.values(headers)) expect(value).toMatch(/^[\x21-\x7e]+$/)
  })
})

describe('item state', () => {
  const read = (value: unknown) => readItemState('x', Buffer.from(JSON.stringify(value)))
  const file = { path: 'a/b', sizeBytes: 3, digests: { md5: 'm', sha1: 's' } }

  it('knows that an empty object means no item', () => {
    expect(read({})).toMatchObject({ exists: false, isDark: false })
    expect(read({ is_dark: true })).toMatchObject({ exists: true, isDark: true })
  })

  it("tells where the item's files lie, if it is a host and a folder of this very item", () => {
    const storage = (server: unknown, dir: unknown) => read({ server, dir }).storage
    expect(storage('ia800100.us.archive.org', '/12/items/x')).toBe('ia800100.us.archive.org/12/items/x')
    expect(storage('127.0.0.1:8080', '/0/items/x')).toBe('127.0.0.1:8080/0/items/x')
    expect(storage('ia800100.us.archive.org', '/12/items/y')).toBeNull()
    expect(storage('ia800100.us.archive.org', '/12/items/y/x')).toBeNull()
    expect(storage('user@host', '/12/items/x')).toBeNull()
    expect(storage('host/path', '/12/items/x')).toBeNull()
    expect(storage(undefined, '/12/items/x')).toBeNull()
    expect(storage('host', 7)).toBeNull()
  })

  it('compares size, md5 and sha1, and waits for rows that do not show them all', () => {
    const verdict = (row: object) => compareFile(read({ files: [{ name: 'a/b', ...row }] }), file)
    expect(verdict({ size: '3', md5: 'm', sha1: 's' })).toBe('same')
    expect(verdict({ size: '4', md5: 'm', sha1: 's' })).toBe('different')
    expect(verdict({ size: '3', md5: 'm', sha1: 't' })).toBe('different')
    expect(verdict({ size: '3', md5: 'm' })).toBe('missing')
    expect(compareFile(read({ files: [] }), file)).toBe('missing')
  })

  it.each(['<html>', '[]', '{"files":{}}', '{"files":[{"size":"3"}]}'])('refuses %s', (text) => {
    expect(() => readItemState('x', Buffer.from(text))).toThrow(/cannot be read/)
  })
})
