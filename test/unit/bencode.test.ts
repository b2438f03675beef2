import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Bencodable,
  BencodeError,
  bdecode,
  bdecodePrefix,
  bencode,
  bencodeFields,
} from '../../protocol/codec/bencode.ts'

const LIMITS = { bytesMax: 10_000, itemsMax: 1_000 }
const ascii = (text: string) => new TextEncoder().encode(text)
const decodeText = (text: string) => bdecode(ascii(text), LIMITS)

const key = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 5,
})
const { value: anyValue } = fc.letrec<{ value: Bencodable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.maxSafeInteger(),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
}))

describe('bencode', () => {
  it('writes the examples of BEP 3', () => {
    const spam = { spam: ['a', 'b'], cow: 'moo', n: -3, zero: 0 }
    expect(new TextDecoder().decode(bencode(spam))).toBe('d3:cow3:moo1:ni-3e4:spaml1:a1:be4:zeroi0ee')
  })

  it('sorts keys as raw bytes, not as text of a locale', () => {
    expect(new TextDecoder('latin1').decode(bencode({ b: 1, B: 2, '\xe4': 3, a: 4 }))).toBe(
      'd1:Bi2e1:ai4e1:bi1e1:\xe4i3ee',
    )
  })

  it('gives back what it wrote, and writes what it read', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = bencode(value)
        const limits = { bytesMax: 1_000_000, itemsMax: 100_000 }
        expect(bencode(bdecode(bytes, limits))).toEqual(bytes)
      }),
    )
  })

  it('refuses to write a fraction and a key that is not bytes', () => {
    expect(() => bencode(1.5)).toThrow(TypeError)
    expect(() => bencode({ '€': 1 })).toThrow(TypeError)
  })

  it.each([
    ['nothing', ''],
    ['a leading zero', 'i03e'],
    ['minus zero', 'i-0e'],
    ['a plus', 'i+1e'],
    ['no digits', 'ie'],
    ['a lone minus', 'i-e'],
    ['a number without end', 'i12'],
    ['a number above the safe integers', 'i9007199254740992e'],
    ['a number of a thousand digits', `i${'9'.repeat(1_000)}e`],
    ['a leading zero in a length', '01:a'],
    ['a negative length', '-1:a'],
    ['a string longer than the input', '5:abc'],
    ['a list without end', 'li1e'],
    ['a map without end', 'd1:a'],
    ['a key that is a number', 'di1ei2ee'],
    ['a key without value', 'd1:ae'],
    ['unsorted keys', 'd1:bi1e1:ai2ee'],
    ['a key twice', 'd1:ai1e1:ai2ee'],
    ['bytes after the value', 'i1ei2e'],
    ['a byte that begins nothing', 'x'],
    ['a depth above the bound', `${'l'.repeat(40)}${'e'.repeat(40)}`],
    ['more values than the bound', `l${'le'.repeat(1_001)}e`],
    ['more bytes than the bound', `10000:${'a'.repeat(10_000)}`],
  ])('refuses %s', (_what, text) => {
    expect(() => decodeText(text)).toThrow(BencodeError)
  })

  it('throws nothing but its own error, whatever the bytes', () => {
    const soup = fc
      .array(fc.constantFrom(...'dlie0123456789:-a'), { maxLength: 60 })
      .map((parts) => ascii(parts.join('')))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), soup), (bytes) => {
        try {
          bdecode(bytes, LIMITS)
        } catch (error) {
          expect(error).toBeInstanceOf(BencodeError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('hands out the exact bytes of a field', () => {
    const fields = bencodeFields(ascii('d8:announce3:url4:infod4:name1:xee'), LIMITS)
    expect(new TextDecoder().decode(fields.get('info')?.raw)).toBe('d4:name1:xe')
  })

  it('says how long a value at the beginning was', () => {
    expect(bdecodePrefix(ascii('d8:msg_typei1eeDATA'), LIMITS).length).toBe(15)
  })
})
