/** Writes that survive a crash: sync the bytes, rename, sync the folder that now names them. */
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isMissing } from '../system-error.ts'
import { exists } from './disk.ts'
import { safeJoin } from './layout.ts'

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes the names inside a folder durable. Windows cannot open folders; its file system journals names itself. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Makes a folder with all above it, durably. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let at = path; ; at = dirname(at)) {
    await syncFolder(dirname(at))
    if (at === first || dirname(at) === at) return
  }
}

/** The file holds either its old bytes or all of the new ones, whenever the power goes. */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  await makeFolder(dirname(path))
  try {
    const file = await open(temporary, 'w')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Renames a file that is synced already, durably. Both must lie on one file system. */
export async function moveFile(from: string, to: string): Promise<void> {
  await makeFolder(dirname(to))
  await rename(from, to)
  await syncFolder(dirname(to))
  if (dirname(from) !== dirname(to)) await syncFolder(dirname(from))
}

/**
 * Moves staged files into the mirror, one by one: each is at all times whole at one of the two places. What was moved by an
 * earlier, interrupted call is left where it is. Rejects with the file system's error; calling again goes on.
 */
export async function moveTree(
  fromRoot: string,
  toRoot: string,
  relativePaths: readonly string[],
  onMoved: () => void = () => {},
): Promise<void> {
  for (const path of relativePaths) {
    const from = safeJoin(fromRoot, path)
    const to = safeJoin(toRoot, path)
    try {
      await syncFile(from)
    } catch (error) {
      if (isMissing(error) && (await exists(to))) continue
      throw error
    }
    await moveFile(from, to)
    onMoved()
  }
}
