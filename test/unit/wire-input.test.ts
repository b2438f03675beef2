import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Wire } from '../../node/transfer/wire.ts'
import { cutMessages } from '../../node/transfer/wire-input.ts'

const MESSAGE_BYTES_MAX = 1_000

/** Takes messages of one byte of length and then as many bytes, as the package does; `waiting` came before. */
function fakeWire(waiting: Uint8Array = new Uint8Array()) {
  const messages: string[] = []
  const take = (sizeBytes: number, parser: (bytes: Uint8Array) => void) => {
    wire._parserSize = sizeBytes
    wire._parser = parser
  }
  const onLength = (length: Uint8Array) => {
    const sizeBytes = length[0] ?? 0
    if (sizeBytes === 255) return take(Number.MAX_VALUE, () => {})
    if (sizeBytes === 0) return take(1, onLength)
    take(sizeBytes, (bytes) => {
      messages.push(Buffer.from(bytes).toString('hex'))
      take(1, onLength)
    })
  }
  const wire = {
    _buffer: waiting.length === 0 ? [] : [waiting],
    _bufferSize: waiting.length,
    _parserSize: 1,
    _parser: onLength,
    _processBuffer() {
      while (wire._bufferSize >= wire._parserSize) {
        const [buffer = new Uint8Array()] = wire._buffer
        const sizeBytes = wire._parserSize
        wire._bufferSize -= sizeBytes
        wire._buffer = wire._bufferSize > 0 ? [buffer.subarray(sizeBytes)] : []
        wire._parser(buffer.subarray(0, sizeBytes))
      }
    },
    _write: (_data: Uint8Array, _callback: (error: Error | null) => void) => {},
  }
  cutMessages(wire as unknown as Wire, MESSAGE_BYTES_MAX)
  return { wire, messages }
}

const someMessages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 })

describe('cutting packets into messages', () => {
  it('gives the same messages however they are cut, also when some bytes came before', () => {
    fc.assert(
      fc.property(
        someMessages,
        fc.array(fc.integer({ min: 1, max: 60 })),
        fc.boolean(),
        (sent, cuts, early) => {
          const stream = Buffer.concat(sent.flatMap((bytes) => [Buffer.from([bytes.length]), bytes]))
          const first = early ? stream.subarray(0, Math.min(1, stream.length)) : stream.subarray(0, 0)
          const { wire, messages } = fakeWire(first)
          let done = 0
          let at = first.length
          let writes = 0
          for (let i = 0; at < stream.length; i++) {
            const to = at + (cuts[i % (cuts.length || 1)] ?? stream.length)
            writes++
            wire._write(stream.subarray(at, to), () => done++)
            at = to
          }
          const expected = sent
            .filter(({ length }) => length > 0)
            .map((bytes) => Buffer.from(bytes).toString('hex'))
          if (writes > 0) expect(messages).toEqual(expected)
          expect(done).toBe(writes)
        },
      ),
    )
  })

  it('keeps nothing of what comes after a wire has ended', () => {
    const { wire, messages } = fakeWire()
    wire._write(Buffer.from([1, 7, 255, 1, 2, 3]), () => {})
    wire._write(Buffer.alloc(100_000), () => {})
    expect(messages).toEqual(['07'])
    expect(wire._bufferSize).toBe(0)
  })
})
