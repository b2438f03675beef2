import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { patch } from '../sim/mutate.ts'
import { MUTATIONS } from '../sim/mutations.ts'

const root = join(import.meta.dirname, '..', '..')

describe('the mutations of the protocol', () => {
  it.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
    'still fit the source: %s',
    (_, mutation) => {
      const text = readFileSync(join(root, mutation.file), 'utf8')
      expect(patch(text, mutation)).not.toBe(text)
    },
  )

  it('have names of their own', () => {
    expect(new Set(MUTATIONS.map((one) => one.name)).size).toBe(MUTATIONS.length)
  })
})
