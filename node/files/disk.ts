/** Room on the disk, and what files there are and how big, as the file system sees them. */
import { stat, statfs } from 'node:fs/promises'
import { isMissing } from '../system-error.ts'

export interface DiskSpace {
  /** What this process may still write; less than what is free when the system keeps a reserve. */
  readonly freeBytes: number
  readonly totalBytes: number
}

/** Of the file system that holds this existing path. Rejects with the file system's error. */
export async function diskSpace(path: string): Promise<DiskSpace> {
  const facts = await statfs(path, { bigint: true })
  return { freeBytes: toNumber(facts.bavail * facts.bsize), totalBytes: toNumber(facts.blocks * facts.bsize) }
}

/** False only when there is no such file or folder. Rejects with any other error of the file system. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Bytes of a plain file; 0 when there is none. */
export async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (facts) => (facts.isFile() ? facts.size : 0),
    () => 0,
  )
}

/** Bytes of a file that need no room any more: one that is written in pieces may have its size before its bytes. */
export async function roomOf(path: string): Promise<number> {
  return stat(path).then(
    (facts) => Math.min(facts.size, facts.blocks * 512),
    () => 0,
  )
}

function toNumber(bytes: bigint): number {
  return Number(bytes > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : bytes)
}
