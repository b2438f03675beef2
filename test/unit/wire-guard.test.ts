import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { metadataExchange } from '../../node/transfer/metadata-exchange.ts'
import type { Extension } from '../../node/transfer/wire.ts'
import { guardWire, Outgoing } from '../../node/transfer/wire-guard.ts'
import { type Bencodable, bdecodePrefix, bencode } from '../../protocol/codec/bencode.ts'
import { concatBytes } from '../../protocol/codec/bytes.ts'
import { infohashOf } from '../../protocol/torrent/info.ts'
import { fakeWire } from '../support/fake-wire.ts'
import { seededBytes } from '../support/shards.ts'

describe('wire guard', () => {
  it('lets ordinary messages and requests pass', () => {
    const { wire, done } = fakeWire()
    guardWire(wire, () => false)
    wire._parse(16 * 1024 + 9, () => {})
    wire._parse(Number.MAX_VALUE, () => {})
    wire._onRequest(0, 0, 16 * 1024)
    expect(done).toEqual(['parse 4', `parse ${16 * 1024 + 9}`, `parse ${Number.MAX_VALUE}`, 'request'])
  })

  it('bounds what waits for all peers together, and still serves one that has little waiting', () => {
    const outgoing = new Outgoing()
    const ask = (buffered: number) => {
      const { wire, done } = fakeWire({ _readableState: { buffered } })
      guardWire(wire, () => false, outgoing)
      wire._onRequest(0, 0, 16 * 1024)
      return { wire, served: !done.includes('reject') }
    }
    const hoarders = Array.from({ length: 5 }, () => ask(15 * 1024 * 1024))
    expect(hoarders.map((one) => one.served)).toEqual([true, true, true, true, false])
    expect(ask(300 * 1024).served).toBe(false)
    expect(ask(200 * 1024).served).toBe(true)
    for (const { wire } of hoarders) wire.emit('close')
    expect(ask(300 * 1024).served).toBe(true)
  })

  it('cuts a peer off that announces a message too long, also when that was read before the guard came', () => {
    for (const when of ['before', 'after']) {
      const { wire, done } = fakeWire(when === 'before' ? { _parserSize: 2 ** 31 } : {})
      guardWire(wire, () => false)
      if (when === 'after') wire._parse(2 ** 31, () => {})
      expect(done.slice(-2)).toEqual([`parse ${Number.MAX_VALUE}`, 'destroy'])
    }
  })

  it('says how many requests it queues, and rejects what is above', () => {
    const { wire, done } = fakeWire({ peerRequests: new Array(512).fill({ length: 1 }) })
    guardWire(wire, () => false)
    expect(wire.extendedHandshake.reqq).toBe(512)
    wire._onRequest(0, 0, 16 * 1024)
    expect(done.at(-1)).toBe('reject')
  })

  it('rejects requests of a peer that does not read, or cuts it off when it knows no rejects', () => {
    for (const hasFast of [true, false]) {
      const { wire, done } = fakeWire({ hasFast, _readableState: { buffered: 33 * 1024 * 1024 } })
      wire.once('hostile', () => done.push('hostile'))
      guardWire(wire, () => false)
      wire._onRequest(0, 0, 16 * 1024)
      expect(done.slice(1)).toEqual(hasFast ? ['reject'] : ['hostile', 'destroy'])
    }
  })

  it('reads what is asked for once there is room for it, without what was cancelled', () => {
    const answered: number[] = []
    const state = { buffered: 0 }
    const { wire } = fakeWire({ _readableState: state, _onRequest: (piece) => void answered.push(piece) })
    const { held } = guardWire(wire, () => false)
    wire._onRequest(0, 0, 16 * 1024)
    state.buffered = 1024 * 1024
    for (const piece of [1, 2, 3]) wire._onRequest(piece, 0, 16 * 1024)
    wire._onCancel(2, 0, 16 * 1024)
    held.serve()
    expect(answered).toEqual([0])
    state.buffered = 0
    held.serve()
    expect(answered).toEqual([0, 1, 3])
    expect(held.count).toBe(0)
  })

  it('hands what it held to the package when the peer is choked, which refuses it', () => {
    const answered: number[] = []
    const { wire } = fakeWire({
      _readableState: { buffered: 1024 * 1024 },
      amChoking: true,
      _onRequest: (piece) => void answered.push(piece),
    })
    const { held } = guardWire(wire, () => false)
    for (const piece of [1, 2]) wire._onRequest(piece, 0, 16 * 1024)
    expect(held.count).toBe(2)
    wire.choke()
    expect(answered).toEqual([1, 2])
  })

  it('drops requests once the torrent is gone', () => {
    const { wire, done } = fakeWire()
    guardWire(wire, () => true)
    wire._onRequest(0, 0, 16 * 1024)
    expect(done).toEqual(['parse 4'])
  })
})

