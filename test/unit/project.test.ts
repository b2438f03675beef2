/** Language and project of a wiki, and what a volunteer prefers (PROTOCOL 5). */
import { describe, expect, it } from 'vitest'
import { kindOf, preference } from '../../protocol/dump/project.ts'
import sizes from '../fixtures/world/dump-sizes.json' with { type: 'json' }

describe('a dbname', () => {
  it.each([
    ['enwiki', 'en', 'wikipedia'],
    ['yowiktionary', 'yo', 'wiktionary'],
    ['zh_min_nanwikisource', 'zh_min_nan', 'wikisource'],
    ['be_x_oldwiki', 'be_x_old', 'wikipedia'],
    ['hewikinews', 'he', 'wikinews'],
    ['commonswiki', null, 'commons'],
    ['wikidatawiki', null, 'wikidata'],
    ['sourceswiki', null, 'wikisource'],
    ['metawiki', null, null],
    ['test2wiki', null, null],
    ['wikimania2012wiki', null, null],
    ['brwikimedia', null, null],
  ] as const)('%s is of the language %s and the project %s', (wiki, language, project) => {
    expect(kindOf(wiki)).toEqual({ language, project })
  })

  it('of every wiki that upstream dumps gives a language that looks like one, or none', () => {
    for (const wiki of sizes.wikis) {
      const { language } = kindOf(wiki)
      if (language !== null)
        expect(`${wiki}: ${language}`).toMatch(/: ([a-z]{2,3}|[a-z]+(_[a-z]+)+|simple|tokipona)$/)
    }
  })
})

describe('preference', () => {
  it('counts language and project, and is nothing for who chose nothing', () => {
    expect(preference('yowikisource', [], [])).toBe(0)
    expect(preference('yowikisource', ['yo'], [])).toBe(1)
    expect(preference('yowikisource', ['de'], ['wikisource'])).toBe(1)
    expect(preference('yowikisource', ['de', 'yo'], ['wikipedia', 'wikisource'])).toBe(2)
    expect(preference('be_x_oldwiki', ['be-x-old'], [])).toBe(1)
    expect(preference('commonswiki', ['commons'], ['wikipedia'])).toBe(0)
  })
})
