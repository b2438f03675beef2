/** settings.php: what LocalSettings.php must know before a dump is imported, taken from the dump's own header. */
import type { SiteInfo } from '../reading/titles.ts'
import { type Content, extensionOf, isBuiltIn } from './content-models.ts'

export function settingsText(wiki: string, site: SiteInfo | null, content: Content): string {
  const models = content.models.filter((model) => !isBuiltIn(model))
  const lines = [
    '<?php',
    `// How ${wiki} was set up. At the end of LocalSettings.php, after every wfLoadExtension: require_once '/where/this/is/settings.php';`,
    ...(site === null ? [`// The dump does not say how ${wiki} is set up.`] : siteLines(site)),
    ...(models.length === 0 ? [] : modelLines(models)),
    ...(content.roles.includes('mediainfo') ? MEDIAINFO : []),
    '',
  ]
  return lines.join('\n')
}

function siteLines(site: SiteInfo): string[] {
  const usual = site.namespaces.find((one) => one.key === 0)?.firstLetter ?? true
  return [
    `$wgSitename = ${phpText(site.sitename)};`,
    ...(/^[a-z-]{2,40}$/.test(site.language) ? [`$wgLanguageCode = ${phpText(site.language)};`] : []),
    `$wgCapitalLinks = ${usual};`,
    // Every name: the release that imports may have others for this language, and then links to templates and categories lead nowhere.
    ...site.namespaces.flatMap(({ key, name, firstLetter }) => [
      ...(key === 0 || name === '' ? [] : [`${placeOf(key)} = ${phpText(name.replaceAll(' ', '_'))};`]),
      ...(firstLetter === usual ? [] : [`$wgCapitalLinkOverrides[${key}] = ${firstLetter};`]),
    ]),
  ]
}

/** The project's own namespace and its talk have settings of their own. */
function placeOf(key: number): string {
  if (key === 4) return '$wgMetaNamespace'
  return key === 5 ? '$wgMetaNamespaceTalk' : `$wgExtraNamespaces[${key}]`
}

/** MediaWiki 1.36 and newer have a handler that keeps any content as it is; it is asked for only where no extension is. */
const modelLines = (models: readonly string[]): string[] => [
  '// Content that no extension handles is kept byte for byte. Once the extension is installed, it handles what is there.',
  ...models.map((model) => `$wikiseedModels[] = ${phpText(model)}; // ${extensionOf(model)}`),
  "$wgHooks['GetContentModels'][] = static function ( &$models ) use ( $wikiseedModels ) {",
  '\t$models = array_merge( $models, $wikiseedModels );',
  '};',
  "$wgHooks['ContentHandlerForModelID'][] = static function ( $model, &$handler ) use ( $wikiseedModels ) {",
  '\tif ( in_array( $model, $wikiseedModels, true ) ) {',
  "\t\t$class = class_exists( 'MediaWiki\\\\Content\\\\FallbackContentHandler' )",
  "\t\t\t? 'MediaWiki\\\\Content\\\\FallbackContentHandler' : 'FallbackContentHandler';",
  "\t\t$handler = new $class( $model, [ 'text/plain' ] );",
  '\t}',
  '};',
]

const MEDIAINFO = [
  '// Structured data of files is a slot of its own.',
  "$wgHooks['MediaWikiServices'][] = static function ( $services ) {",
  "\t$services->addServiceManipulator( 'SlotRoleRegistry', static function ( $registry ) {",
  "\t\tif ( !ExtensionRegistry::getInstance()->isLoaded( 'WikibaseMediaInfo' ) ) {",
  "\t\t\t$registry->defineRoleWithModel( 'mediainfo', 'wikibase-mediainfo' );",
  '\t\t}',
  '\t} );',
  '};',
]

export const phpText = (text: string): string => `'${plain(text).replace(/[\\']/g, '\\$&')}'`

/** From the dump's own header: one line, no marks that Markdown, PHP or a terminal would take for its own. */
export const plain = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Cf}`]/gu, '')
    .replace(/<\?|\?>/g, '')
    .slice(0, 200)
