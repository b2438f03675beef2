/** Language and project of a wiki, from its dbname: `yowiktionary` is the Yoruba Wiktionary (PROTOCOL 5). */

export const PROJECTS = [
  'wikipedia',
  'wiktionary',
  'wikibooks',
  'wikinews',
  'wikiquote',
  'wikisource',
  'wikiversity',
  'wikivoyage',
  'commons',
  'wikidata',
  'wikispecies',
] as const
export type Project = (typeof PROJECTS)[number]

/** How a dbname ends, without the language before it. */
const PROJECT_OF_ENDING: Readonly<Record<string, Project>> = {
  wiki: 'wikipedia',
  wiktionary: 'wiktionary',
  wikibooks: 'wikibooks',
  wikinews: 'wikinews',
  wikiquote: 'wikiquote',
  wikisource: 'wikisource',
  wikiversity: 'wikiversity',
  wikivoyage: 'wikivoyage',
}
const LANGUAGE_AND_ENDING =
  /^([a-z_]+?)(wiki|wiktionary|wikibooks|wikinews|wikiquote|wikisource|wikiversity|wikivoyage)$/

/** Wikis of no language; null: of no project that can be chosen. What they begin with looks like a language. */
const SPECIAL: ReadonlyMap<string, Project | null> = new Map<string, Project | null>([
  ['commonswiki', 'commons'],
  ['wikidatawiki', 'wikidata'],
  ['specieswiki', 'wikispecies'],
  ['sourceswiki', 'wikisource'],
  ['betawikiversity', 'wikiversity'],
  ...[
    'advisorywiki',
    'apiportalwiki',
    'donatewiki',
    'foundationwiki',
    'incubatorwiki',
    'labswiki',
    'labtestwiki',
    'loginwiki',
    'mediawikiwiki',
    'metawiki',
    'nostalgiawiki',
    'outreachwiki',
    'qualitywiki',
    'strategywiki',
    'tenwiki',
    'testwiki',
    'testcommonswiki',
    'testwikidatawiki',
    'thankyouwiki',
    'usabilitywiki',
    'votewiki',
    'wikifunctionswiki',
    'wikimaniateamwiki',
    'wikimaniawiki',
  ].map((wiki): [string, null] => [wiki, null]),
])

export interface WikiKind {
  /** As in the dbname, `be_x_old`; null: a wiki of no language. */
  readonly language: string | null
  readonly project: Project | null
}

export function kindOf(wiki: string): WikiKind {
  const special = SPECIAL.get(wiki)
  if (special !== undefined) return { language: null, project: special }
  const [, language = null, ending = ''] = LANGUAGE_AND_ENDING.exec(wiki) ?? []
  return { language, project: PROJECT_OF_ENDING[ending] ?? null }
}

/**
 * How well a wiki fits what a volunteer chose: 2 for language and project, 1 for one of them, else 0. Languages are codes as in
 * addresses, `be-x-old`.
 */
export function preference(wiki: string, languages: readonly string[], projects: readonly Project[]): number {
  if (languages.length === 0 && projects.length === 0) return 0
  const { language, project } = kindOf(wiki)
  const inLanguage = languages.some((code) => code.replaceAll('-', '_') === language)
  return Number(inLanguage) + Number(project !== null && projects.includes(project))
}
