/** Multistream dumps made by Python's bz2: nothing of ours packs them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export function bzip2(bytes: string | Uint8Array): Buffer {
  const script = 'import bz2, sys; sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))'
  return execFileSync('python3', ['-c', script], { input: bytes, maxBuffer: 64 * 1024 * 1024 })
}

export interface MadePage {
  readonly id: number
  readonly title: string
  readonly text: string
}

const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

export const pageXml = ({ id, title, text }: MadePage): string => `  <page>
    <title>${escapeXml(title)}</title>
    <ns>0</ns>
    <id>${id}</id>
    <revision>
      <id>${id + 1_000}</id>
      <timestamp>2026-01-01T00:00:00Z</timestamp>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="${Buffer.byteLength(text)}" xml:space="preserve">${escapeXml(text)}</text>
    </revision>
  </page>
`

export const header = (
  dbname: string,
): string => `<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="ten">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>${dbname}</dbname>
    <base>https://ten.wikipedia.org/wiki/Main_Page</base>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="10" case="first-letter">Modelo</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
`

/** Writes a pair; `part` is what stands behind `multistream` in the names: '' or '1', and the range. */
export function writeMultistream(
  folder: string,
  start: string,
  streams: readonly (readonly MadePage[])[],
  part: { number: string; range: string } = { number: '', range: '' },
): void {
  mkdirSync(folder, { recursive: true })
  const [wiki = ''] = start.split('-')
  const packed = [bzip2(header(wiki))]
  const lines: string[] = []
  let offset = packed[0]?.length ?? 0
  for (const pages of streams) {
    for (const { id, title } of pages) lines.push(`${offset}:${id}:${escapeXml(title)}\n`)
    const stream = bzip2(pages.map(pageXml).join(''))
    packed.push(stream)
    offset += stream.length
  }
  packed.push(bzip2('</mediawiki>\n'))
  const name = (middle: string, form: string) =>
    join(folder, `${start}-pages-articles-multistream${middle}${part.number}.${form}${part.range}.bz2`)
  writeFileSync(name('', 'xml'), Buffer.concat(packed))
  writeFileSync(name('-index', 'txt'), bzip2(lines.join('')))
}
