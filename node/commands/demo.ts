import { orNull, readSettings, text, whole, yesNo } from '../settings.ts'
import type { Command } from './command.ts'

const settings = {
  nodes: { value: '<n>', help: 'volunteer nodes', kind: whole(1, 32), default: 4 },
  dumps: {
    value: '<dir>',
    help: 'folder of dumps laid out WIKI/DATE/FILE (default: those of the repository)',
    kind: orNull(text()),
    default: null,
  },
  dir: {
    value: '<dir>',
    help: "where everything is kept; a demo's folder is emptied first",
    kind: text(),
    default: 'demo-data',
  },
  exit: {
    value: null,
    help: 'end when everything is safe (exit code 0), or at the timeout (1)',
    kind: yesNo,
    default: false,
  },
  timeout: {
    value: '<seconds>',
    help: 'with --exit: how long to wait',
    kind: whole(1, 86_400),
    default: 180,
  },
  json: {
    value: null,
    help: 'print one summary object as the last line, no live view',
    kind: yesNo,
    default: false,
  },
  originFallback: {
    value: null,
    help: 'no node takes over from a lead that stalls',
    kind: yesNo,
    default: true,
  },
  nodeArgs: { value: '<flags>', help: 'further flags of every node, in one text', kind: text(), default: '' },
  worldArgs: {
    value: '<flags>',
    help: 'flags of the miniature world, in one text: its faults',
    kind: text(),
    default: '',
  },
}

export const demo: Command = {
  name: 'demo',
  summary: 'a whole federation on this machine, archiving real dumps until everything is safe',
  settings,
  examples: [
    'wikiseed demo',
    'wikiseed demo --exit --json',
    'wikiseed demo --nodes 6 --dumps ~/dumps --dir /tmp/demo',
    "wikiseed demo --exit --world-args '--fault-429 0.1 --fault-cut 0.2 --seed 7'",
  ],
  async run({ flags }) {
    const values = readSettings(settings, { flags, env: {}, file: null })
    const { runDemo } = await import('../demo/demo.ts')
    return runDemo({
      nodes: values.nodes,
      dumps: values.dumps,
      dir: values.dir,
      exit: values.exit,
      timeoutMs: values.timeout * 1_000,
      json: values.json,
      originFallback: values.originFallback,
      nodeArgs: words(values.nodeArgs),
      worldArgs: words(values.worldArgs),
    })
  },
}

function words(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== '')
}
