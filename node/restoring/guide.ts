/**
 * README.md for a folder that `wikiseed restore` filled: how the files become a running wiki again, with MediaWiki's own maintenance
 * scripts.
 */
import type { Dataset } from '../../protocol/ids.ts'
import type { SiteInfo } from '../reading/titles.ts'
import type { Comparison } from './compare.ts'
import { type Content, extensionOf, isBuiltIn } from './content-models.ts'
import type { ContentKind, RestorePlan } from './plan.ts'
import { plain } from './wiki-settings.ts'

export interface Guide {
  readonly dataset: Dataset
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  /** The run's folder relative to the guide's: `fatwiki/20240920`. */
  readonly folder: string
  readonly plan: RestorePlan
  /** Null when no header could be read. */
  readonly site: SiteInfo | null
  readonly counts: { readonly pages: number; readonly revisions: number } | null
  readonly comparisons: readonly Comparison[]
  readonly content: Content
}

const exportText = ({ dataset, plan }: Guide): string =>
  `every page with ${plan.kind === 'pages-meta-history' ? 'all its revisions' : 'its newest revision'}, a MediaWiki Content File Export (${dataset})`
const NO_TABLES =
  'A Content File Export has none, and no log of events either: `wikiseed get` of a dump of about the same date brings both.'

function extensionLines({ models, roles }: Content): string[] {
  const others = models.filter((model) => !isBuiltIn(model))
  if (others.length === 0 && roles.length === 0) return []
  return [
    '   The dump has content that MediaWiki knows by extensions; without them it is kept, and shown once they are installed:',
    ...others.map((model) => `   - \`${model}\`: ${extensionOf(model)}`),
    ...roles.map((role) => `   - the slot \`${role}\``),
  ]
}

const KIND_TEXT: Readonly<Record<ContentKind, string>> = {
  'pages-meta-history': 'every page with all its revisions',
  'pages-meta-current': 'every page with its newest revision; the run has no history',
  'pages-articles':
    'articles, templates, files and project pages with their newest revision; the run has neither history nor talk pages',
}
export function readmeText(guide: Guide): string {
  const { dataset, wiki, date, folder, plan, site } = guide
  const isExport = dataset !== 'dumps'
  const lines = [
    `# ${wiki}, as Wikimedia dumped it on ${date}`,
    '',
    `Everything that is needed to bring the wiki back lies in \`${folder}/\`, every file with the digests that the federation`,
    `signed (\`sha256sums.txt\`). The pages: ${isExport ? exportText(guide) : KIND_TEXT[plan.kind]}.`,
    '',
    '## How',
    '',
    `1. Install MediaWiki${site === null ? '' : ` (the dump is of ${plain(site.generator)}; 1.36 or newer reads it)`} with a database:`,
    '   https://www.mediawiki.org/wiki/Manual:Installing_MediaWiki. Take an empty wiki. These unpack the pages: `bzip2`, `gzip`',
    plan.content.some((name) => name.endsWith('.7z'))
      ? '   and `7zz` or `7z`.'
      : '   (no extension of PHP is needed).',
    ...extensionLines(guide.content),
    '2. Put this line at the end of its `LocalSettings.php`, with the path of this folder:',
    '',
    '   ```php',
    "   require_once '/path/of/this/folder/settings.php';",
    '   ```',
    '',
    '   It holds the name, the language and the namespaces of the wiki, and keeps content that your MediaWiki has no extension for.',
    '3. Run `MEDIAWIKI=/path/of/mediawiki sh restore.sh`. It checks the digests and the settings, imports the pages and the log,',
    '   builds links, statistics, recent changes and the search index anew, and compares what is in the wiki with the dump. The',
    '   page that the installer made is removed first: being newer, it would hide the one of the dump. With',
    '   `TABLES_DB=name` it also loads the SQL tables, into a database of their own, with the options of your `~/.my.cnf`.',
    '',
    'Importing is slow: some 400 pages a second, and building the links takes longer still. It can be stopped and begun again:',
    'revisions that are there already are not imported a second time. Authors appear as `imported>Name`, since nobody here has',
    'their accounts; who has one of the same name before the import is taken for the author. One whom the dump does not name is',
    '`imported>Unknown user`.',
    '',
    '## About the SQL tables',
    '',
    '`importDump.php` gives pages new numbers, while the tables speak of the old ones. So they are not loaded into the wiki, which',
    'builds its own from the text, but beside it: to look things up, and for programs that join them by the old numbers.',
    '',
    ...(plan.tables.length === 0
      ? [isExport ? NO_TABLES : 'The run has none.']
      : plan.tables.map((name) => `- \`${name}\``)),
    '',
    '## What no dump holds',
    '',
    'Accounts and their passwords, deleted pages, suppressed revisions, watchlists, and the files that the pages show.',
    '',
    '## Counted',
    '',
    ...countLines(guide),
    '',
  ]
  return lines.join('\n')
}

function countLines({ counts, comparisons }: Guide): string[] {
  if (counts === null) return ['The pages were not counted.']
  const lines = [`${counts.pages} pages and ${counts.revisions} revisions are in the dump.`]
  if (comparisons.length === 0) lines.push('The run has no `site_stats` to compare them with.')
  for (const { what, counted, said, rule, fits } of comparisons) {
    const words = rule === 'equal' ? 'the wiki counted' : 'the wiki counted at least'
    lines.push(`${fits ? 'As it should be' : 'NOT as it should be'}: ${counted} ${what}, ${words} ${said}.`)
  }
  return lines
}
