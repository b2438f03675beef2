/** A folder on this machine: served by any web server, or synced by hand. The first place to publish, and the offline one. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PublishError } from './publish-error.ts'
import type { PublishFile } from './publish-file.ts'
import type { PublishTarget } from './target.ts'
import { writeFileAtomic } from './write-file.ts'

export function createLocalFolder(options: { readonly dir: string; readonly name?: string }): PublishTarget {
  const { dir, name = 'folder' } = options
  return {
    name,
    async publish(files, signal) {
      let written = 0
      let skipped = 0
      for (const file of files.values()) {
        if (signal?.aborted === true) throw new PublishError('aborted', `publishing to ${name} was stopped`)
        const path = join(dir, ...elements(file.path))
        if (await holds(path, file)) skipped++
        else {
          await writeFileAtomic(path, file.bytes)
          written++
        }
      }
      return { written, skipped }
    },
  }
}

function elements(path: string): string[] {
  const parts = path.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new TypeError(`not a relative path: ${path}`)
  }
  return parts
}

/** Compares bytes, so a damaged file is written again. */
async function holds(path: string, file: PublishFile): Promise<boolean> {
  try {
    if ((await stat(path)).size !== file.bytes.length) return false
    return (await readFile(path)).equals(file.bytes)
  } catch {
    return false
  }
}
