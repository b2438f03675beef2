/** base58btc: the alphabet of Bitcoin and of libp2p peer ids, without a multibase prefix. */

export const BASE58_ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** The conversion is quadratic, so its input is short: a peer id has 38 bytes. */
export const BASE58_BYTES_MAX = 128
const TEXT_LENGTH_MAX = 176 // ceil(128 * 8 / log2(58))

/** Throws RangeError above BASE58_BYTES_MAX. */
export function base58FromBytes(bytes: Uint8Array): string {
  if (bytes.length > BASE58_BYTES_MAX) throw new RangeError(`base58: more than ${BASE58_BYTES_MAX} bytes`)
  let zeros = 0
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++
  // Five digits at a time, least significant first: each number stays below 2^53.
  const fives: number[] = []
  for (let at = zeros; at < bytes.length; at++) {
    let carry = bytes[at] as number
    for (let i = 0; i < fives.length; i++) {
      carry += (fives[i] as number) * 256
      fives[i] = carry % FIVE_DIGITS
      carry = Math.floor(carry / FIVE_DIGITS)
    }
    if (carry > 0) fives.push(carry)
  }
  let text = ''
  for (let five of fives) {
    for (let i = 0; i < 5; i++) {
      text = BASE58_ALPHABET.charAt(five % 58) + text
      five = Math.floor(five / 58)
    }
  }
  return '1'.repeat(zeros) + text.replace(/^1+/, '')
}
const FIVE_DIGITS = 58 ** 5

/** The bytes of a base58btc text, or null when it is too long or holds another character. */
export function bytesFromBase58(text: string): Uint8Array | null {
  if (text.length > TEXT_LENGTH_MAX) return null
  const digits: number[] = []
  for (const character of text) {
    const digit = BASE58_ALPHABET.indexOf(character)
    if (digit < 0) return null
    digits.push(digit)
  }
  const bytes = Uint8Array.from(convert(digits, 58, 256))
  return bytes.length > BASE58_BYTES_MAX ? null : bytes
}

/** Most significant digit first; each leading zero digit stays one leading zero digit. */
function convert(digits: Iterable<number>, fromBase: number, toBase: number): number[] {
  let leadingZeros = 0
  const littleEndian: number[] = []
  for (const digit of digits) {
    if (digit === 0 && littleEndian.length === 0) {
      leadingZeros++
      continue
    }
    let carry = digit
    for (let i = 0; i < littleEndian.length; i++) {
      carry += (littleEndian[i] ?? 0) * fromBase
      littleEndian[i] = carry % toBase
      carry = Math.floor(carry / toBase)
    }
    while (carry > 0) {
      littleEndian.push(carry % toBase)
      carry = Math.floor(carry / toBase)
    }
  }
  return [...new Array<number>(leadingZeros).fill(0), ...littleEndian.reverse()]
}
