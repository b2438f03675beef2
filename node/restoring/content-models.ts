/** Content models of a dump, and which extension of MediaWiki handles them (https://www.mediawiki.org/wiki/Content_handlers). */

export interface Content {
  /** `wikitext`, `Scribunto` */
  readonly models: readonly string[]
  /** Slots beside the main one: `mediainfo`. */
  readonly roles: readonly string[]
}

const BUILT_IN = ['wikitext', 'javascript', 'css', 'json', 'text', 'unknown']

const EXTENSIONS: readonly (readonly [RegExp, string])[] = [
  [/^Scribunto$/, 'Scribunto'],
  [/^sanitized-css$/, 'TemplateStyles'],
  [/^wikibase-mediainfo$/, 'WikibaseMediaInfo'],
  [/^wikibase-lexeme$/, 'WikibaseLexeme'],
  [/^wikibase-/, 'Wikibase'],
  [/^EntitySchema$/, 'EntitySchema'],
  [/^proofread-/, 'ProofreadPage'],
  [/^GadgetDefinition$/, 'Gadgets'],
  [/^JsonSchema$/, 'EventLogging'],
  [/\.JsonConfig$|^JsonConfig\./, 'JsonConfig'],
  [/^MassMessageListContent$/, 'MassMessage'],
  [/^flow-board$/, 'Flow'],
  [/^translate-messagebundle$/, 'Translate'],
  [/^Campaign$/, 'UploadWizard'],
  [/^NewsletterContent$/, 'Newsletter'],
  [/^SecurePoll$/, 'SecurePoll'],
  [/^zobject$/, 'WikiLambda'],
]

/** MediaWiki handles it without an extension. */
export const isBuiltIn = (model: string): boolean => BUILT_IN.includes(model)

/** In words, for people. */
export function extensionOf(model: string): string {
  const name = EXTENSIONS.find(([form]) => form.test(model))?.[1]
  return name === undefined ? 'an extension that is not known here' : `extension ${name}`
}
