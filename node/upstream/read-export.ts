/** One Content File Export as upstream shows it (PROTOCOL 1): its two markers, the names in its folder, the sizes of its files. */
import { completeSums, EXPORT_FILES_MAX, makeExportRun } from '../../protocol/dump/content-export.ts'
import type { Run } from '../../protocol/dump/run.ts'
import { isFileOfRun, originFolder, type RunName } from '../../protocol/shard/paths.ts'
import { type Origin, OriginError } from '../ports.ts'

/** A size follows from the sha256, so it is asked for once, whatever the file is called. */
export type SizesBySha256 = Map<string, number>

export interface ExportReading {
  /** What the markers alone say; without files. */
  readonly first: Run
  /** With the sizes of all files, asked for one after the other where they are not known. */
  whole(sizes: SizesBySha256): Promise<Run>
}

/** Rejects with OriginError (`not-found` when there is nothing of it), or ShapeError when SHA256SUMS is something else. */
export async function readExport(
  origin: Origin,
  name: RunName,
  signal?: AbortSignal,
): Promise<ExportReading> {
  const folder = originFolder(name)
  const success = await origin.facts(`${folder}/_SUCCESS`, signal)
  const sums = success === null ? null : await origin.text(`${folder}/SHA256SUMS`, signal)
  const listed = await origin.list(folder, signal)
  // Not one that is being written: upstream has none, or deleted it.
  if (success === null && listed === null) throw new OriginError('not-found', `${folder}: not there`)
  const times = [success?.changedMs, sums?.changedMs].filter((ms) => typeof ms === 'number')
  const updatedMs = times.length === 0 ? null : Math.max(...times)
  const list = completeSums(name, {
    success: success !== null,
    sums: sums?.text ?? null,
    listed: listed?.map((entry) => entry.name) ?? null,
    updatedMs,
  })
  return {
    first: makeExportRun(name, list, new Map(), updatedMs),
    async whole(sizes) {
      const found = new Map<string, number>()
      const rows = [...(list?.digests ?? [])].filter(([file]) => isFileOfRun(file, name))
      if (rows.length > EXPORT_FILES_MAX) {
        throw new OriginError('too-large', `${folder}: more than ${EXPORT_FILES_MAX} files`)
      }
      for (const [file, sha256] of rows) {
        const sizeBytes = sizes.get(sha256) ?? (await origin.facts(`${folder}/${file}`, signal))?.sizeBytes
        // Upstream lost it: the run is shown with what is missing.
        if (sizeBytes === undefined) continue
        sizes.set(sha256, sizeBytes)
        found.set(file, sizeBytes)
      }
      return makeExportRun(name, list, found, updatedMs)
    },
  }
}
