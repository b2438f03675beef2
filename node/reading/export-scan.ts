/** Content File Exports, which have no index: their files in the order of pages, read from the first to the last (DECISION 0031). */
import { type ContentExportName, parseContentExportName } from '../../protocol/dump/content-export.ts'
import type { RunFile, RunSource } from './byte-source.ts'
import { ahead, chunksOf, unpacked } from './chunks.ts'
import { PageScanner, type ScanEvent } from './page-scanner.ts'

export interface ExportFile extends RunFile {
  readonly pages: ContentExportName
}

/** In the order of pages, those of one page in the order of its revisions. */
export function exportFilesOf(files: readonly RunFile[]): ExportFile[] {
  return files
    .flatMap((file) => {
      const pages = parseContentExportName(file.name)
      return pages === null ? [] : [{ ...file, pages }]
    })
    .sort(
      ({ pages: a }, { pages: b }) =>
        a.firstPage - b.firstPage || (a.revisions?.first ?? 0) - (b.revisions?.first ?? 0),
    )
}

export interface ScanOptions {
  /** Whether a file is to be read; asked when its turn comes. @default all are */
  readonly wantsFile?: (file: ExportFile) => boolean
  /** Packed bytes that were read or passed over. */
  readonly onBytes?: (doneBytes: number, allBytes: number) => void
  readonly signal?: AbortSignal
}

/** Rejects with SourceError or DumpFormatError. Who has enough leaves the loop: nothing more is read then. */
export async function* scanExport(
  run: RunSource,
  files: readonly ExportFile[],
  { wantsFile = () => true, onBytes, signal }: ScanOptions = {},
): AsyncGenerator<ScanEvent & { readonly file: ExportFile }, void> {
  const allBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  let doneBytes = 0
  const counted = async function* (chunks: AsyncGenerator<Uint8Array, void>) {
    for await (const chunk of chunks) {
      yield chunk
      doneBytes += chunk.length
      onBytes?.(doneBytes, allBytes)
    }
  }
  for (const file of files) {
    if (!wantsFile(file)) {
      doneBytes += file.sizeBytes
      continue
    }
    const source = await run.open(file.name, signal)
    try {
      const scanner = new PageScanner(file.name)
      const packed = counted(ahead(chunksOf(source, signal)))
      for await (const piece of unpacked(file.name, packed))
        for (const event of scanner.push(piece)) yield { ...event, file }
      for (const event of scanner.end()) yield { ...event, file }
    } finally {
      await source.close()
    }
  }
}

/** Goes on, once all is found, only with the rest of the page that was last taken: its revisions may fill several files. */
export const isRestOf = (file: ExportFile, pageId: number | null): boolean =>
  file.pages.revisions !== null && file.pages.firstPage === pageId
