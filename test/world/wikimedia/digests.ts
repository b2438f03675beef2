// Digests of the files as they are served, computed once for each state of a file.
import { createHash } from 'node:crypto'
import { readDisk } from '../serve-file.ts'

export type Digests = { md5: string; sha1: string; sha256: string }

const cachedMax = 100_000
const atOnceMax = 2

export class DigestCache {
  readonly #known = new Map<string, Promise<Digests>>()
  #running = 0
  readonly #waiting: (() => void)[] = []

  of(path: string, sizeBytes: number, mtimeMs: number, flips: readonly number[]): Promise<Digests> {
    const key = `${path}|${sizeBytes}|${mtimeMs}|${flips.join(',')}`
    const known = this.#known.get(key)
    if (known) return known
    if (this.#known.size >= cachedMax) this.#known.clear()
    const digests = this.#compute(path, sizeBytes, flips)
    this.#known.set(key, digests)
    digests.catch(() => this.#known.delete(key))
    return digests
  }

  async #compute(path: string, sizeBytes: number, flips: readonly number[]): Promise<Digests> {
    while (this.#running >= atOnceMax) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running += 1
    try {
      const hashes = { md5: createHash('md5'), sha1: createHash('sha1'), sha256: createHash('sha256') }
      if (sizeBytes > 0) {
        for await (const chunk of readDisk(path, 0, sizeBytes - 1, flips)) {
          for (const hash of Object.values(hashes)) hash.update(chunk)
        }
      }
      return {
        md5: hashes.md5.digest('hex'),
        sha1: hashes.sha1.digest('hex'),
        sha256: hashes.sha256.digest('hex'),
      }
    } finally {
      this.#running -= 1
      this.#waiting.shift()?.()
    }
  }
}
