/** The federation that a node belongs to: its root document, read from a file and checked. */
import { readFile, stat } from 'node:fs/promises'
import { ShapeError } from '../protocol/codec/shape.ts'
import { type FirstRoot, ROOT_BYTES_MAX, readRoot } from '../protocol/manifest/root.ts'
import { verifyEd25519 } from './net/signature.ts'

/** Rejects with an Error of one sentence when the file is absent, too large or no root document. */
export async function loadRoot(path: string): Promise<FirstRoot> {
  const size = await stat(path).then(
    (stats) => stats.size,
    () => null,
  )
  if (size === null) throw new Error(`there is no root document at ${path}`)
  if (size > ROOT_BYTES_MAX) throw new Error(`${path} is too large for a root document`)
  try {
    return readRoot(await readFile(path), verifyEd25519)
  } catch (error) {
    if (error instanceof ShapeError) throw new Error(`${path} is no valid root document: ${error.message}`)
    throw error
  }
}
