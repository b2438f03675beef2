// MediaWiki Content File Exports: SHA256SUMS and _SUCCESS appear in a folder whose export is complete.
import { type Faults, globMatches } from '../faults.ts'
import type { StatusMaker } from './status.ts'
import type { DumpTree } from './tree.ts'
import type { Versions } from './versions.ts'

const exportFolders = ['mediawiki_content_current', 'mediawiki_content_history']
/** Big wikis take days; so an export of the 1st is there on the 4th. */
const takesMs = 3 * 86_400_000

type Parts = { tree: DumpTree; status: StatusMaker; versions: Versions; faults: Faults }

/** The text of a derived marker and when it was written, or undefined when the path is none. An empty export has no markers. */
export async function exportMarker(
  { tree, status, versions, faults }: Parts,
  names: readonly string[],
): Promise<{ text: string; mtimeMs: number } | undefined> {
  const [other, kind = '', db = '', date = '', xml, bzip2, marker] = names
  const fits =
    names.length === 7 &&
    other === 'other' &&
    exportFolders.includes(kind) &&
    xml === 'xml' &&
    bzip2 === 'bzip2'
  if (!fits || !/^\d{4}-\d{2}-\d{2}$/.test(date) || (marker !== 'SHA256SUMS' && marker !== '_SUCCESS'))
    return undefined
  const run = `${kind}/${db}/${date}`
  if (faults.unfinishedExports.some((glob) => globMatches(glob, run))) return undefined
  const folder = names.slice(0, -1)
  const files = (await tree.list(folder)).filter(
    (name) => name.startsWith(`${db}-${date}-`) && name.endsWith('.bz2'),
  )
  if (files.length === 0) return undefined
  const mtimeMs = Date.parse(`${date}T00:00:00Z`) + takesMs
  if (marker === '_SUCCESS') return { text: '', mtimeMs }
  let text = ''
  for (const name of files) {
    const entry = await tree.find([...folder, name])
    if (entry?.kind !== 'file') continue
    const state = versions.stateOf(`/${[...folder, name].join('/')}`, entry)
    text += `${(await status.digestsOf(state)).sha256}  ${name}\n`
  }
  if (faults.halfSums.some((glob) => globMatches(glob, run))) text = half(text)
  return { text, mtimeMs }
}

/** The first half of the lines, whole: the cut that form alone does not show. One line alone is cut in itself. */
function half(text: string): string {
  const lines = text.split('\n').slice(0, -1)
  if (lines.length === 1) return text.slice(0, Math.floor(text.length / 2))
  return lines
    .slice(0, Math.floor(lines.length / 2))
    .map((line) => `${line}\n`)
    .join('')
}
