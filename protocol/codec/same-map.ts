/** Do two maps have the same keys with the same values, in any order? Values are compared by identity. */
export function sameMap<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (b.get(key) !== value || !b.has(key)) return false
  return true
}
