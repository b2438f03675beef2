import { describe, expect, it } from 'vitest'
import { Lsd, lsdDatagram, readLsd } from '../../node/transfer/lsd.ts'
import type { Announce } from '../../node/transfer/tracker-answer.ts'
import type { Infohash } from '../../protocol/ids.ts'

const hash = (number: number) => number.toString(16).padStart(40, 'a') as Infohash
const announce = (number: number): Announce => ({
  infohash: hash(number),
  peerId: 'ab'.repeat(20),
  port: 6_881,
  outsidePort: 49_152,
  uploadedBytes: 0,
  downloadedBytes: 0,
  leftBytes: 0,
  event: 'started',
})
const text = (...lines: string[]) => Buffer.from(`${lines.join('\r\n')}\r\n\r\n\r\n`)
const FIRST = 'BT-SEARCH * HTTP/1.1'
const HOST = 'Host: 239.192.152.143:6771'

describe('a datagram of local service discovery', () => {
  it('is that of BEP 14', () => {
    expect(Buffer.from(lsdDatagram([announce(1)], 'me')).toString()).toBe(
      `${FIRST}\r\n${HOST}\r\nPort: 6881\r\nInfohash: ${hash(1)}\r\ncookie: me\r\n\r\n\r\n`,
    )
  })

  it('names twenty torrents in the bytes that BEP 14 allows, and is read', () => {
    const announces = Array.from({ length: 20 }, (_, i) => announce(i))
    const datagram = lsdDatagram(announces, '0123456789abcdef')
    expect(datagram.length).toBeLessThan(1_400)
    const infohashes = announces.map((one) => one.infohash)
    expect(readLsd(datagram)).toEqual({ port: 6_881, infohashes, cookie: '0123456789abcdef' })
  })

  it('is read as others write it', () => {
    const said = text(FIRST, HOST, 'Port: 7', `Infohash: ${hash(1).toUpperCase()}`, 'X-Other: y')
    expect(readLsd(said)).toEqual({ port: 7, infohashes: [hash(1)], cookie: '' })
  })

  it.each<[string, Uint8Array]>([
    ['another first line', text('NOTIFY * HTTP/1.1', HOST, 'Port: 7', `Infohash: ${hash(1)}`)],
    ['no port', text(FIRST, HOST, `Infohash: ${hash(1)}`)],
    ['a port out of range', text(FIRST, 'Port: 70000', `Infohash: ${hash(1)}`)],
    ['no infohash', text(FIRST, 'Port: 7')],
    ['an infohash that is short', text(FIRST, 'Port: 7', 'Infohash: abc')],
    ['more bytes than allowed', text(FIRST, 'Port: 7', ...Array(40).fill(`Infohash: ${hash(1)}`))],
    ['nothing in it', Buffer.alloc(0)],
    ['noise', Buffer.alloc(1_400, 0xa5)],
  ])('is none with %s', (_what, bytes) => {
    expect(readLsd(bytes)).toBe(null)
  })

  it.each([
    ['127.0.0.1', false],
    ['127.0.0.2', false],
    ['localhost', false],
    ['::1', false],
    ['fd00::1', false],
    ['192.168.1.7', true],
    ['0.0.0.0', true],
    ['::', true],
  ])('leaves a node that listens on %s: %s', (host, does) => {
    expect(Lsd.offBecause({ host }) === null).toBe(does)
  })
})
