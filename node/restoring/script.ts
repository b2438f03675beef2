/**
 * restore.sh, and wikiseed.php by which it asks the wiki. Nothing in the shell script is taken from the text of a dump; what the PHP
 * script compares with is quoted. Run on MediaWiki and MariaDB by test/interop/mediawiki.test.ts.
 */
import type { Guide } from './guide.ts'
import { phpText } from './wiki-settings.ts'

/** A POSIX shell script. */
export function restoreScript({ wiki, date, folder, plan, counts }: Guide): string {
  const path = (name: string) => `"$HERE"/${shellText(`${folder}/${name}`)}`
  const steps = (word: string, names: readonly string[]) => names.map((name) => `${word} ${path(name)}`)
  const needed = ['bz2', 'gz', '7z'].filter((end) =>
    [...plan.content, ...plan.logging].some((name) => name.endsWith(`.${end}`)),
  )
  return `#!/bin/sh
# Brings ${wiki} of ${date} back into an empty MediaWiki. See README.md.
set -eu
: "\${MEDIAWIKI:?the folder of MediaWiki}"
MEDIAWIKI="$(cd "$MEDIAWIKI" && pwd)"
export MEDIAWIKI
HERE="$(cd "$(dirname "$0")" && pwd)"
cd "$HERE"
PHP="\${PHP:-php}"
MYSQL="\${MYSQL:-$(command -v mariadb || command -v mysql || echo mariadb)}"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT

fail() {
  echo "restore.sh: $1" >&2
  exit 1
}
need() {
  command -v "$1" >/dev/null || fail "$1 is needed and not installed"
}
${needed.flatMap((end) => NEEDED[end] ?? []).join('\n')}

# MediaWiki 1.40 and newer start maintenance scripts by way of run.php.
maintenance() {
  script="$1"
  shift
  if [ -f "$MEDIAWIKI/maintenance/run.php" ]; then
    "$PHP" "$MEDIAWIKI/maintenance/run.php" "$script" "$@"
  elif [ "\${script#/}" != "$script" ]; then
    "$PHP" "$script" "$@"
  else
    "$PHP" "$MEDIAWIKI/maintenance/$script.php" "$@"
  fi
}
unpack() {
  case "$1" in
    *.bz2) bzip2 -dc "$1" ;;
    *.gz) gzip -dc "$1" ;;
    *.7z) "$SEVEN_ZIP" x -so "$1" ;;
  esac
}
# Unpacked here: PHP reads only the first of several bzip2 streams, and a shell does not see what fails before a pipe.
import() {
  echo "   $1"
  { unpack "$1" || : >"$WORK/broken"; } | maintenance importDump --no-updates --report 1000
  [ ! -e "$WORK/broken" ] || fail "$1 was not unpacked to its end"
}

echo '1. every file has the digest that was published'
sha256sum -c sha256sums.txt

echo '2. the wiki is set up as this one was'
maintenance "$HERE/wikiseed.php"

echo '3. pages'
${steps('import', plan.content).join('\n')}
${plan.logging.length === 0 ? '' : `\necho '4. log events'\n${steps('import', plan.logging).join('\n')}\n`}
echo '5. links, statistics, recent changes, search'
maintenance refreshLinks
maintenance initSiteStats --update
maintenance rebuildrecentchanges
maintenance rebuildtextindex || echo 'The search index was not built: not every database has one of MediaWiki.'

if [ -n "\${TABLES_DB:-}" ]; then
  echo "6. the tables as they were, into $TABLES_DB"
${plan.tables.length === 0 ? '  echo "the run has none"' : tableLines(steps('load', plan.tables))}
fi
${counts === null ? "echo 'Done.'" : `echo '7. counted'\nmaintenance "$HERE/wikiseed.php" --pages ${counts.pages} --revisions ${counts.revisions}`}
`
}

const NEEDED: Readonly<Record<string, readonly string[]>> = {
  bz2: ['need bzip2'],
  gz: ['need gzip'],
  // Debian's 7zip has 7zz alone, p7zip has the others.
  '7z': [
    'SEVEN_ZIP="$(command -v 7zz || command -v 7z || command -v 7za || command -v 7zr || true)"',
    '[ -n "$SEVEN_ZIP" ] || fail "7zz (Debian: 7zip) or 7z is needed and not installed"',
  ],
}

/** The sandbox keeps a client from what a dump could ask of it besides SQL; older ones stop at the line that turns it on. */
const tableLines = (loads: readonly string[]): string => `  SANDBOX=
  if "$MYSQL" --help 2>/dev/null | grep -q -e --sandbox; then SANDBOX=--sandbox; fi
  load() {
    { unpack "$1" || : >"$WORK/broken"; } | sed '1{/enable the sandbox mode/d;}' | "$MYSQL" $SANDBOX "$TABLES_DB"
    [ ! -e "$WORK/broken" ] || fail "$1 was not unpacked to its end"
  }
  need gzip
  "$MYSQL" -e "CREATE DATABASE IF NOT EXISTS \\\`$TABLES_DB\\\`"
${loads.map((line) => `  ${line}`).join('\n')}`

