/** CRC-64 of .xz (ECMA-182, reflected; .xz file format 1.2.0, 7), eight bytes at a time. node:zlib has none. */

const POLYNOMIAL = 0xc96c5795d7870f42n
const LOW = 0xffffffffn

/** Eight tables of 256, each entry in two halves. */
const tables = makeTables()

function makeTables(): { low: Int32Array; high: Int32Array } {
  const low = new Int32Array(8 * 256)
  const high = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte)
    for (let table = 0; table < 8; table++) {
      for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ POLYNOMIAL : crc >> 1n
      low[table * 256 + byte] = Number(BigInt.asIntN(32, crc & LOW))
      high[table * 256 + byte] = Number(BigInt.asIntN(32, crc >> 32n))
    }
  }
  return { low, high }
}

export class Crc64 {
  #low = -1
  #high = -1

  update(bytes: Uint8Array): void {
    const { low: tableLow, high: tableHigh } = tables
    let low = this.#low
    let high = this.#high
    let at = 0
    for (const whole = bytes.length - 7; at < whole; at += 8) {
      const a =
        low ^
        ((bytes[at] as number) |
          ((bytes[at + 1] as number) << 8) |
          ((bytes[at + 2] as number) << 16) |
          ((bytes[at + 3] as number) << 24))
      const b =
        high ^
        ((bytes[at + 4] as number) |
          ((bytes[at + 5] as number) << 8) |
          ((bytes[at + 6] as number) << 16) |
          ((bytes[at + 7] as number) << 24))
      const i0 = 7 * 256 + (a & 255)
      const i1 = 6 * 256 + ((a >>> 8) & 255)
      const i2 = 5 * 256 + ((a >>> 16) & 255)
      const i3 = 4 * 256 + (a >>> 24)
      const i4 = 3 * 256 + (b & 255)
      const i5 = 2 * 256 + ((b >>> 8) & 255)
      const i6 = 256 + ((b >>> 16) & 255)
      const i7 = b >>> 24
      low =
        (tableLow[i0] as number) ^
        (tableLow[i1] as number) ^
        (tableLow[i2] as number) ^
        (tableLow[i3] as number) ^
        (tableLow[i4] as number) ^
        (tableLow[i5] as number) ^
        (tableLow[i6] as number) ^
        (tableLow[i7] as number)
      high =
        (tableHigh[i0] as number) ^
        (tableHigh[i1] as number) ^
        (tableHigh[i2] as number) ^
        (tableHigh[i3] as number) ^
        (tableHigh[i4] as number) ^
        (tableHigh[i5] as number) ^
        (tableHigh[i6] as number) ^
        (tableHigh[i7] as number)
    }
    for (; at < bytes.length; at++) {
      const i = (low ^ (bytes[at] as number)) & 255
      low = ((low >>> 8) | (high << 24)) ^ (tableLow[i] as number)
      high = (high >>> 8) ^ (tableHigh[i] as number)
    }
    this.#low = low
    this.#high = high
  }

  /** As .xz stores it: eight bytes, the lowest first. */
  digest(): Uint8Array {
    const out = new Uint8Array(8)
    const view = new DataView(out.buffer)
    view.setInt32(0, ~this.#low, true)
    view.setInt32(4, ~this.#high, true)
    return out
  }
}
