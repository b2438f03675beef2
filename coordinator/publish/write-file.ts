/** A durable write whose failure is a PublishError. */
import { writeFileAtomic as write } from '../../node/files/durable.ts'
import { PublishError } from './publish-error.ts'

/** Writes a file whole or not at all. PublishError `disk`. */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await write(path, bytes)
  } catch (error) {
    throw new PublishError('disk', `cannot write ${path}`, { cause: error })
  }
}
