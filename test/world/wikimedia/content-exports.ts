// MediaWiki Content File Exports: SHA256SUMS and _SUCCESS appear in a folder whose export is complete.
import type { StatusMaker } from './status.ts'
import type { DumpTree } from './tree.ts'
import type { Versions } from './versions.ts'

const exportFolders = ['mediawiki_content_current', 'mediawiki_content_history']

/** The text of a derived marker, or undefined when the path is none. An empty export has no markers. */
export async function exportMarker(
  tree: DumpTree,
  status: StatusMaker,
  versions: Versions,
  names: readonly string[],
): Promise<string | undefined> {
  const [other, kind = '', db, date = '', xml, bzip2, marker] = names
  const fits =
    names.length === 7 &&
    other === 'other' &&
    exportFolders.includes(kind) &&
    xml === 'xml' &&
    bzip2 === 'bzip2'
  if (!fits || !/^\d{4}-\d{2}-\d{2}$/.test(date) || (marker !== 'SHA256SUMS' && marker !== '_SUCCESS'))
    return undefined
  const folder = names.slice(0, -1)
  const files = (await tree.list(folder)).filter(
    (name) => name.startsWith(`${db}-${date}-`) && name.endsWith('.bz2'),
  )
  if (files.length === 0) return undefined
  if (marker === '_SUCCESS') return ''
  let text = ''
  for (const name of files) {
    const entry = await tree.find([...folder, name])
    if (entry?.kind !== 'file') continue
    const state = versions.stateOf(`/${[...folder, name].join('/')}`, entry)
    text += `${(await status.digestsOf(state)).sha256}  ${name}\n`
  }
  return text
}
