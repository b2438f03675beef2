import { type VerifiedFile, verifyPath } from '../folder/verify-folder.ts'
import { readSettings, yesNo } from '../settings.ts'
import { WorkerHasher } from '../transfer/hasher.ts'
import type { Command } from './command.ts'

const settings = {
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const verify: Command = {
  name: 'verify',
  summary: 'hold dump files to their digests: whole, altered, truncated, missing or foreign',
  arguments: '<path...>',
  settings,
  examples: [
    'wikiseed verify ~/.local/share/wikiseed/mirror',
    'wikiseed verify tenwiki/20260101',
    'wikiseed verify tenwiki/20260101/tenwiki-20260101-pages-articles.xml.bz2 --json',
  ],
  async run({ args, flags }, terminal) {
    const { json } = readSettings(settings, { flags, env: {}, file: null })
    const hasher = new WorkerHasher()
    const files: VerifiedFile[] = []
    try {
      for (const path of args) files.push(...(await verifyPath(path, hasher)))
    } finally {
      await hasher.close()
    }
    const ok = files.every((file) => file.verdict === 'whole')
    if (json) {
      terminal.out(JSON.stringify({ ok, files }))
      return ok ? 0 : 1
    }
    for (const { path, verdict, detail } of files) {
      terminal.out(`${verdict.padEnd(9)}  ${path}${detail === '' ? '' : `  (${detail})`}`)
    }
    const wrong = files.filter((file) => file.verdict !== 'whole').length
    terminal.out(
      wrong === 0
        ? `${files.length === 1 ? 'The file is' : `All ${files.length} files are`} whole.`
        : `${wrong} of ${files.length} files are not whole.`,
    )
    return ok ? 0 : 1
  },
}
