/**
 * The three metadata files that end every torrent (PROTOCOL 2): HASH.json, STATUS.json, README.txt. All three follow from
 * the shard and the digests of its files; no clock, node or tool version is in them, so two nodes write the same bytes.
 *
 * HASH.json, version 1 (RFC 8785 plus a line feed):
 *
 *     {"files":{"<path below the torrent's name>":{"md5":"..","sha1":"..","sha256":"..","size":123}, ...},
 *      "shard":"dumps/tenwiki/20260101","version":1}
 */
import { utf8ToBytes } from '../codec/bytes.ts'
import { canonicalJson } from '../codec/canonical-json.ts'
import { runFolder } from './paths.ts'
import type { FullDigests, Shard, TorrentFile } from './shard.ts'

/** Names of the metadata files, in the order they have in the torrent. */
export const METADATA_NAMES = ['HASH.json', 'STATUS.json', 'README.txt'] as const
export type MetadataName = (typeof METADATA_NAMES)[number]

/** Folder of the metadata files, beside the dump files: `20260101/wikiseed-0a1b2c3d`. No slash at its end. */
export function metadataFolder(shard: Shard): string {
  return `${runFolder(shard)}/wikiseed-${shard.digest.slice(0, 8)}`
}

/** Paths of the three files below the torrent's name, in their order. */
export function metadataPaths(shard: Shard): readonly [hash: string, status: string, readme: string] {
  const folder = metadataFolder(shard)
  return [`${folder}/HASH.json`, `${folder}/STATUS.json`, `${folder}/README.txt`]
}

/** Paths and sizes of the three files. A digest has a fixed length, so all follow from the shard before a byte is fetched. */
export function metadataFileList(shard: Shard): TorrentFile[] {
  const [hash, status, readme] = metadataPaths(shard)
  return [
    { path: hash, sizeBytes: hashJsonBytes(shard) },
    { path: status, sizeBytes: utf8ToBytes(shard.statusJson).length },
    { path: readme, sizeBytes: utf8ToBytes(readmeText(shard)).length },
  ]
}

/** The three files with their bytes, in their order; throws RangeError when a dump file has no digests. */
export function metadataFiles(
  shard: Shard,
  digests: ReadonlyMap<string, FullDigests>,
): { path: string; bytes: Uint8Array }[] {
  const [hash, status, readme] = metadataPaths(shard)
  return [
    { path: hash, bytes: utf8ToBytes(hashJson(shard, digests)) },
    { path: status, bytes: utf8ToBytes(shard.statusJson) },
    { path: readme, bytes: utf8ToBytes(readmeText(shard)) },
  ]
}

/** Text of HASH.json; `digests` by path, as computed over the bytes. Throws RangeError when one is missing or malformed. */
export function hashJson(shard: Shard, digests: ReadonlyMap<string, FullDigests>): string {
  return writeHashJson(shard, (path) => {
    const found = digests.get(path)
    if (found === undefined) throw new RangeError(`no digests of ${path}`)
    if (!/^[0-9a-f]{32} [0-9a-f]{40} [0-9a-f]{64}$/.test(`${found.md5} ${found.sha1} ${found.sha256}`)) {
      throw new RangeError(`malformed digests of ${path}`)
    }
    return found
  })
}

const ZERO_DIGESTS: FullDigests = { md5: '0'.repeat(32), sha1: '0'.repeat(40), sha256: '0'.repeat(64) }

/** Of a file in HASH.json: all but its path and the digits of its size. */
const ENTRY_BYTES = canonicalJson({ '': { ...ZERO_DIGESTS, size: 0 } }).length - '{}0'.length

/** Counted and not written: a start asks it of every shard that is held. Paths are ASCII without any sign that JSON escapes. */
function hashJsonBytes(shard: Shard): number {
  let bytes = textOf(shard, []).length + shard.fileCount - 1
  for (const { path, sizeBytes } of shard.files) bytes += path.length + ENTRY_BYTES + String(sizeBytes).length
  return bytes
}

function writeHashJson(shard: Shard, digestsOf: (path: string) => FullDigests): string {
  const files = shard.files.map((file): [string, object] => {
    const { md5, sha1, sha256 } = digestsOf(file.path)
    return [file.path, { md5, sha1, sha256, size: file.sizeBytes }]
  })
  return textOf(shard, files)
}

function textOf(shard: Shard, files: readonly (readonly [path: string, facts: object])[]): string {
  return `${canonicalJson({ files: Object.fromEntries(files), shard: shard.id, version: shard.bundleVersion })}\n`
}

/** Text of README.txt: ASCII, lines ended by a line feed. A change of one letter needs a new bundle version. */
export function readmeText(shard: Shard): string {
  const folder = metadataFolder(shard)
  const source =
    shard.dataset === 'dumps' ? 'database dumps' : `Content File Exports (mediawiki_${shard.dataset})`
  return `${[
    `WikiSeed: ${shard.id}`,
    '',
    `These are files of the Wikimedia ${source} of ${shard.wiki}, dated ${shard.date},`,
    'byte for byte as https://dumps.wikimedia.org/ published them. WikiSeed volunteers keep and',
    'share them; the Wikimedia Foundation does not run WikiSeed. The folder layout is that of',
    'dumps.wikimedia.org, so many such torrents in one folder make a partial mirror.',
    '',
    'LICENCE',
    ...licence(shard),
    'Authors are named in the page histories. Details: https://dumps.wikimedia.org/legal.html',
    '',
    'VERIFY',
    'HASH.json has size, MD5, SHA-1 and SHA-256 of every file but itself, STATUS.json and this',
    'one. With jq and coreutils, in the folder',
    `  ${shard.name}/`,
    'run',
    `  jq -r '.files|to_entries[]|"\\(.value.sha256)  \\(.key)"' \\`,
    `    ${folder}/HASH.json | sha256sum -c`,
    'or compare the output of sha256sum FILE by eye. STATUS.json says which jobs of the run',
    'were done, skipped or failed, and which files each made.',
    '',
    'IMPORT',
    ...importing(shard),
    '',
  ].join('\n')}`
}

function licence(shard: Shard): string[] {
  if (shard.wiki === 'wikidatawiki') {
    return [
      'Structured data (main, Property, Lexeme and EntitySchema namespaces): CC0 1.0. Text of all',
      'other namespaces: CC BY-SA 4.0 and, for the most part, GFDL.',
    ]
  }
  return [
    'Text: Creative Commons Attribution-ShareAlike 4.0 (CC BY-SA 4.0) and, for the most part,',
    'the GNU Free Documentation License (GFDL). Structured data from Wikidata: CC0 1.0. A few',
    'projects choose otherwise (Wikinews: CC BY); the wiki says so at the foot of its pages.',
  ]
}

function importing(shard: Shard): string[] {
  const xml = [
    'Page content (.xml.bz2, .xml.7z, .xml.gz) goes into MediaWiki:',
    '  bzcat FILE.xml.bz2 | php maintenance/run.php importDump',
    '  php maintenance/run.php rebuildrecentchanges',
  ]
  if (shard.dataset !== 'dumps') return xml
  return [...xml, 'Tables (.sql.gz) go into MySQL or MariaDB:', '  zcat FILE.sql.gz | mysql DATABASE']
}
