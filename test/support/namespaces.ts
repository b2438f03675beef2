/** Network namespaces for tests: machines with their own interfaces and routes, cut off from everything else. Linux, as root. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

export interface Namespace {
  readonly pid: number
  /** Runs `sh -ec script` in it and returns what it printed; throws when it fails. */
  run(script: string): string
  spawn(command: string, args: readonly string[]): ChildProcess
  /** Gone with the last process in it. */
  close(): Promise<void>
}

/** Those of these programs, and of what namespaces need, that are not installed. */
export function programsMissing(programs: readonly string[]): string[] {
  return ['unshare', 'nsenter', 'ip', ...programs].filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  )
}

/** Whether this process may make them: in a container without that right nobody can. */
export function canMakeNamespaces(): boolean {
  const made = spawnSync('unshare', [
    '-n',
    'sh',
    '-ec',
    'ip link set lo up; ip link add one type veth peer name other',
  ])
  return made.status === 0
}

export async function namespace(): Promise<Namespace> {
  // Ends with this process: its input closes.
  const keeper = spawn('unshare', ['-n', 'sh', '-ec', 'ip link set lo up; echo ready; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const gone = once(keeper, 'exit').then(() => {
    throw new Error('no network namespace can be made here')
  })
  await Promise.race([once(keeper.stdout, 'data'), gone])
  gone.catch(() => {}) // its end, later
  const { pid } = keeper
  if (pid === undefined) throw new Error('unshare does not run')
  const enter = ['-t', String(pid), '-n', '--']
  return {
    pid,
    run: (script) => execFileSync('nsenter', [...enter, 'sh', '-ec', script], { encoding: 'utf8' }),
    spawn: (command, args) =>
      spawn('nsenter', [...enter, command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] }),
    close: async () => {
      const ended = once(keeper, 'exit')
      keeper.stdin.end()
      await ended
    },
  }
}

/** A cable: two interfaces of that name, each with its address (`192.168.77.1/24`), the first end in `a`. */
export function cable(name: string, a: Namespace, addressA: string, b: Namespace, addressB: string): void {
  a.run(`ip link add ${name} type veth peer name ${name} netns ${b.pid}`)
  for (const [end, address] of [
    [a, addressA],
    [b, addressB],
  ] as const)
    end.run(`ip addr add ${address} dev ${name}; ip link set ${name} up`)
}

/** Ends a child of a namespace, and waits until it is gone. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
