/**
 * A value with its checksum: the first 8 bytes of sha256(key || 0 || value), then the value. LevelDB returned flipped bytes
 * without an error (facts: level); with the key inside, a value that landed under another key is found too.
 */
import { createHash } from 'node:crypto'
import { StoreError } from './store-error.ts'

const CHECK_BYTES = 8

export function sealValue(key: string, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(CHECK_BYTES + value.length)
  sealed.set(checkOf(key, value))
  sealed.set(value, CHECK_BYTES)
  return sealed
}

/** Throws StoreError `corrupt`, which names the key. */
export function openValue(key: string, sealed: Uint8Array): Uint8Array {
  // A plain view: level gives Buffers, whose slice() shares memory where that of a Uint8Array copies.
  const from = Math.min(CHECK_BYTES, sealed.length)
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset + from, sealed.length - from)
  if (from < CHECK_BYTES || !checkOf(key, value).equals(sealed.subarray(0, CHECK_BYTES))) {
    throw new StoreError('corrupt', `the value of ${key} is damaged on disk`)
  }
  return value
}

function checkOf(key: string, value: Uint8Array): Buffer {
  return createHash('sha256').update(key).update('\0').update(value).digest().subarray(0, CHECK_BYTES)
}
