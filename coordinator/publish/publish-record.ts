/**
 * What a target is known to hold: path -> sha256 of the bytes last written there, and notes such as a gist's id. Kept in one
 * JSON file. It only saves requests; losing it costs one full upload.
 */
import { readFile } from 'node:fs/promises'
import { isMissing } from '../../node/system-error.ts'
import { list, record, text } from '../../protocol/codec/shape.ts'
import { PublishError } from './publish-error.ts'
import { writeFileAtomic } from './write-file.ts'

export interface PublishRecord {
  sha256Of(path: string): string | null
  /** Remembers in memory; `save` makes it durable. */
  remember(path: string, sha256: string): void
  note(name: string): string | null
  setNote(name: string, value: string | null): void
  save(): Promise<void>
}

const ENTRIES_MAX = 1_000_000

/** Opens or begins the record in this file. PublishError `disk` when the file is there and cannot be used. */
export async function openPublishRecord(path: string): Promise<PublishRecord> {
  const json = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '{"files":[],"notes":[]}'
    throw new PublishError('disk', `cannot read ${path}`, { cause: error })
  })
  try {
    const fields = record(JSON.parse(json), 'record', ['files', 'notes'])
    return memoryPublishRecord({
      files: new Map(list(fields.files, 'record.files', ENTRIES_MAX, pair)),
      notes: new Map(list(fields.notes, 'record.notes', ENTRIES_MAX, pair)),
      save: (text) => writeFileAtomic(path, Buffer.from(text)),
    })
  } catch (error) {
    throw new PublishError('disk', `${path} is damaged; remove it to publish everything again`, {
      cause: error,
    })
  }
}

/** Without a file: lives as long as the process. */
export function memoryPublishRecord(
  start: {
    files?: Map<string, string>
    notes?: Map<string, string>
    save?: (text: string) => Promise<void>
  } = {},
): PublishRecord {
  const files = start.files ?? new Map<string, string>()
  const notes = start.notes ?? new Map<string, string>()
  return {
    sha256Of: (path) => files.get(path) ?? null,
    remember: (path, sha256) => void files.set(path, sha256),
    note: (name) => notes.get(name) ?? null,
    setNote: (name, value) => void (value === null ? notes.delete(name) : notes.set(name, value)),
    save: async () => start.save?.(`${JSON.stringify({ files: [...files], notes: [...notes] })}\n`),
  }
}

function pair(value: unknown, path: string): [string, string] {
  const [first, second] = list(value, path, 2, (item, at) => text(item, at, 4_096))
  if (first === undefined || second === undefined) throw new TypeError(`${path} is no pair`)
  return [first, second]
}
