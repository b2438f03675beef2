/**
 * README.md and restore.sh for a folder that `wikiseed restore` filled: how the files become a running wiki again, with MediaWiki's
 * own maintenance scripts.
 */
import type { SiteInfo } from '../reading/titles.ts'
import type { Comparison } from './compare.ts'
import type { ContentKind, RestorePlan } from './plan.ts'

export interface Guide {
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
}

const KIND_TEXT: Readonly<Record<ContentKind, string>> = {
  'pages-meta-history': 'every page with all its revisions',
  'pages-meta-current': 'every page with its newest revision; the run has no history',
  'pages-articles':
    'articles, templates, files and project pages with their newest revision; the run has neither history nor talk pages',
}
/** MediaWiki makes these itself (https://www.mediawiki.org/wiki/Manual:Namespace_constants). */
const NAMESPACE_BUILT_IN_MAX = 15

export function readmeText(guide: Guide): string {
  const { wiki, date, folder, plan, site } = guide
  const lines = [
    `# ${wiki}, as Wikimedia dumped it on ${date}`,
    '',
    `Everything that is needed to bring the wiki back lies in \`${folder}/\`, every file with the digests that the federation`,
    `signed (\`sha256sums.txt\`). The pages: ${KIND_TEXT[plan.kind]}.`,
    '',
    '## How',
    '',
    `1. Install MediaWiki${site === null ? '' : ` (the dump is of ${plain(site.generator)}; that release or a newer one)`}, PHP with`,
    '   the extensions bz2 and zlib, and a database: https://www.mediawiki.org/wiki/Manual:Installing_MediaWiki. Take an empty wiki.',
    ...(plan.content.some((name) => name.endsWith('.7z'))
      ? ['   The pages are packed as 7z: install `7z` (p7zip) too.']
      : []),
    '2. Put these lines into its `LocalSettings.php`:',
    '',
    '   ```php',
    ...settingsOf(wiki, site).map((line) => `   ${line}`),
    '   ```',
    '',
    '3. Run `MEDIAWIKI=/path/of/mediawiki sh restore.sh`. It checks the digests, imports the pages and the log, and builds links,',
    '   statistics and recent changes anew. With `TABLES_DB=name` it also loads the SQL tables, into a database of their own.',
    '',
    'Importing is slow. It can be stopped and begun again: revisions that are there already are not imported a second time.',
    '',
    '## About the SQL tables',
    '',
    '`importDump.php` gives pages new numbers, while the tables speak of the old ones. So they are not loaded into the wiki, which',
    'builds its own from the text, but beside it: to look things up, and for programs that join them by the old numbers.',
    '',
    ...(plan.tables.length === 0 ? ['The run has none.'] : plan.tables.map((name) => `- \`${name}\``)),
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

function settingsOf(wiki: string, site: SiteInfo | null): string[] {
  if (site === null) return [`// The dump does not say how ${wiki} is set up.`]
  const caseSensitive = site.namespaces.find((one) => one.key === 0)?.firstLetter === false
  return [
    `$wgSitename = ${phpText(site.sitename)};`,
    ...(site.language === '' ? [] : [`$wgLanguageCode = ${phpText(site.language)};`]),
    ...(caseSensitive ? ['$wgCapitalLinks = false;'] : []),
    '// Namespaces of this wiki; leave out those that an extension of yours makes (828 Module: Scribunto, 710 TimedText: TimedMediaHandler).',
    ...site.namespaces
      .filter((one) => one.key > NAMESPACE_BUILT_IN_MAX)
      .map((one) => `$wgExtraNamespaces[${one.key}] = ${phpText(one.name.replaceAll(' ', '_'))};`),
    ...site.namespaces
      .filter((one) => one.key === 4)
      .map((one) => `$wgMetaNamespace = ${phpText(one.name.replaceAll(' ', '_'))};`),
  ]
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

/** A POSIX shell script; nothing in it is taken from the text of the dump. */
export function restoreScript({ wiki, date, folder, plan }: Guide): string {
  const path = (name: string) => `"$HERE"/${shellText(`${folder}/${name}`)}`
  return `#!/bin/sh
# Brings ${wiki} of ${date} back into an empty MediaWiki. See README.md.
set -eu
: "\${MEDIAWIKI:?the folder of MediaWiki, with its LocalSettings.php}"
MEDIAWIKI="$(cd "$MEDIAWIKI" && pwd)"
HERE="$(cd "$(dirname "$0")" && pwd)"
cd "$HERE"
PHP="\${PHP:-php}"
MYSQL="\${MYSQL:-mysql}"

# MediaWiki 1.40 and newer start maintenance scripts by way of run.php.
maintenance() {
  script="$1"
  shift
  if [ -f "$MEDIAWIKI/maintenance/run.php" ]; then
    "$PHP" "$MEDIAWIKI/maintenance/run.php" "$script" "$@"
  else
    "$PHP" "$MEDIAWIKI/maintenance/$script.php" "$@"
  fi
}

echo '1. every file has the digest that was published'
sha256sum -c sha256sums.txt

echo '2. pages'
${plan.content.map((name) => `maintenance importDump --no-updates ${path(name)}`).join('\n')}
${plan.logging.length === 0 ? '' : `\necho '3. log events'\n${plan.logging.map((name) => `maintenance importDump --no-updates ${path(name)}`).join('\n')}\n`}
echo '4. links, statistics, recent changes'
maintenance refreshLinks
maintenance initSiteStats --update
maintenance rebuildrecentchanges

if [ -n "\${TABLES_DB:-}" ]; then
  echo "5. the tables as they were, into $TABLES_DB"
  "$MYSQL" -e "CREATE DATABASE IF NOT EXISTS \\\`$TABLES_DB\\\`"
${plan.tables.map((name) => `  gzip -dc ${path(name)} | "$MYSQL" "$TABLES_DB"`).join('\n') || '  echo "the run has none"'}
fi
echo 'Done. Compare Special:Statistics with README.md.'
`
}

const shellText = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
const phpText = (text: string): string => `'${plain(text).replace(/[\\']/g, '\\$&')}'`
/** From the dump's own header: one line, no marks that Markdown or a terminal would take for its own. */
const plain = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Cf}`]/gu, '')
    .replace(/<\?|\?>/g, '')
    .slice(0, 200)