describe('metadata exchange (BEP 9)', () => {
  const info = seededBytes('info', 40_000)
  const fieldsOf = (message: Uint8Array) => {
    const { value, length } = bdecodePrefix(message, { bytesMax: 20_000, itemsMax: 10 })
    return {
      fields: Object.fromEntries(value as ReadonlyMap<string, unknown>),
      data: message.subarray(length),
    }
  }
  const message = (fields: Bencodable, data = new Uint8Array()) => concatBytes(bencode(fields), data)
  function serving() {
    const peer = fakeWire()
    const Exchange = metadataExchange({ kind: 'serve', info })
    return { ...peer, exchange: new Exchange(peer.wire) }
  }
  function wanting(infohash = infohashOf(info)) {
    const peer = fakeWire()
    const got: Uint8Array[] = []
    const Exchange = metadataExchange({ kind: 'want', infohash, onInfo: (bytes) => void got.push(bytes) })
    const exchange: Extension = new Exchange(peer.wire)
    return { ...peer, got, exchange }
  }

  it('carries the raw bytes from one that has them to one that wants them', () => {
    const server = serving()
    const client = wanting()
    client.exchange.onExtendedHandshake(server.wire.extendedHandshake)
    for (const request of client.sent.splice(0)) server.exchange.onMessage(request)
    for (const answer of server.sent.splice(0).reverse()) client.exchange.onMessage(answer)
    expect(client.got).toEqual([info])
  })

  it('cuts a peer off that sent other bytes', () => {
    const client = wanting()
    client.exchange.onExtendedHandshake({ metadata_size: 100 })
    client.exchange.onMessage(message({ msg_type: 1, piece: 0, total_size: 100 }, new Uint8Array(100)))
    expect(client.got).toEqual([])
    expect(client.done).toEqual(['destroy'])
  })

  it.each([[-1], [0], [1.5], [5 * 1024 * 1024], ['100'], [undefined]])(
    'asks for nothing of a size of %s',
    (size) => {
      const client = wanting()
      client.exchange.onExtendedHandshake({ metadata_size: size })
      expect(client.sent).toEqual([])
    },
  )

  it('rejects pieces that do not exist, and a peer that never has enough', () => {
    const server = serving()
    const types = () => server.sent.splice(0).map((sent) => fieldsOf(sent).fields.msg_type)
    server.exchange.onMessage(message({ msg_type: 0, piece: 3 }))
    expect(types()).toEqual([2])
    for (let i = 0; i < 100; i++) server.exchange.onMessage(message({ msg_type: 0, piece: 0 }))
    const answers = types()
    expect(answers.filter((type) => type === 1).length).toBe(12)
    expect(answers.length).toBe(100)
  })

  it('throws at no message, and hands out nothing that is not the infohash', () => {
    const piece = fc.oneof(fc.integer(), fc.constantFrom(0, 1, 2, 3))
    const message_ = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .tuple(fc.integer({ min: -1, max: 4 }), piece, fc.uint8Array({ maxLength: 40 }))
        .map(([msg_type, piece, data]) => message({ msg_type, piece }, data)),
    )
    fc.assert(
      fc.property(fc.array(message_, { maxLength: 20 }), (messages) => {
        const [client, server] = [wanting(), serving()]
        client.exchange.onExtendedHandshake({ metadata_size: 30 })
        for (const bytes of messages) {
          client.exchange.onMessage(bytes)
          server.exchange.onMessage(bytes)
        }
        expect(client.got).toEqual([])
      }),
    )
  })
})
