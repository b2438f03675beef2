/** Titles that somebody may have meant: the same but for letter case and marks, then those with the fewest letters changed. */

export const NEAR_MAX = 10
/** Letters that may differ. */
const CHANGES_MAX = 3

export class NearTitles {
  readonly #wanted: string
  readonly #found: { title: string; changes: number }[] = []

  constructor(wanted: string) {
    this.#wanted = folded(wanted)
  }

  look(title: string): void {
    const other = folded(title)
    const changes = this.#changes(other)
    if (changes === null) return
    this.#found.push({ title, changes })
    if (this.#found.length > 10 * NEAR_MAX) this.#cut()
  }

  /** The nearest first. */
  titles(): string[] {
    this.#cut()
    return this.#found.map((one) => one.title)
  }

  #changes(other: string): number | null {
    const wanted = this.#wanted
    if (other === wanted) return 0
    const near = distance(wanted, other, Math.min(CHANGES_MAX, Math.ceil(wanted.length / 3)))
    if (near !== null) return near
    // A part of a longer title comes behind what is written nearly the same.
    return wanted.length >= 3 && other.includes(wanted) ? CHANGES_MAX + other.length - wanted.length : null
  }

  #cut(): void {
    this.#found.sort((a, b) => a.changes - b.changes || (a.title < b.title ? -1 : 1))
    this.#found.length = Math.min(this.#found.length, NEAR_MAX)
  }
}

function folded(title: string): string {
  return title
    .normalize('NFD')
    .replace(/\p{Mn}+/gu, '')
    .toLowerCase()
}

/** Levenshtein's distance when it is at most `max`, else null. */
export function distance(a: string, b: string, max: number): number | null {
  if (Math.abs(a.length - b.length) > max) return null
  let before = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const now = [row]
    let least = row
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1
      const value = Math.min(
        (before[column] ?? 0) + 1,
        (now[column - 1] ?? 0) + 1,
        (before[column - 1] ?? 0) + same,
      )
      now.push(value)
      least = Math.min(least, value)
    }
    if (least > max) return null
    before = now
  }
  const last = before[b.length] ?? 0
  return last <= max ? last : null
}
