/** The law of the house holds, and the law itself notices when it is broken. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Files, lawOf, type Violation } from './law.ts'
import { codeOnly, importsOf } from './source.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const FOLDERS = ['protocol', 'node', 'coordinator', 'web', 'test']
const LEFT_OUT = /^test\/(?:fixtures|vectors)\//

let files: Map<string, string>

beforeAll(() => {
  files = new Map()
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      const full = join(entry.parentPath, entry.name)
      const path = relative(ROOT, full).split(sep).join('/')
      if (entry.isFile() && /\.(?:ts|js|py)$/.test(path) && !LEFT_OUT.test(path)) {
        files.set(path, readFileSync(full, 'utf8'))
      }
    }
  }
})

function shown(violations: readonly Violation[]): string[] {
  return violations.map(({ path, rule, detail }) => `${path} [${rule}]: ${detail}`).sort()
}

/** What the law says more when this file is changed or added. */
function found(path: string, change: (text: string) => string): string[] {
  const changed: Files = new Map(files).set(path, change(files.get(path) ?? ''))
  const before = new Set(shown(lawOf(files)))
  return shown(lawOf(changed)).filter((line) => !before.has(line))
}

describe('the house', () => {
  it('keeps its law', () => {
    expect(files.size).toBeGreaterThan(100)
    expect(shown(lawOf(files))).toEqual([])
  })
})

describe('the law', () => {
  it.each([
    ['Date.now()', 'export const now = Date.now()'],
    ['new Date()', 'export const now = new Date().getTime()'],
    ['Math.random', 'export const x = Math.random()'],
    ['a timer', 'setTimeout(() => {}, 1)'],
    ['process', 'export const home = process.env.HOME'],
    ['Buffer', "export const b = Buffer.from('x')"],
    ['console', "console.log('x')"],
    ['fetch', "await fetch('http://127.0.0.1/')"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    ['a use inside a template', 'export const t = `now: ${Date.now()}`'],
  ])('refuses %s in the protocol', (_what, line) => {
    expect(found('protocol/core/step.ts', (text) => `${text}\n${line}\n`)).toEqual([
      expect.stringMatching(/^protocol\/core\/step\.ts \[purity\]/),
    ])
  })

  it('lets the protocol speak of such things in comments and texts', () => {
    const words = "// Date.now() is banned here\n/* process.exit() */ export const words = 'Math.random()'\n"
    expect(found('protocol/core/step.ts', (text) => `${words}${text}`)).toEqual([])
  })

  it.each([
    ['protocol/core/step.ts', "import '../../node/ports.ts'"],
    ['protocol/core/step.ts', "import { readFile } from 'node:fs/promises'"],
    ['node/runtime/runtime.ts', "import '../../coordinator/merge.ts'"],
    ['coordinator/merge.ts', "const runtime = await import('../node/runtime/runtime.ts')"],
    ['coordinator/merge.ts', "import { main } from '../node/cli.ts'"],
    ['web/status/status.js', "import '../../node/ports.ts'"],
    ['test/world/world.ts', "import { cutRun } from '../../protocol/shard/cut.ts'"],
    ['test/oracle/extra.ts', "import { cutRun } from '../../protocol/shard/cut.ts'"],
  ])('refuses that %s says %s', (path, line) => {
    expect(found(path, (text) => `${line}\n${text}`)).toEqual([expect.stringContaining(`${path} [layer]`)])
  })

  it.each([
    ['node/runtime/runtime.ts', "import pino from 'pino'"],
    ['node/cli.ts', "import { fastify } from 'fastify'"],
    ['node/store/level-store.ts', "import type { Libp2p } from '@libp2p/interface'"],
    ['protocol/core/step.ts', "import { z } from 'zod'"],
    ['coordinator/merge.ts', "export { request } from 'undici'"],
    ['node/observe/status.ts', "import { strange } from 'left-pad'"],
  ])('lets a library be named by its adapter only: not by %s', (path, line) => {
    expect(found(path, (text) => `${line}\n${text}`)).toEqual([expect.stringContaining(`${path} [library]`)])
  })

  it('refuses a long file, but not one that says why', () => {
    const long = 'export const x = 1\n'.repeat(301)
    expect(found('node/observe/status.ts', (text) => `${text}${long}`)).toEqual([
      expect.stringContaining('node/observe/status.ts [length]'),
    ])
    const why = '// Longer than 300 lines: a table that reads best in one piece.\n'
    expect(found('node/observe/status.ts', (text) => `${why}${text}${long}`)).toEqual([])
  })

  it('finds a file that nobody imports, also when a test does', () => {
    expect(found('node/observe/forgotten.ts', () => 'export const x = 1\n')).toEqual([
      expect.stringContaining('node/observe/forgotten.ts [dead]'),
    ])
  })

  it('finds an import of a file that is not there', () => {
    expect(found('node/observe/status.ts', (text) => `import './gone.ts'\n${text}`)).toEqual([
      expect.stringContaining('node/observe/status.ts [unresolved]'),
    ])
  })
})

describe('reading sources', () => {
  it('sees every form of import, and none in comments or texts', () => {
    const source = `
      import a, { type B } from './a.ts'
      import type { C } from "./c.ts"
      import './side.ts'
      export * from './d.ts'
      export { e } from './e.ts'
      const f = await import('./f.ts')
      const w = new Worker(new URL('./w.ts', import.meta.url))
      const p = fork(new URL('./p.ts', import.meta.url), [])
      // import './no.ts'
      const text = "import './no.ts'"
      const form = /import '.\\/no.ts'/
      const template = \`import './no.ts' \${await import('./t.ts')} from './no.ts'\`
      export const from = './no.ts'
    `
    expect(importsOf(source).map((one) => one.from)).toEqual([
      './a.ts',
      './c.ts',
      './side.ts',
      './d.ts',
      './e.ts',
      './f.ts',
      './w.ts',
      './p.ts',
      './t.ts',
    ])
    expect(
      importsOf(source)
        .filter((one) => one.typeOnly)
        .map((one) => one.from),
    ).toEqual(['./c.ts'])
  })

  it('tells a division from a regular expression', () => {
    expect(codeOnly("const half = total / 2 // '\nconst x = Date.now()")).toContain('Date.now')
    expect(codeOnly('const form = /[\'"]/g\nconst x = Date.now()')).toContain('Date.now')
    expect(codeOnly('const form = /Date.now/')).not.toContain('Date.now')
  })
})
