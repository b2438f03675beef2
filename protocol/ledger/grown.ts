/** Typed arrays by number that grow with the numbers. */

/** `to`, longer, with what `from` has at its start. */
export function grown<A extends Int32Array | Uint16Array | Uint8Array | Float64Array>(from: A, to: A): A {
  to.set(from)
  return to
}
