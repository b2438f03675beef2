/**
 * From `unknown` to a typed value, or an error that names the path that failed. Used on everything decoded from the
 * network, from disk and from upstream; a reader never trusts a length that it did not bound.
 */

/** The only error that readers throw: `path` says where, `message` what was expected. */
export class ShapeError extends Error {
  readonly path: string
  constructor(path: string, expected: string) {
    super(`${path}: expected ${expected}`)
    this.name = 'ShapeError'
    this.path = path
  }
}

/** Returns the typed value or throws ShapeError. */
export type Reader<T> = (value: unknown, path: string) => T

export function record(
  value: unknown,
  path: string,
  keys?: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw new ShapeError(path, 'a map')
  }
  const fields = value as Record<string, unknown>
  if (keys !== undefined) {
    for (const key of Object.keys(fields))
      if (!keys.includes(key)) throw new ShapeError(`${path}.${key}`, 'no such field')
  }
  return fields
}

export function integer(value: unknown, path: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new ShapeError(path, `a whole number in ${min}..${max}`)
  }
  return value
}

export function text(value: unknown, path: string, lengthMax: number): string {
  if (typeof value !== 'string' || value.length > lengthMax)
    throw new ShapeError(path, `text of at most ${lengthMax} characters`)
  return value
}

/** A string of a branded form: `branded(isNodeId, 'a peer id')`. */
export function branded<T extends string>(is: (value: string) => value is T, expected: string): Reader<T> {
  return (value, path) => {
    if (typeof value !== 'string' || !is(value)) throw new ShapeError(path, expected)
    return value
  }
}

export function boolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') throw new ShapeError(path, 'true or false')
  return value
}

export function bytes(value: unknown, path: string, lengthMin: number, lengthMax = lengthMin): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < lengthMin || value.length > lengthMax) {
    throw new ShapeError(path, `${lengthMin}..${lengthMax} bytes`)
  }
  return value
}

export function oneOf<T extends string>(value: unknown, path: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw new ShapeError(path, `one of ${choices.join(', ')}`)
  return found
}

export function list<T>(value: unknown, path: string, lengthMax: number, item: Reader<T>): T[] {
  if (!Array.isArray(value) || value.length > lengthMax)
    throw new ShapeError(path, `a list of at most ${lengthMax}`)
  return value.map((element, index) => item(element, `${path}[${index}]`))
}

export function map<T>(value: unknown, path: string, sizeMax: number, item: Reader<T>): Map<string, T> {
  const fields = record(value, path)
  const keys = Object.keys(fields)
  if (keys.length > sizeMax) throw new ShapeError(path, `a map of at most ${sizeMax}`)
  return new Map(keys.map((key) => [key, item(fields[key], `${path}.${key}`)]))
}

/** `undefined` when the field is absent, else what the reader makes of it. */
export function optional<T>(value: unknown, path: string, reader: Reader<T>): T | undefined {
  return value === undefined ? undefined : reader(value, path)
}