/** A maintenance script (https://www.mediawiki.org/wiki/Manual:Writing_maintenance_scripts). */
export function wikiScript({ site, content }: Guide): string {
  const namespaces = (site?.namespaces ?? []).filter(({ key, name }) => key > 0 && name !== '')
  const list = (names: readonly string[]) => `[ ${names.map(phpText).join(', ')} ]`
  return `<?php
// What restore.sh asks the wiki: whether it is set up as the dump's was; at the end, what is in it.
use MediaWiki\\MediaWikiServices;

require_once getenv( 'MEDIAWIKI' ) . '/maintenance/Maintenance.php';

class WikiSeedRestore extends Maintenance {
	private const NAMESPACES = [
${namespaces.map(({ key, name }) => `\t\t${key} => ${phpText(name.replaceAll(' ', '_'))},`).join('\n')}
	];
	private const MODELS = ${list(content.models)};
	private const ROLES = ${list(content.roles)};

	public function __construct() {
		parent::__construct();
		$this->addDescription( 'Compares this wiki with a dump, before and after it is imported' );
		$this->addOption( 'pages', 'Pages in the dump', false, true );
		$this->addOption( 'revisions', 'Revisions in the dump', false, true );
	}

	public function execute() {
		if ( $this->hasOption( 'pages' ) ) {
			$this->compare( (int)$this->getOption( 'pages' ), (int)$this->getOption( 'revisions' ) );
			return;
		}
		$problems = $this->problems();
		if ( $problems !== [] ) {
			$this->fatalError( implode( "\\n", $problems ) . "\\nIs settings.php in LocalSettings.php? See README.md." );
		}
		if ( !$this->removeInstallersPage() ) {
			$this->output( 'Pages that are there already: ' . $this->rows( 'page' ) . "\\n" );
		}
	}

	/** Newer than any dump, it would hide the dump's. nukePage.php fails in a new wiki, whose count of articles is 0. */
	private function removeInstallersPage() {
		if ( $this->rows( 'page' ) !== 1 || $this->rows( 'revision' ) !== 1 ) {
			return false;
		}
		$db = $this->getDB( DB_PRIMARY );
		$page = $db->selectRow( 'page', [ 'page_id', 'page_namespace', 'page_title' ], '', __METHOD__ );
		$revision = MediaWikiServices::getInstance()->getRevisionLookup()->getRevisionByPageId( $page->page_id );
		$author = $revision->getUser( MediaWiki\\Revision\\RevisionRecord::RAW );
		if ( $author === null || $author->getName() !== 'MediaWiki default' ) {
			return false;
		}
		$this->beginTransaction( $db, __METHOD__ );
		$db->delete( 'page', [ 'page_id' => $page->page_id ], __METHOD__ );
		$db->delete( 'revision', [ 'rev_page' => $page->page_id ], __METHOD__ );
		$db->delete( 'recentchanges', [ 'rc_cur_id' => $page->page_id ], __METHOD__ );
		$this->commitTransaction( $db, __METHOD__ );
		$title = Title::makeTitle( $page->page_namespace, $page->page_title )->getPrefixedText();
		$this->output( "Removed the page of the installer: $title\\n" );
		return true;
	}

	private function problems() {
		$services = MediaWikiServices::getInstance();
		$problems = [];
		$here = $services->getContentLanguage()->getNamespaces();
		foreach ( self::NAMESPACES as $key => $name ) {
			if ( ( $here[$key] ?? '' ) !== $name ) {
				$problems[] = "Namespace $key is $name in the dump and " . ( $here[$key] ?? 'not there' ) . ' in this wiki.';
			}
		}
		foreach ( self::MODELS as $model ) {
			try {
				$services->getContentHandlerFactory()->getContentHandler( $model );
			} catch ( Exception $e ) {
				$problems[] = "This wiki has nothing that handles the content model $model.";
			}
		}
		foreach ( self::ROLES as $role ) {
			if ( !$services->getSlotRoleRegistry()->isDefinedRole( $role ) ) {
				$problems[] = "This wiki has no slot $role.";
			}
		}
		return $problems;
	}

	private function compare( $pages, $revisions ) {
		$herePages = $this->rows( 'page' );
		$hereRevisions = $this->rows( 'revision' );
		$this->output( "The dump has $pages pages and $revisions revisions, this wiki $herePages and $hereRevisions.\\n" );
		if ( $hereRevisions < $revisions ) {
			$this->output( 'Revisions of one page with the same second and the same text are imported once.' . "\\n" );
		}
		if ( $herePages < $pages ) {
			$this->fatalError( 'Pages are missing: what importDump said above tells which.' );
		}
	}

	private function rows( $table ) {
		return (int)$this->getDB( DB_PRIMARY )->selectField( $table, 'COUNT(*)', '', __METHOD__ );
	}
}

$maintClass = WikiSeedRestore::class;
require_once RUN_MAINTENANCE_IF_MAIN;
`
}

const shellText = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
