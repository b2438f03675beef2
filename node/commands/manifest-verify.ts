import { readFile } from 'node:fs/promises'
import { readSettings, text, yesNo } from '../settings.ts'
import type { Command } from './command.ts'
import { UserError } from './user-error.ts'

const settings = {
  root: { value: '<file>', help: "the federation's root document, 1.root.json", kind: text() },
  json: { value: null, help: 'print the report as one JSON object', kind: yesNo, default: false },
}

export const manifestVerify: Command = {
  name: 'manifest verify',
  summary: 'check a whole publication against the root: signatures, torrents, manifest.json',
  arguments: '<url|dir>',
  settings,
  examples: [
    'wikiseed manifest verify https://example.org/wikiseed/ --root 1.root.json',
    'wikiseed manifest verify ./published --root 1.root.json --json',
  ],
  async run({ args, flags }, terminal) {
    const { root, json } = readSettings(settings, { flags, env: {}, file: null })
    const bytes = await readFile(root).catch((error: unknown) => {
      throw new UserError(`the root document ${root} cannot be read`, { cause: error })
    })
    const { verifyPublication } = await import('../publication/verify.ts')
    const report = await verifyPublication({ source: args[0] ?? '', root: bytes })
    if (json) {
      terminal.out(JSON.stringify(report))
      return report.ok ? 0 : 1
    }
    for (const { code, path, detail } of report.problems)
      terminal.out(`${code.padEnd(12)} ${path}: ${detail}`)
    const manifest =
      report.manifest === null
        ? 'no manifest'
        : `${report.manifest.shards} dumps, published ${report.manifest.issuedAt}`
    terminal.out(
      report.ok
        ? `Everything is right: ${report.name ?? 'the federation'}, ${manifest}, ${report.torrents} torrents.`
        : `${report.problems.length} problems; ${manifest}, ${report.torrents} torrents are right.`,
    )
    return report.ok ? 0 : 1
  },
}
