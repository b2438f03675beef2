import { canonicalize } from '@tufjs/canonical-json'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { olpcJson } from '../../protocol/codec/olpc-json.ts'

describe('olpcJson', () => {
  it('writes what @tufjs/canonical-json writes, for any value both accept', () => {
    const leaf = fc.oneof(fc.string({ unit: 'binary' }), fc.maxSafeInteger(), fc.boolean(), fc.constant(null))
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('value')),
        fc.dictionary(fc.string(), tie('value')),
      ),
    })).value
    fc.assert(
      fc.property(value, (input) => {
        expect(olpcJson(input)).toBe(canonicalize(input))
      }),
      { numRuns: 300 },
    )
  })

  it('escapes only the quotation mark and the backslash', () => {
    expect(olpcJson({ b: 'a"\\\n', a: [1, true, null] })).toBe('{"a":[1,true,null],"b":"a\\"\\\\\n"}')
  })

  it.each([[1.5], [2 ** 53], [Number.NaN], [undefined], [() => 1]])(
    'refuses %s, which has no canonical form',
    (value) => {
      expect(() => olpcJson({ value })).toThrow(TypeError)
    },
  )

  it('refuses nesting without end', () => {
    let value: unknown = 1
    for (let i = 0; i < 100; i++) value = [value]
    expect(() => olpcJson(value)).toThrow(TypeError)
  })
})
