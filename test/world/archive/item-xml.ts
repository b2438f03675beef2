// `<item>_meta.xml` and `<item>_files.xml`, which every item has besides its own files.
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { escapeXml } from '../xml.ts'
import type { FileRow, Item, Metadata } from './store.ts'

/** Writes both documents and puts their rows into the item. */
export async function writeItemXml(item: Item, folder: string): Promise<void> {
  const metaName = `${item.identifier}_meta.xml`
  const filesName = `${item.identifier}_files.xml`
  const own = item.files.filter(({ name }) => name !== metaName && name !== filesName)
  const meta = metaXml(item.metadata)
  const metaRow: FileRow = {
    name: metaName,
    source: 'metadata',
    format: 'Metadata',
    size: String(Buffer.byteLength(meta)),
    mtime: String(item.updatedSeconds),
    md5: createHash('md5').update(meta).digest('hex'),
    crc32: crc32(meta).toString(16).padStart(8, '0'),
    sha1: createHash('sha1').update(meta).digest('hex'),
  }
  const files = filesXml([...own, metaRow], filesName)
  // The file list cannot hold its own size and SHA-1; the API shows its MD5 alone.
  const filesRow: FileRow = {
    name: filesName,
    source: 'metadata',
    format: 'Metadata',
    md5: createHash('md5').update(files).digest('hex'),
  }
  await writeFile(join(folder, metaName), meta)
  await writeFile(join(folder, filesName), files)
  item.files = [...own, metaRow, filesRow]
}

function metaXml(metadata: Metadata): string {
  const rows = Object.entries(metadata).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((text) => `  <${name}>${escapeXml(text)}</${name}>\n`),
  )
  return `<?xml version="1.0" encoding="UTF-8"?>\n<metadata>\n${rows.join('')}</metadata>\n`
}

function filesXml(rows: readonly FileRow[], ownName: string): string {
  const self = `  <file name="${escapeXml(ownName)}" source="metadata">\n    <format>Metadata</format>\n  </file>\n`
  const others = rows.map(({ name, source, ...more }) => {
    const inner = Object.entries(more).map(([tag, text]) => `    <${tag}>${escapeXml(text ?? '')}</${tag}>\n`)
    return `  <file name="${escapeXml(name)}" source="${source}">\n${inner.join('')}  </file>\n`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<files>\n${others.join('')}${self}</files>\n`
}

const formats: Record<string, string> = {
  torrent: 'BitTorrent',
  bz2: 'BZIP2',
  gz: 'GZIP',
  '7z': '7z',
  json: 'JSON',
  txt: 'Text',
  xml: 'XML',
  zip: 'ZIP',
}

export function formatOf(name: string): string {
  return formats[name.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'Unknown'
}
