/** The Store's twin in memory, for tests and simulations. Nothing outlives the process. */
import type { Store } from '../ports.ts'
import { isKey } from './keyspace.ts'
import { StoreError } from './store-error.ts'

export function createMemoryStore(): Store {
  const values = new Map<string, Uint8Array>()
  let open = true
  const check = (...keys: readonly string[]): void => {
    if (!open) throw new StoreError('closed', 'the store in memory is closed')
    for (const key of keys) if (!isKey(key)) throw new TypeError(`not a key: ${JSON.stringify(key)}`)
  }
  return {
    async get(key) {
      check(key)
      return values.get(key)?.slice() ?? null
    },
    async batch(operations) {
      check(...operations.map((one) => one.key))
      for (const one of operations) {
        if (one.type === 'put') values.set(one.key, one.value.slice())
        else values.delete(one.key)
      }
    },
    async *list(prefix) {
      check()
      // A snapshot, as LevelDB's iterator has one.
      const rows = [...values].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
      for (const [key, value] of rows) {
        check()
        yield { key, value: value.slice() }
      }
    },
    async close() {
      open = false
    },
  }
}
